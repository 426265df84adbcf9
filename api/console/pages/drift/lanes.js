// Every camera's lane over one time axis: how far back, brush to zoom, one hover over all series.

import { Feed } from "../../api.js";
import { onThemeChange } from "../../chart.js";
import { serverNow } from "../../clock.js";
import { h, icon, setText } from "../../element.js";
import { keep, recall } from "../../stored.js";
import { clock, exact } from "../../time.js";
import { Lane } from "./lane.js";

const RANGES = /** @type {[string, number][]} */ ([
  ["1 h", 3600],
  ["6 h", 6 * 3600],
  ["24 h", 24 * 3600],
  ["7 d", 7 * 86_400],
]);
/** So many cameras are shown with their signals at once; of more, those that drift. */
const OPEN_AT_ONCE = 2;
const LEAST_ZOOM = 120;

export class Lanes {
  /** @type {Map<string, Lane>} */
  lanes = new Map();
  /** @type {[number, number] | null} */
  #zoomed = null;
  /** @type {Set<string>} lanes that a person has opened or closed */
  #touched = new Set();
  #range = recall("drift-range", 6 * 3600);

  /** @param {HTMLElement} place @param {Feed} signals @param {Feed} episodes */
  constructor(place, signals, episodes) {
    this.signals = signals;
    this.episodes = episodes;
    this.buttons = RANGES.map(([name, seconds]) =>
      h("button", { class: "button", type: "button", onclick: () => this.#choose(seconds), dataset: { seconds } }, name),
    );
    this.reset = h(
      "button",
      { class: "button outlined", type: "button", hidden: true, onclick: () => this.#zoom(null) },
      "Whole range",
    );
    this.summary = h("p", { class: "drift-summary" });
    this.hovered = h("p", { class: "drift-hover", "aria-hidden": "true" });
    this.said = h("p", { class: "sr-only", role: "status" });
    const key = (/** @type {string} */ kind, /** @type {string} */ text) =>
      h("li", {}, h("span", { class: `key key-${kind}`, "aria-hidden": "true" }), text);
    this.place = h("div", { class: "lanes" });
    this.element = h(
      "div",
      { class: "drift-lanes" },
      h(
        "div",
        { class: "drift-bar" },
        this.summary,
        this.hovered,
        this.reset,
        h("div", { class: "ranges", role: "group", "aria-label": "How far back" }, ...this.buttons),
      ),
      this.place,
      h(
        "ul",
        { class: "drift-legend", "aria-label": "What the charts show" },
        key("line", "median of a window"),
        key("band", "usual: 8 of 10 samples"),
        key("shifted", "shifted"),
        key("span", "episode"),
        h("li", {}, "Drag over a chart to zoom in, double-click to zoom out"),
      ),
      this.said,
    );
    place.append(this.element);
    this.unwatch = onThemeChange(() => {
      for (const lane of this.lanes.values()) lane.repaint();
    });
    this.around = {
      zoom: (/** @type {number} */ from, /** @type {number} */ to) => this.#zoom([from, to]),
      zoomBy: (/** @type {number} */ factor, /** @type {number} */ around) => this.#zoomBy(factor, around),
      reset: () => this.#zoom(null),
      hover: (/** @type {number | null} */ time) =>
        setText(this.hovered, time === null ? "" : `at ${clock(time * 1000)}`),
      say: (/** @type {string} */ text) => setText(this.said, text),
    };
    this.#mark();
  }

  dispose() {
    this.unwatch();
    for (const lane of this.lanes.values()) lane.dispose();
    this.element.remove();
  }

  /** Show what the feeds know. */
  update() {
    const cameras = /** @type {import("./lane.js").Camera[]} */ (this.signals.data.cameras);
    const ids = new Set(cameras.map(({ camera }) => camera));
    for (const [id, lane] of this.lanes) {
      if (ids.has(id)) continue;
      lane.dispose();
      this.lanes.delete(id);
    }
    const view = this.#view();
    const all = /** @type {import("./lane.js").Episode[]} */ (this.episodes.data?.episodes ?? []);
    for (const camera of cameras) {
      let lane = this.lanes.get(camera.camera);
      if (lane === undefined) {
        lane = new Lane(camera, this.around, ({ camera: { camera: id } }) => this.#touched.add(id));
        this.lanes.set(camera.camera, lane);
      }
      lane.update(camera, all.filter((episode) => episode.camera === camera.camera), view);
      const wanted = camera.state === "drifting" || cameras.length <= OPEN_AT_ONCE;
      if (!this.#touched.has(camera.camera) && wanted && !lane.open) lane.setOpen(true);
    }
    this.#arrange(cameras);
    this.#count(cameras);
  }

  /** Read what has come since. */
  load() {
    for (const lane of this.lanes.values()) if (lane.open) lane.load();
  }

  /** What drifts comes first. @param {import("./lane.js").Camera[]} cameras */
  #arrange(cameras) {
    const order = ["drifting", "learning", "watching", "silent"];
    const sorted = [...cameras].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
    const elements = sorted.map(({ camera }) => /** @type {Lane} */ (this.lanes.get(camera)).element);
    if (elements.some((element, at) => this.place.children[at] !== element)) this.place.replaceChildren(...elements);
  }

  /** @param {import("./lane.js").Camera[]} cameras */
  #count(cameras) {
    const count = (/** @type {string} */ state) => cameras.filter((camera) => camera.state === state).length;
    const parts = [`${cameras.length} ${cameras.length === 1 ? "camera" : "cameras"}`];
    for (const [state, word] of /** @type {[string, string][]} */ ([
      ["drifting", "drifting"],
      ["learning", "learning"],
      ["watching", "as usual"],
      ["silent", "silent"],
    ]))
      if (count(state) > 0) parts.push(`${count(state)} ${word}`);
    setText(this.summary, parts.join(" · "));
  }

  /** @returns {import("./lane.js").View} */
  #view() {
    const now = serverNow() / 1000;
    return { range: this.#zoomed ?? [now - this.#range, now], zoomed: this.#zoomed !== null, now };
  }

  /** @param {number} seconds */
  #choose(seconds) {
    this.#range = seconds;
    this.#zoomed = null;
    keep("drift-range", seconds);
    for (const lane of this.lanes.values()) lane.forget();
    this.#mark();
    this.update();
    this.load();
  }

  /** @param {[number, number] | null} range */
  #zoom(range) {
    this.#zoomed = range;
    this.#mark();
    this.update();
    this.around.say(range === null ? "The whole range is shown" : `From ${exact(range[0] * 1000)} to ${exact(range[1] * 1000)}`);
  }

  /** @param {number} factor @param {number} around */
  #zoomBy(factor, around) {
    const { range: [from, to], now } = this.#view();
    const length = Math.max(LEAST_ZOOM, (to - from) * factor);
    if (length >= this.#range) this.#zoom(null);
    else this.#zoom([Math.max(now - this.#range, around - length / 2), Math.min(now, around + length / 2)]);
  }

  #mark() {
    for (const button of this.buttons)
      button.setAttribute("aria-pressed", String(Number(button.dataset.seconds) === this.#range));
    this.reset.hidden = this.#zoomed === null;
  }
}

/** Lanes that are about to be there. @param {number} count */
export function skeletons(count) {
  return h(
    "div",
    { class: "lanes" },
    h("p", { class: "sr-only" }, "Asking what the cameras are like"),
    ...Array.from({ length: count }, () =>
      h(
        "div",
        { class: "lane lane-skeleton" },
        h("div", { class: "skeleton-line" }),
        h("div", { class: "charts" }, ...Array.from({ length: 4 }, () => h("div", { class: "skeleton-chart" }))),
      ),
    ),
  );
}

/** @param {HTMLElement} commands how a camera is started */
export function noLanes(commands) {
  return h(
    "section",
    { class: "card" },
    icon("drift"),
    h("h2", {}, "Nothing is watched yet"),
    h(
      "p",
      {},
      "For each camera a lane appears here: how bright, sharp and colourful its pictures are, what is seen on them, and when either became different. What is usual is learned in its first ten minutes.",
    ),
    commands,
  );
}
