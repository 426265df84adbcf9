// A lane: one camera, whether it is what it used to be, its episodes on a line, and its signals below.

import { getJson } from "../../api.js";
import { chartLibrary } from "../../chart.js";
import { h, icon, setText } from "../../element.js";
import { ago, clock, exact } from "../../time.js";
import { SignalChart } from "./signal-chart.js";
import { signalOf } from "./signals.js";

/** @typedef {import("./signal-chart.js").Column} Column */
/** @typedef {{times: number[], signals: Record<string, Column>}} Series one value of each part for each time */
/** @typedef {Series & {from: number, next: string, seen: string | null}} Past read from there until `next`, when that was seen */
/** @typedef {{camera: string, name: string, state: "learning" | "watching" | "drifting" | "silent", learned: number,
 *   seen: string | null, episode: string | null, signals: {signal: string, shifted: boolean}[]}} Camera */
/** @typedef {{id: string, camera: string, kind: string, state: "open" | "acknowledged" | "ended", since: string,
 *   started: string, ended: string | null, text: string, signals: string[]}} Episode */
/** @typedef {{range: [number, number], zoomed: boolean, now: number}} View times in seconds since 1970 */

const POINTS = 720;
/** So much more than the range is kept, in seconds: lines reach its edge, and the server's clock may be found earlier. */
const BEYOND = 120;
/** Rows of the table; it says that there are more. */
const ROWS = 60;

/** What a lane's state is called, and what it means. */
const STATES = {
  learning: { word: "Learning", icon: "learning" },
  watching: { word: "As usual", icon: "watching" },
  drifting: { word: "Drifting", icon: "drifting" },
  silent: { word: "Silent", icon: "silent" },
};

export class Lane {
  open = false;
  /** @type {Map<string, SignalChart>} */
  charts = new Map();
  /** @type {Past | null} */
  #past = null;
  /** How often the range became another: an answer that was asked for before is of no use. */
  #ranges = 0;
  #asking = false;
  #disposed = false;
  /** @type {Episode[]} */
  #episodes = [];
  /** @type {View | null} */
  #view = null;

