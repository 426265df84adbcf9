// The picture on the desk, and the faces marked on it: chosen, moved, resized and drawn by mouse, touch and keyboard.

import { drawing, h, setText } from "../../element.js";
import { STATES } from "../../states.js";
import { Marks, between, moved, resized } from "./marks.js";

/** @typedef {import("./marks.js").Box} Box */
/** @typedef {import("./marks.js").Mark} Mark */
/** @typedef {{x: number, y: number}} Point in 0..1 of the picture */

const SIDES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
/** Shorter drags, in CSS pixels, are clicks. */
const SLIP = 5;
/** How much of the desk a face takes when it is zoomed to. */
const CLOSE = 0.45;
const MOST_ZOOM = 12;
/** What an arrow key moves a box by, in CSS pixels. */
const STEP = 2;
const MARGIN = 8;

export class Desk {
  marks = new Marks([]);
  drawing = false;
  /** @type {import("./marks.js").Label} of the next face that is drawn */
  label = "with_mask";
  zoomed = false;
  /** @type {ImageBitmap | null} */
  #bitmap = null;
  /** @type {(() => void) | null} ends the drag that is under way */
  #release = null;
  #stroke = 0;

  /** @param {() => void} changed called after every change of the marks, the choice or the mode */
  constructor(changed) {
    this.changed = changed;
    this.canvas = h("canvas", { class: "desk-canvas", role: "img", "aria-label": "The frame" });
    this.boxes = h("ul", { class: "desk-boxes", role: "listbox", "aria-label": "Faces" });
    this.rubber = h("div", { class: "desk-rubber", hidden: true });
    this.sheet = h("div", { class: "desk-sheet" }, this.canvas, this.boxes, this.rubber);
    this.hint = h("p", { class: "desk-hint", role: "status" });
    this.element = h("div", { class: "desk", tabindex: "-1" }, this.sheet, this.hint);
    this.element.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => this.#press(event));
    this.resizing = new ResizeObserver(() => this.#lay());
    this.resizing.observe(this.element);
  }

  dispose() {
    this.resizing.disconnect();
    this.#release?.();
  }

  /** Put a frame on the desk. @param {ImageBitmap} bitmap @param {Mark[]} faces */
  show(bitmap, faces) {
    this.#release?.();
    this.#bitmap = bitmap;
    this.zoomed = false;
    this.setDrawing(false);
    this.canvas.width = bitmap.width;
    this.canvas.height = bitmap.height;
    this.canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    this.marks = new Marks(faces);
    this.#lay();
    this.update();
  }

  focus() {
    this.element.focus({ preventScroll: true });
  }

  /** Draw the marks as they are. */
  update() {
    const { faces, selected } = this.marks;
    while (this.boxes.children.length > faces.length) this.boxes.lastElementChild?.remove();
    while (this.boxes.children.length < faces.length) this.boxes.append(this.#box());
    for (const [index, face] of faces.entries()) dress(/** @type {HTMLElement} */ (this.boxes.children[index]), face, index, faces.length, index === selected);
    this.element.dataset.drawing = String(this.drawing);
    this.changed();
  }

  /** @param {number} index */
  select(index) {
    this.marks.select(index);
    this.update();
  }

  /** @param {boolean} on */
  setDrawing(on) {
    this.drawing = on;
    setText(this.hint, on ? "Drag over a face. Enter puts a box into the middle, Esc ends drawing." : "");
    this.element.dataset.drawing = String(on);
  }

  /** Put a box into the middle of what is seen. */
  drawMiddle() {
    const desk = this.element.getBoundingClientRect();
    const middle = this.#at(desk.left + desk.width / 2, desk.top + desk.height / 2);
    const [across, down] = this.#inPicture(desk.width * 0.08, desk.width * 0.08);
    this.#mark(between({ x: middle.x - across, y: middle.y - down }, { x: middle.x + across, y: middle.y + down }));
  }

  /** Move the selected box by a step, or its lower right corner. @param {string} key of an arrow @param {boolean} resizing @param {string} stroke */
  nudge(key, resizing, stroke) {
    this.marks.selectAny();
    const face = this.marks.faces[this.marks.selected];
    if (face === undefined) return;
    const [across, down] = this.#inPicture(STEP, STEP);
    const dx = key === "ArrowLeft" ? -across : key === "ArrowRight" ? across : 0;
    const dy = key === "ArrowUp" ? -down : key === "ArrowDown" ? down : 0;
    this.marks.place(resizing ? resized(face.box, "se", dx, dy) : moved(face.box, dx, dy), stroke);
    this.update();
  }

  /** Look at the selected face closely, or at the whole picture again. */
  zoom() {
    this.marks.selectAny();
    this.zoomed = !this.zoomed && this.marks.selected >= 0;
    this.#lay();
    this.update();
  }

  /** @param {Box} box */
  #mark(box) {
    this.marks.add(this.label, box);
    this.setDrawing(false);
    this.update();
    this.#focusSelected();
  }

  #focusSelected() {
    const found = this.boxes.children[this.marks.selected];
    if (found instanceof HTMLElement) found.focus({ preventScroll: true });
  }

