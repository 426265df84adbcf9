// Figures of a training by epoch: one line each, with its newest value beside its name.

import { axisLook, colours } from "../../chart.js";
import { h } from "../../element.js";

const TOKENS = { first: "--chart-line", second: "--good", third: "--chart-usual", grid: "--chart-grid", text: "--text-quiet" };
/** Lines differ in more than their colour. */
const LOOKS = /** @type {{token: string, dash: number[]}[]} */ ([
  { token: "first", dash: [] },
  { token: "second", dash: [6, 3] },
  { token: "third", dash: [2, 3] },
]);

export class EpochChart {
  /** @type {any} */
  #plot = null;
  /** @type {Record<string, string>} */
  #palette = {};
  /** @type {string[]} */
  #names = [];
  /** @type {(number | null)[][]} */
  #data = [];
  #epochs = 1;

  /** @param {any} library @param {string} title */
  constructor(library, title) {
    this.library = library;
    this.title = title;
    this.legend = h("ul", { class: "curve-legend" });
    this.place = h("div", { class: "curve-plot", "aria-hidden": "true" });
    this.element = h("figure", { class: "curve" }, h("figcaption", {}, title), this.legend, this.place);
    this.resizes = new ResizeObserver(() => this.#resize());
    this.resizes.observe(this.place);
  }

  /**
   * @param {number[]} at the epochs that are done @param {number} epochs that there will be
   * @param {Record<string, (number | null)[]>} series by name
   */
  update(at, epochs, series) {
    const names = Object.keys(series).slice(0, LOOKS.length);
    if (names.join() !== this.#names.join() || epochs !== this.#epochs) this.#drop();
    this.#names = names;
    this.#epochs = epochs;
    this.#data = [at, ...names.map((name) => series[name])];
    this.legend.replaceChildren(
      ...names.map((name, index) =>
        h("li", { dataset: { look: String(index) } }, h("span", { class: "curve-key", "aria-hidden": "true" }), `${name} `, h("strong", {}, series[name].at(-1)?.toFixed(3) ?? "–")),
      ),
    );
    if (this.#plot === null) this.#make();
    else this.#plot.setData(this.#data);
  }

  /** The theme is another one. */
  repaint() {
    this.#palette = colours(TOKENS);
    this.#plot?.redraw(false, true);
  }

  dispose() {
    this.resizes.disconnect();
    this.#drop();
  }

  #drop() {
    this.#plot?.destroy();
    this.#plot = null;
  }

  #resize() {
    const width = Math.floor(this.place.clientWidth);
    if (width === 0) return;
    if (this.#plot === null && this.#data.length > 0) this.#make();
    else this.#plot?.setSize({ width, height: this.place.clientHeight });
  }

  #make() {
    const width = Math.floor(this.place.clientWidth);
    if (width === 0) return;
    this.#palette = colours(TOKENS);
    const paint = (/** @type {string} */ name) => () => this.#palette[name];
    const { rem, axis } = axisLook(paint("text"));
    this.#plot = new this.library(
      {
        width,
        height: this.place.clientHeight,
        padding: [6, rem, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false, range: () => [1, Math.max(2, this.#epochs)] } },
        axes: [
          { ...axis, size: rem * 1.25, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100] },
          { ...axis, size: rem * 2.9, grid: { stroke: paint("grid"), width: 1 } },
        ],
        series: [
          {},
          ...this.#names.map((_, index) => ({ stroke: paint(LOOKS[index].token), width: 2, dash: LOOKS[index].dash, points: { show: true, size: 5 } })),
        ],
      },
      this.#data,
      this.place,
    );
  }
}