  /** @param {Camera} camera @param {import("./signal-chart.js").Around} around @param {(lane: Lane) => void} opened */
  constructor(camera, around, opened) {
    this.camera = camera;
    this.around = around;
    const id = `lane-${camera.camera}`;
    this.chip = h("span", { class: "lane-state" });
    this.title = h("a", { href: `/live/${camera.camera}` });
    this.sentence = h("p", { class: "lane-sentence" });
    this.toggle = h(
      "button",
      { class: "button lane-toggle", type: "button", "aria-expanded": "false", "aria-controls": id },
      icon("scores"),
      h("span", {}, "Signals"),
    );
    this.toggle.addEventListener("click", () => {
      this.setOpen(!this.open);
      opened(this);
    });
    this.tableToggle = h(
      "button",
      { class: "button lane-table", type: "button", "aria-pressed": "false", hidden: true, onclick: () => this.#turn() },
      icon("details"),
      h("span", {}, "Table"),
    );
    this.track = h("ol", { class: "track", "aria-label": "Episodes" });
    this.grid = h("div", { class: "charts" });
    this.table = h("div", { class: "signal-table", tabindex: "0", role: "region", hidden: true });
    this.note = h("p", { class: "quiet lane-note", hidden: true });
    this.body = h("div", { class: "lane-body", id, hidden: true }, this.note, this.grid, this.table);
    this.element = h(
      "section",
      { class: "lane", "aria-label": camera.name, dataset: { camera: camera.camera } },
      h("div", { class: "lane-head" }, h("h2", {}, this.title), this.chip, this.sentence, this.tableToggle, this.toggle),
      this.track,
      this.body,
    );
  }

  /** @param {Camera} camera @param {Episode[]} episodes of it, the newest first @param {View} view */
  update(camera, episodes, view) {
    this.camera = camera;
    this.#episodes = episodes;
    this.#view = view;
    setText(this.title, camera.name);
    const { word, icon: mark } = STATES[camera.state];
    const learned = camera.state === "learning" ? ` ${Math.round(camera.learned * 100)} %` : "";
    if (this.chip.dataset.said !== word + learned) {
      this.chip.dataset.said = word + learned;
      this.element.dataset.state = camera.state;
      this.chip.replaceChildren(icon(/** @type {any} */ (mark)), `${word}${learned}`);
    }
    this.#say(episodes);
    this.#lay(episodes, view);
    if (this.open) this.#draw();
  }

  /** @param {boolean} open */
  setOpen(open) {
    this.open = open;
    this.body.hidden = !open;
    this.tableToggle.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
    this.toggle.setAttribute("aria-pressed", String(open));
    if (open) this.load();
  }

  /** Read what is not known yet of the range that is shown, if there is anything. */
  async load() {
    const view = this.#view;
    if (view === null || this.#asking || this.#disposed) return;
    const [past, ranges] = [this.#past, this.#ranges];
    const { camera, seen } = this.camera;
    const from = view.zoomed && past !== null ? past.from : view.range[0];
    const known = past !== null && past.from <= from + 1;
    // Of much there is a part at a time: it is read on until what was seen is there.
    if (known && past.seen === seen && (seen === null || Date.parse(past.next) > Date.parse(seen))) return;
    const since = known ? past.next : new Date(from * 1000).toISOString();
    this.#asking = true;
    try {
      const path = `/signals/${camera}?since=${encodeURIComponent(since)}&points=${POINTS}`;
      const [answer, library] = await Promise.all([getJson(path), chartLibrary()]);
      if (!this.#disposed && ranges === this.#ranges) {
        this.library = library;
        const begin = known && !view.zoomed ? Math.max(past.from, from - BEYOND) : from;
        const series = known ? joined(past, answer, begin) : answer;
        this.#past = { ...series, from: begin, next: answer.next, seen };
        this.note.hidden = series.times.length > 0;
        setText(this.note, this.#nothing());
        this.#draw();
      }
    } catch (error) {
      this.note.hidden = false;
      setText(this.note, `The signals cannot be shown: ${error instanceof Error ? error.message : error}`);
    } finally {
      this.#asking = false;
    }
    // Nobody else asks for the range that was chosen while this was under way.
    if (ranges !== this.#ranges) await this.load();
  }

  /** The range is another: what was read is too short for it, or too coarse. */
  forget() {
    this.#past = null;
    this.#ranges += 1;
  }

  repaint() {
    for (const chart of this.charts.values()) chart.repaint();
  }

  dispose() {
    this.#disposed = true;
    for (const chart of this.charts.values()) chart.dispose();
    this.element.remove();
  }

  #nothing() {
    return this.camera.seen === null
      ? "No signals yet. They come a minute after the first detection, from «maskwatch drift», which «maskwatch up» starts."
      : `Nothing was measured in this time; the last was at ${clock(Date.parse(this.camera.seen))}.`;
  }

  /** @param {Episode[]} episodes */
  #say(episodes) {
    const current = episodes.find(({ state }) => state !== "ended");
    const { state, seen } = this.camera;
    const said =
      current?.text ??
      {
        learning: "Learning what is usual here.",
        watching: "",
        drifting: "",
        silent: seen === null ? "No signals yet." : "No signals",
      }[state];
    const key = `${current?.id} ${said} ${seen}`;
    if (this.sentence.dataset.key === key) return;
    this.sentence.dataset.key = key;
    this.sentence.replaceChildren(
      current === undefined ? said : h("a", { href: storyOf(current) }, said),
      ...(state === "silent" && seen !== null
        ? [" since ", h("time", { datetime: seen, title: exact(Date.parse(seen)) }, clock(Date.parse(seen)))]
        : []),
    );
  }

  /** @param {Episode[]} episodes @param {View} view */
  #lay(episodes, { range: [from, to], now }) {
    const percent = (/** @type {number} */ time) => Math.min(100, Math.max(0, ((time - from) / (to - from)) * 100));
    const shown = episodes.filter((episode) => spanOf(episode, now).until > from && spanOf(episode, now).since < to);
    const key = JSON.stringify(shown.map(({ id, state }) => [id, state]));
    if (this.track.dataset.key !== key) {
      this.track.dataset.key = key;
      this.track.replaceChildren(...shown.map(mark));
    }
    for (const [at, element] of [...this.track.children].entries()) {
      const { since, until } = spanOf(shown[at], now);
      const style = /** @type {HTMLElement} */ (element).style;
      style.left = `${percent(since)}%`;
      style.width = `${percent(until) - percent(since)}%`;
    }
    this.track.dataset.empty = String(shown.length === 0);
  }

  #draw() {
    const [past, view] = [this.#past, this.#view];
    if (past === null || view === null || this.library === undefined) return;
    const spans = this.#episodes.map((episode) => spanOf(episode, view.now));
    for (const name of Object.keys(past.signals)) {
      if (this.charts.has(name)) continue;
      const chart = new SignalChart(this.library, name, this.around);
      this.charts.set(name, chart);
      this.grid.append(chart.element);
    }
    for (const [name, chart] of this.charts) {
      const column = past.signals[name];
      if (column !== undefined) {
        chart.update(past.times, column, view.range, spans);
        continue;
      }
      // What comes rarely may not have come in the range that is shown now.
      chart.dispose();
      chart.element.remove();
      this.charts.delete(name);
    }
    if (!this.table.hidden) this.#fill();
  }

  #turn() {
    this.table.hidden = !this.table.hidden;
    this.grid.hidden = !this.table.hidden;
    this.tableToggle.setAttribute("aria-pressed", String(this.grid.hidden));
    this.#draw();
  }

  #fill() {
    const [past, view] = [this.#past, this.#view];
    if (past === null || view === null) return;
    const inside = past.times.flatMap((time, at) => (time >= view.range[0] && time <= view.range[1] ? [at] : []));
    const rows = inside.slice(-ROWS).reverse();
    const names = Object.keys(past.signals);
    const key = JSON.stringify([past.next, rows[0], rows.length]);
    if (this.table.dataset.key === key) return;
    this.table.dataset.key = key;
    this.table.setAttribute("aria-label", `Signals of ${this.camera.name} as a table`);
    const cell = (/** @type {string} */ name, /** @type {number} */ at) => {
      const column = past.signals[name];
      const value = column.middle[at];
      const shifted = column.shifted[at];
      const text = value === null || value === undefined ? "–" : signalOf(name).write(value);
      return h("td", { class: shifted ? "number shifted" : "number" }, shifted ? `${text} !` : text);
    };
    this.table.replaceChildren(
      h(
        "table",
        {},
        h(
          "caption",
          {},
          inside.length > ROWS ? `The newest ${ROWS} of ${inside.length} windows` : `${inside.length} windows`,
          "; «!» marks what has shifted.",
        ),
        h(
          "thead",
          {},
          h("tr", {}, h("th", { scope: "col" }, "Until"), ...names.map((name) => h("th", { scope: "col", class: "number" }, signalOf(name).name))),
        ),
        h(
          "tbody",
          {},
          ...rows.map((at) =>
            h("tr", {}, h("th", { scope: "row" }, clock(past.times[at] * 1000)), ...names.map((name) => cell(name, at))),
          ),
        ),
      ),
    );
  }
}

/** The address of an episode's story. @param {{id: string}} episode */
export function storyOf({ id }) {
  return `/drift/${encodeURIComponent(id)}`;
}

/** @param {{since: string, ended: string | null}} episode @param {number} now */
export function spanOf({ since, ended }, now) {
  return { since: Date.parse(since) / 1000, until: ended === null ? now : Date.parse(ended) / 1000 };
}

/** @param {Episode} episode */
function mark(episode) {
  const { state, since, ended, text } = episode;
  const until = ended === null ? "still going on" : `until ${clock(Date.parse(ended))}`;
  const label = `${text}; ${until}`;
  return h(
    "li",
    { class: "track-episode", dataset: { state } },
    h("a", { href: storyOf(episode), title: `${label} (${ago(Date.parse(since), Date.now())})`, "aria-label": label }),
  );
}

/**
 * Put what came since behind what is known, and let go of what the range has left behind.
 *
 * @param {Series} past @param {Series} more @param {number} from in seconds since 1970
 * @returns {Series}
 */
export function joined(past, more, from) {
  const first = past.times.findIndex((time) => time >= from);
  const left = first < 0 ? past.times.length : first;
  if (left === 0 && more.times.length === 0) return past;
  const names = [...new Set([...Object.keys(past.signals), ...Object.keys(more.signals)])];
  const hole = (/** @type {number[]} */ times, /** @type {string} */ part) => times.map(() => (part === "shifted" ? false : null));
  const parts = /** @type {(keyof Column)[]} */ (["low", "middle", "high", "reference_low", "reference_middle", "reference_high", "effect", "threshold", "shifted"]);
  const signals = Object.fromEntries(
    names.map((name) => [
      name,
      Object.fromEntries(
        parts.map((part) => [
          part,
          [...(past.signals[name]?.[part] ?? hole(past.times, part)).slice(left), ...(more.signals[name]?.[part] ?? hole(more.times, part))],
        ]),
      ),
    ]),
  );
  return { times: [...past.times.slice(left), ...more.times], signals: /** @type {any} */ (signals) };
}