  #box() {
    const element = h(
      "li",
      { class: "mark", role: "option", tabindex: "0" },
      h("span", { class: "mark-chip", "aria-hidden": "true" }),
      ...SIDES.map((side) => h("span", { class: "mark-grip", "aria-hidden": "true", dataset: { side } })),
    );
    element.addEventListener("focus", () => {
      const index = [...this.boxes.children].indexOf(element);
      if (index !== this.marks.selected) this.select(index);
    });
    return element;
  }

  /** Lay the picture out: all of it, or the selected face in the middle. */
  #lay() {
    if (this.#bitmap === null) return;
    const { clientWidth, clientHeight } = this.element;
    const { width, height } = this.#bitmap;
    const whole = Math.max(0.01, Math.min((clientWidth - 2 * MARGIN) / width, (clientHeight - 2 * MARGIN) / height));
    let scale = whole;
    let [left, top] = [(clientWidth - width * whole) / 2, (clientHeight - height * whole) / 2];
    const face = this.marks.faces[this.marks.selected];
    if (this.zoomed && face !== undefined) {
      const [x1, y1, x2, y2] = face.box;
      const fitting = Math.min((clientWidth * CLOSE) / ((x2 - x1) * width), (clientHeight * CLOSE) / ((y2 - y1) * height));
      scale = Math.min(Math.max(fitting, whole), whole * MOST_ZOOM);
      left = clientWidth / 2 - ((x1 + x2) / 2) * width * scale;
      top = clientHeight / 2 - ((y1 + y2) / 2) * height * scale;
    }
    Object.assign(this.sheet.style, {
      left: `${left}px`,
      top: `${top}px`,
      width: `${width * scale}px`,
      height: `${height * scale}px`,
    });
  }

  /** @param {number} x @param {number} y of the window, in CSS pixels @returns {Point} */
  #at(x, y) {
    const { left, top, width, height } = this.sheet.getBoundingClientRect();
    return { x: (x - left) / width, y: (y - top) / height };
  }

  /** @param {number} across @param {number} down in CSS pixels @returns {[number, number]} in 0..1 of the picture */
  #inPicture(across, down) {
    const { width, height } = this.sheet.getBoundingClientRect();
    return [across / Math.max(1, width), down / Math.max(1, height)];
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button !== 0 || this.#bitmap === null || this.#release !== null) return;
    event.preventDefault();
    const target = /** @type {HTMLElement} */ (event.target);
    const box = this.drawing ? null : target.closest(".mark");
    if (box === null) {
      this.focus();
      this.#draw(event);
      return;
    }
    this.select([...this.boxes.children].indexOf(box));
    this.#focusSelected();
    const face = this.marks.faces[this.marks.selected];
    const { side } = target.dataset;
    const stroke = `drag ${(this.#stroke += 1)}`;
    this.#follow(event, (dx, dy) => {
      this.marks.place(side === undefined ? moved(face.box, dx, dy) : resized(face.box, side, dx, dy), stroke);
      this.update();
    });
  }

  /** Draw a box from where the pointer went down; a finger draws only when it was asked to. @param {PointerEvent} event */
  #draw(event) {
    if (event.pointerType === "touch" && !this.drawing) {
      this.select(-1);
      return;
    }
    const from = this.#at(event.clientX, event.clientY);
    /** @type {Box | null} */
    let box = null;
    this.#follow(
      event,
      (dx, dy) => {
        box = between(from, { x: from.x + dx, y: from.y + dy });
        this.rubber.hidden = false;
        this.rubber.dataset.state = this.label;
        place(this.rubber, box);
      },
      (ended) => {
        this.rubber.hidden = true;
        if (ended && box !== null) this.#mark(box);
        else if (ended) this.select(-1);
      },
    );
  }

  /** Follow a pointer until it is let go. @param {PointerEvent} event @param {(dx: number, dy: number) => void} move @param {(ended: boolean) => void} [end] */
  #follow({ pointerId, clientX, clientY }, move, end = () => {}) {
    const stopped = new AbortController();
    let beyond = false;
    this.#release = () => {
      this.#release = null;
      stopped.abort();
    };
    const on = (/** @type {string} */ name, /** @type {(event: PointerEvent) => void} */ run) =>
      window.addEventListener(
        name,
        (event) => {
          if (event instanceof PointerEvent && event.pointerId === pointerId) run(event);
        },
        { signal: stopped.signal },
      );
    on("pointermove", (event) => {
      const [x, y] = [event.clientX - clientX, event.clientY - clientY];
      beyond ||= Math.hypot(x, y) >= SLIP;
      if (beyond) move(...this.#inPicture(x, y));
    });
    on("pointerup", () => {
      this.#release?.();
      end(true);
    });
    on("pointercancel", () => {
      this.#release?.();
      end(false);
    });
  }
}

/** @param {HTMLElement} element @param {Box} box */
function place(element, [x1, y1, x2, y2]) {
  const percent = (/** @type {number} */ share) => `${share * 100}%`;
  Object.assign(element.style, { left: percent(x1), top: percent(y1), width: percent(x2 - x1), height: percent(y2 - y1) });
}

/** @param {HTMLElement} element @param {Mark} face @param {number} index @param {number} count @param {boolean} selected */
function dress(element, { label, box, score }, index, count, selected) {
  place(element, box);
  element.setAttribute("aria-selected", String(selected));
  const sure = score === undefined ? "" : `, score ${score.toFixed(2)}`;
  element.setAttribute("aria-label", `Face ${index + 1} of ${count}: ${STATES[label].name}${sure}`);
  // A chip above the picture's upper edge would not be seen.
  element.dataset.chip = box[1] < 0.06 ? "below" : "above";
  if (element.dataset.state === label) return;
  element.dataset.state = label;
  const chip = /** @type {HTMLElement} */ (element.querySelector(".mark-chip"));
  chip.replaceChildren(drawing(STATES[label].glyph, 16, 2.25), h("span", {}, STATES[label].name));
}
