// A picture of which two models say something else: one of them left of a line, the other right of it.

import { ApiError, picture } from "../../api.js";
import { brushFromTokens, drawFaces } from "../../boxes.js";
import { h, icon, setText } from "../../element.js";
import { countStates, sayCounts } from "../../states.js";

/** @typedef {import("../../boxes.js").Face} Face */

let count = 0;

export class Disagreement {
  /** @type {ImageBitmap | null} */
  #bitmap = null;
  #asked = false;
  #disposed = false;

  /** @param {string} version @param {any} about @param {string} champion @param {string} candidate their names */
  constructor(version, about, champion, candidate) {
    this.version = version;
    this.about = about;
    this.names = { champion, candidate };
    this.under = h("canvas", { "aria-hidden": "true" });
    this.over = h("canvas", { class: "disagreement-over", "aria-hidden": "true" });
    this.line = h("span", { class: "disagreement-line", "aria-hidden": "true" });
    this.gone = h("p", { class: "frame-missing", hidden: true });
    this.stage = h("div", { class: "disagreement-stage" }, this.under, this.over, this.line, this.gone);
    this.stage.style.aspectRatio = `${about.width} / ${about.height}`;
    const id = `disagreement-${(count += 1)}`;
    this.slider = h("input", { id, type: "range", min: "0", max: "100", value: "50", oninput: () => this.#slide() });
    this.element = h(
      "figure",
      { class: "disagreement" },
      this.stage,
      h("label", { class: "sr-only", for: id }, `The line between ${champion} and ${candidate}`),
      this.slider,
      h("figcaption", {}, ...this.#caption()),
    );
    // Dragging in the picture itself is what one tries first.
    this.stage.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      if (event.buttons === 1 || event.pointerType === "mouse") this.#follow(event);
    });
    this.stage.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => this.#follow(event));
    this.resizes = new ResizeObserver(() => this.#draw());
    this.resizes.observe(this.stage);
    this.#slide();
  }

  /** Fetch the picture, once it is looked at. */
  async load() {
    if (this.#asked) return;
    this.#asked = true;
    try {
      const { blob } = await picture(`/models/${this.version}/pictures/${this.about.sha256}`);
      const bitmap = await createImageBitmap(blob);
      if (this.#disposed) {
        bitmap.close();
        return;
      }
      this.#bitmap = bitmap;
      this.element.dataset.state = "there";
      this.gone.hidden = true;
      this.#draw();
    } catch (error) {
      const known = error instanceof ApiError;
      this.#miss(known ? error.message : "It cannot be shown: it is no picture any more.");
      // Nothing is wrong with a picture that is gone; an answer that did not come may come.
      if (known && (error.status === 0 || error.status >= 500)) this.#asked = false;
    }
  }

  dispose() {
    this.#disposed = true;
    this.resizes.disconnect();
    this.#bitmap?.close();
    this.#bitmap = null;
  }

  /** @param {string} why */
  #miss(why) {
    this.element.dataset.state = "gone";
    this.gone.replaceChildren(icon("offline"), why);
    this.gone.hidden = false;
  }

  #caption() {
    const { part, source, faces, champion, candidate, champion_mistakes: before, candidate_mistakes: after } = this.about;
    const mistakes = (/** @type {number} */ number) => `${number} ${number === 1 ? "mistake" : "mistakes"}`;
    const says = (/** @type {{label: any}[]} */ found) => sayCounts(countStates(found));
    return [
      h("strong", { class: after < before ? "better" : "worse" }, `${mistakes(before)} → ${mistakes(after)}`),
      h("span", { class: "quiet" }, ` · ${source}, ${part}`),
      h("span", { class: "disagreement-says" }, `People: ${says(faces)}. ${this.names.champion}: ${says(champion)}. ${this.names.candidate}: ${says(candidate)}.`),
    ];
  }

  /** @param {PointerEvent} event */
  #follow(event) {
    const { left, width } = this.stage.getBoundingClientRect();
    this.slider.value = String(Math.round((100 * (event.clientX - left)) / width));
    this.#slide();
  }

  #slide() {
    const share = Number(this.slider.value);
    this.over.style.clipPath = `inset(0 0 0 ${share}%)`;
    this.line.style.left = `${share}%`;
    this.slider.setAttribute("aria-valuetext", `${share} % ${this.names.champion}, ${100 - share} % ${this.names.candidate}`);
  }

  #draw() {
    const bitmap = this.#bitmap;
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (bitmap === null || width === 0) return;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    for (const [canvas, faces] of /** @type {[HTMLCanvasElement, Face[]][]} */ ([
      [this.under, this.about.champion],
      [this.over, this.about.candidate],
    ])) {
      Object.assign(canvas, { width: Math.round(width * devicePixelRatio), height: Math.round(height * devicePixelRatio) });
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
      context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, width, height);
      drawFaces(context, faces, { width, height }, brushFromTokens(rem / 16), { scores: false, hovered: -1 });
      canvas.dataset.faces = String(faces.length);
    }
    setText(this.gone, "");
  }
}
