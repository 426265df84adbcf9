// One signal over time: what it was, the band in which it usually lies, and the episodes in which it did not.

import { axisLook, colours } from "../../chart.js";
import { h, setText } from "../../element.js";
import { clock } from "../../time.js";
import { signalOf } from "./signals.js";

/**
 * @typedef {(number | null)[]} Values
 * @typedef {{low: Values, middle: Values, high: Values, reference_low: Values, reference_middle: Values,
 *   reference_high: Values, effect: Values, threshold: Values, shifted: boolean[]}} Column
 * @typedef {{since: number, until: number}} Span in seconds since 1970
 * @typedef {{
 *   zoom: (from: number, to: number) => void, zoomBy: (factor: number, around: number) => void, reset: () => void,
 *   hover: (time: number | null) => void, say: (text: string) => void,
 * }} Around what a chart tells those around it
 */

const TOKENS = {
  line: "--chart-line",
  band: "--chart-band",
  usual: "--chart-usual",
  shifted: "--chart-shifted",
  span: "--chart-span",
  grid: "--chart-grid",
  text: "--text-quiet",
};
/** Charts of one page share their hover. */
const SYNC = "drift";
/** A brush narrower than this was a click, in pixels. */
const LEAST_BRUSH = 5;

/**
 * Put a hole where a camera was away: a line from before to after would claim that something was measured.
 *
 * @param {number[]} times @param {number} step seconds between two
 * @returns {number[]} indices into times, -1 for a hole
 */
export function withHoles(times, step) {
  return times.flatMap((time, at) => (at > 0 && time - times[at - 1] > 3.5 * step ? [-1, at] : [at]));
}

/** The usual distance of neighbours. @param {number[]} times */
export function stepOf(times) {
  const steps = times.slice(1).map((time, at) => time - times[at]).sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? 60;
}

export class SignalChart {
  /** @type {any} */
  #plot = null;
  /** @type {Span[]} */
  #spans = [];
  /** @type {[number, number]} */
  #range = [0, 1];
  /** @type {Record<string, string>} */
  #palette = {};
  /** @type {Column | null} */
  #column = null;
  /** @type {number[]} */
  #times = [];
  /** @type {number[]} where each drawn point stands in the column */
  #order = [];

