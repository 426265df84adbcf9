// A camera's canvas: decodes pictures off the main thread and draws each with the boxes of that very frame.

import { brushFromTokens, drawFaces, faceAt } from "../../boxes.js";
import { h } from "../../element.js";

/** @typedef {import("../../live-socket.js").LiveFrame} LiveFrame */
/**
 * What all pictures of the page share.
 * @typedef {{boxes: boolean, scores: boolean, brush: import("../../boxes.js").Brush, lost: boolean}} View
 *   `lost`: the server cannot be reached; the header says so and counts down, tiles need not.
 */

export class Picture {
  /** @type {LiveFrame | null} the frame that is drawn */
  live = null;
  /** @type {ImageBitmap | null} kept until the next one, to draw it again at another size */
  #bitmap = null;
  /** @type {{live: LiveFrame, bitmap: ImageBitmap, done: () => void} | null} decoded, to be drawn next */
  #next = null;
  /** @type {{x: number, y: number} | null} where the pointer is, in 0..1 of the picture */
  #point = null;
  #slot = { width: 0, height: 0 };
  #drawn = 0;
  #received = 0;
  #decoded = 0;
  #painting = 0;

  /** @param {string} camera @param {View} view @param {() => void} onFrame after a new frame was drawn */
  constructor(camera, view, onFrame) {
    this.camera = camera;
    this.view = view;
    this.onFrame = onFrame;
    this.canvas = /** @type {HTMLCanvasElement} */ (
      h("canvas", { role: "img", hidden: true, dataset: { camera, drawn: 0 } })
    );
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { alpha: false }));
  }

  /** The picture's width by its height, null before the first one. */
  get aspect() {
    return this.#bitmap === null ? null : this.#bitmap.width / this.#bitmap.height;
  }

  /**
   * Decode a frame and draw it, unless a newer one is there first.
   *
   * @param {LiveFrame} live
   * @param {Blob} jpeg
   * @param {() => void} done called once: drawn, overtaken, or not a picture
   * @param {() => boolean} wanted whether it still is, after decoding
   */
  async show(live, jpeg, done, wanted) {
    const order = ++this.#received;
    let bitmap;
    try {
      bitmap = await createImageBitmap(jpeg);
    } catch {
      done();
      return;
    }
    if (!wanted() || order < this.#decoded) {
      bitmap.close();
      done();
      return;
    }
    this.#decoded = order;
    this.drop();
    this.#next = { live, bitmap, done };
    this.redraw();
  }

  /** Let go of a picture that is not drawn yet. */
  drop() {
    this.#next?.bitmap.close();
    this.#next?.done();
    this.#next = null;
  }

  /** Give back what the browser does not collect soon. */
  dispose() {
    this.drop();
    cancelAnimationFrame(this.#painting);
    this.#bitmap?.close();
    this.#bitmap = null;
  }

  /** @param {number} width of the picture's place in CSS pixels @param {number} height */
  resize(width, height) {
    this.#slot = { width, height };
    this.redraw();
  }

  /** Show the score of the face under the pointer. @param {PointerEvent | null} event */
  hover(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    this.#point = event === null ? null : { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
    this.redraw();
  }

  redraw() {
    this.#painting ||= requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    this.#painting = 0;
    const next = this.#next;
    if (next !== null) {
      this.#next = null;
      this.#bitmap?.close();
      this.#bitmap = next.bitmap;
      this.live = next.live;
      this.#drawn += 1;
      this.canvas.hidden = false;
    }
    if (this.#bitmap !== null && this.live !== null && this.#slot.width > 0) this.#draw(this.#bitmap, this.live);
    next?.done();
    if (next !== null) this.onFrame();
  }

  /** @param {ImageBitmap} bitmap @param {LiveFrame} live */
  #draw(bitmap, live) {
    const { canvas, context, view } = this;
    const fit = Math.min(this.#slot.width / bitmap.width, this.#slot.height / bitmap.height);
    const size = { width: bitmap.width * fit, height: bitmap.height * fit };
    const [width, height] = [size.width, size.height].map((side) => Math.max(1, Math.round(side * devicePixelRatio)));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    Object.assign(canvas.style, { width: `${size.width}px`, height: `${size.height}px` });
    // The unit is the CSS pixel from here on, so that lines weigh the same at any zoom and density.
    context.setTransform(width / size.width, 0, 0, height / size.height, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, size.width, size.height);
    const faces = view.boxes ? live.objects : [];
    drawFaces(context, faces, size, view.brush, { scores: view.scores, hovered: faceAt(faces, this.#point) });
    Object.assign(canvas.dataset, { frame: live.frame.id, objects: JSON.stringify(faces), drawn: String(this.#drawn) });
  }

  /** Draw the frame and its boxes at the frame's own size, as a PNG. @returns {Promise<{blob: Blob, name: string} | null>} */
  async snapshot() {
    const { live, view } = this;
    const bitmap = this.#bitmap;
    if (bitmap === null || live === null) return null;
    const canvas = h("canvas", { width: bitmap.width, height: bitmap.height });
    const context = canvas.getContext("2d", { alpha: false });
    context.drawImage(bitmap, 0, 0);
    const brush = brushFromTokens(Math.max(0.75, bitmap.width / 1280));
    if (view.boxes) drawFaces(context, live.objects, bitmap, brush, { scores: view.scores, hovered: -1 });
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const time = new Date(live.frame.captured).toISOString().replace(/[:.]/g, "-");
    return { blob, name: `maskwatch-${this.camera}-${time}.png` };
  }
}
