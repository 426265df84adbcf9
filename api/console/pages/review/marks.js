// The faces that are marked on a frame, and every step back. Pure; boxes are x1, y1, x2, y2 in 0..1 of the picture.

/** @typedef {import("../../states.js").Label} Label */
/** @typedef {[number, number, number, number]} Box */
/** @typedef {{label: Label, box: Box, score?: number}} Mark */
/** @typedef {"n" | "ne" | "e" | "se" | "s" | "sw" | "w" | "nw"} Side which edges of a box are taken hold of */

/** Of a side of the picture: no box is made smaller. */
export const LEAST = 0.008;

const clamp = (/** @type {number} */ value, low = 0, high = 1) => Math.min(high, Math.max(low, value));

/** Move a box, and keep it in the picture with its size. @param {Box} box @param {number} dx @param {number} dy @returns {Box} */
export function moved([x1, y1, x2, y2], dx, dy) {
  const x = clamp(x1 + dx, 0, 1 - (x2 - x1));
  const y = clamp(y1 + dy, 0, 1 - (y2 - y1));
  return [x, y, x + (x2 - x1), y + (y2 - y1)];
}

/** Move some edges of a box; none passes the one across. @param {Box} box @param {string} side @param {number} dx @param {number} dy @returns {Box} */
export function resized([x1, y1, x2, y2], side, dx, dy) {
  return [
    side.includes("w") ? clamp(x1 + dx, 0, x2 - LEAST) : x1,
    side.includes("n") ? clamp(y1 + dy, 0, y2 - LEAST) : y1,
    side.includes("e") ? clamp(x2 + dx, x1 + LEAST, 1) : x2,
    side.includes("s") ? clamp(y2 + dy, y1 + LEAST, 1) : y2,
  ];
}

/** The box between two points, in whichever order they were given. @param {{x: number, y: number}} a @param {{x: number, y: number}} b @returns {Box} */
export function between(a, b) {
  return [clamp(Math.min(a.x, b.x)), clamp(Math.min(a.y, b.y)), clamp(Math.max(a.x, b.x)), clamp(Math.max(a.y, b.y))];
}

export class Marks {
  /** @type {Mark[]} */
  faces;
  /** Index of the face that keys speak of; -1 if there is none. */
  selected = -1;
  /** @type {{faces: Mark[], selected: number}[]} */
  #before = [];
  #begun = "";

  /** @param {Mark[]} faces as they are proposed, or were said before */
  constructor(faces) {
    this.faces = [...faces];
  }

  get canUndo() {
    return this.#before.length > 0;
  }

  /** @param {number} index */
  select(index) {
    this.selected = index >= 0 && index < this.faces.length ? index : -1;
    this.#begun = "";
  }

  /** Select a face, if none is, that most needs a look: the one that the model was least sure of. */
  selectAny() {
    if (this.selected >= 0 || this.faces.length === 0) return;
    const scores = this.faces.map(({ score }) => score ?? 1);
    this.select(scores.indexOf(Math.min(...scores)));
  }

  /** @param {Label} label @param {Box} box */
  add(label, box) {
    this.#step("add");
    this.faces = [...this.faces, { label, box }];
    this.select(this.faces.length - 1);
  }

  /** Put the selected face elsewhere. Moves of one `stroke`, such as one drag, are one step back. @param {Box} box @param {string} stroke */
  place(box, stroke) {
    this.#change({ box }, stroke);
  }

  /** @param {Label} label */
  label(label) {
    if (this.faces[this.selected]?.label !== label) this.#change({ label }, "label");
  }

  remove() {
    if (this.selected < 0) return;
    this.#step("remove");
    this.faces = this.faces.filter((_, index) => index !== this.selected);
    this.select(Math.min(this.selected, this.faces.length - 1));
  }

  clear() {
    if (this.faces.length === 0) return;
    this.#step("clear");
    this.faces = [];
    this.select(-1);
  }

  undo() {
    const before = this.#before.pop();
    if (before === undefined) return false;
    this.faces = before.faces;
    this.select(before.selected);
    return true;
  }

  /** @param {Partial<Mark>} what @param {string} stroke */
  #change(what, stroke) {
    if (this.selected < 0) return;
    this.#step(stroke);
    this.faces = this.faces.map((face, index) => (index === this.selected ? { ...face, ...what } : face));
    this.#begun = stroke;
  }

  /** @param {string} stroke */
  #step(stroke) {
    if (stroke === this.#begun && stroke !== "label") return;
    this.#before.push({ faces: this.faces, selected: this.selected });
    this.#begun = "";
  }
}