  /** @param {any} library @param {string} name @param {Around} around */
  constructor(library, name, around) {
    this.library = library;
    this.signal = signalOf(name);
    this.around = around;
    this.value = h("span", { class: "chart-value" });
    this.usual = h("span", { class: "chart-usual" });
    this.place = h("div", { class: "chart-plot", "aria-hidden": "true" });
    this.element = h(
      "figure",
      { class: "chart", tabindex: "0", role: "group", title: this.signal.what, dataset: { signal: name } },
      h(
        "figcaption",
        { class: "chart-head" },
        h("span", { class: "chart-name" }, this.signal.name),
        h("span", { class: "chart-unit" }, this.signal.unit),
        this.value,
        this.usual,
      ),
      this.place,
    );
    this.element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#press(event));
    this.resizes = new ResizeObserver(() => this.#resize());
    this.resizes.observe(this.place);
  }

  /** @param {number[]} times @param {Column} column @param {[number, number]} range @param {Span[]} spans */
  update(times, column, range, spans) {
    this.#column = column;
    this.#times = times;
    // Of what comes rarely only the windows that have it are drawn, and there is no hole between two.
    this.#order = this.signal.rare
      ? times.flatMap((_, at) => (column.middle[at] === null ? [] : [at]))
      : withHoles(times, stepOf(times));
    this.#spans = spans;
    this.#range = range;
    if (this.#plot === null) this.#make();
    else {
      this.#plot.setData(this.#data(), false);
      this.#plot.setScale("x", { min: range[0], max: range[1] });
    }
    this.#tell(null);
  }

  /** The theme is another one. */
  repaint() {
    this.#palette = colours(TOKENS);
    this.#plot?.redraw(false, true);
  }

  dispose() {
    this.resizes.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  #data() {
    const column = /** @type {Column} */ (this.#column);
    const of = (/** @type {Values} */ values) => this.#order.map((at) => (at < 0 ? null : values[at]));
    const times = this.#order.map((at, index) =>
      at < 0 ? this.#times[this.#order[index + 1]] - 0.001 : this.#times[at],
    );
    const shifted = column.middle.map((value, at) => (column.shifted[at] ? value : null));
    return [
      times,
      of(column.reference_low),
      of(column.reference_high),
      of(column.reference_middle),
      of(column.middle),
      of(shifted),
    ];
  }

  #make() {
    const width = Math.floor(this.place.clientWidth);
    if (width === 0) return;
    this.#palette = colours(TOKENS);
    const paint = (/** @type {string} */ name) => () => this.#palette[name];
    const { rem, axis } = axisLook(paint("text"));
    const rare = this.signal.rare === true;
    const none = { stroke: () => "transparent", width: 0, points: { show: false } };
    this.#plot = new this.library(
      {
        width,
        height: this.place.clientHeight,
        padding: [6, rem * 1.6, 0, 0],
        legend: { show: false },
        cursor: {
          y: false,
          drag: { x: true, y: false, setScale: false },
          // A brush belongs to one chart; what it finds is told to all of them.
          sync: { key: SYNC, scales: ["x", null], filters: { pub: (/** @type {string} */ kind) => kind === "mousemove" } },
          points: { size: 7 },
        },
        scales: {
          x: { time: true, range: () => this.#range },
          y: { range: (/** @type {any} */ _, /** @type {number | null} */ low, /** @type {number | null} */ high) => room(low, high) },
        },
        axes: [
          {
            ...axis,
            size: rem * 1.25,
            space: rem * 4,
            grid: { show: false },
            values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((at) => this.#tick(at)),
          },
          {
            ...axis,
            size: rem * 2.9,
            space: rem * 2.1,
            grid: { stroke: paint("grid"), width: 1 },
            values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map(this.signal.write),
          },
        ],
        series: [
          {},
          none,
          none,
          { stroke: paint("usual"), width: 1, dash: [2, 3], points: { show: false } },
          { stroke: paint("line"), width: 1.75, points: { show: rare, size: 5, fill: paint("line") } },
          { stroke: paint("shifted"), width: 3, points: { show: rare, size: 7, fill: paint("shifted") } },
        ],
        bands: [{ series: [2, 1], fill: paint("band") }],
        hooks: {
          drawClear: [(/** @type {any} */ plot) => this.#drawSpans(plot)],
          setCursor: [(/** @type {any} */ plot) => this.#tell(plot.cursor.idx ?? null)],
          setSelect: [(/** @type {any} */ plot) => this.#brushed(plot)],
        },
      },
      this.#data(),
      this.place,
    );
    this.#plot.over.addEventListener("dblclick", () => this.around.reset());
    this.#plot.over.addEventListener("mouseleave", () => this.around.hover(null));
  }

  #resize() {
    const width = Math.floor(this.place.clientWidth);
    if (width === 0) return;
    if (this.#plot === null && this.#column !== null) this.#make();
    else this.#plot?.setSize({ width, height: this.place.clientHeight });
  }

  /** @param {number} at */
  #tick(at) {
    const days = this.#range[1] - this.#range[0] > 2 * 86_400;
    const date = new Date(at * 1000);
    return days
      ? date.toLocaleDateString(undefined, { day: "numeric", month: "short" })
      : date.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit" });
  }

  /** @param {any} plot */
  #drawSpans(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = this.#palette.span;
    for (const { since, until } of this.#spans) {
      const left = Math.max(bbox.left, plot.valToPos(since, "x", true));
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(until, "x", true));
      if (right > left) ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
    }
    ctx.restore();
  }

  /** @param {any} plot */
  #brushed(plot) {
    const { left, width } = plot.select;
    if (width > 0) plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (width >= LEAST_BRUSH) this.around.zoom(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
  }

  /** Write the value at a drawn point, or the newest. @param {number | null} index */
  #tell(index) {
    const column = this.#column;
    if (column === null) return;
    const newest = column.middle.findLastIndex((value) => value !== null);
    const at = index === null ? newest : this.#order[index];
    if (index !== null && at >= 0) this.around.hover(this.#times[at]);
    const value = at >= 0 ? column.middle[at] : null;
    setText(this.value, value === null || value === undefined ? "–" : this.signal.write(value));
    const [low, high] = at >= 0 ? [column.reference_low[at], column.reference_high[at]] : [null, null];
    const band = low === null || high === null ? "learning" : `usually ${this.#between(low, high)}`;
    setText(this.usual, band);
    this.element.dataset.shifted = String(at >= 0 && column.shifted[at]);
    if (index === null)
      this.element.setAttribute("aria-label", `${this.signal.name} ${this.value.textContent}, ${band}. Arrow keys read, plus and minus zoom.`);
  }

  /** @param {number} low @param {number} high */
  #between(low, high) {
    const [from, to] = [this.signal.write(low), this.signal.write(high)];
    return `${from.endsWith(" %") ? from.slice(0, -2) : from}–${to}`;
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const plot = this.#plot;
    if (plot === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.#order.length - 1;
    const at = plot.cursor.idx ?? last;
    const middle = this.#times[this.#order[at]] ?? (this.#range[0] + this.#range[1]) / 2;
    const steps = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1, Home: -last, End: last });
    if (event.key in steps) {
      let to = Math.min(last, Math.max(0, at + steps[event.key]));
      if (this.#order[to] < 0) to += Math.sign(steps[event.key]);
      const time = plot.data[0][to];
      plot.setCursor({ left: plot.valToPos(time, "x"), top: 1 }, true, true);
      this.around.say(`${clock(time * 1000)}: ${this.signal.name} ${this.value.textContent}`);
    } else if (event.key === "+") this.around.zoomBy(0.5, middle);
    else if (event.key === "-") this.around.zoomBy(2, middle);
    else if (event.key === "Escape" || event.key === "0") this.around.reset();
    else return;
    event.preventDefault();
  }
}

/** Room above and below, so that nothing sticks to an edge. @param {number | null} low @param {number | null} high */
function room(low, high) {
  if (low === null || high === null) return [0, 1];
  const space = Math.max((high - low) * 0.15, Math.abs(high) * 0.02, 0.005);
  return [low - space, high + space];
}
