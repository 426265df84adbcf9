// One camera on the wall: its stream while it is in sight, its state, and what stands over and under its picture.

import { serverNow } from "../../clock.js";
import { h, icon, setText } from "../../element.js";
import { LiveSocket } from "../../live-socket.js";
import { countStates, sayCounts } from "../../states.js";
import { age, ago, clock, exact, span } from "../../time.js";
import { Picture } from "./picture.js";

/** @typedef {import("../../live-socket.js").LiveFrame} LiveFrame */
/**
 * @typedef {{id: string, name: string, source: string, rate: number, recorded: number, paused: boolean, managed: boolean,
 *   state: "online" | "offline" | "unknown", since: string | null, reason: string}} Camera as GET /cameras tells it
 */
/** @typedef {"live" | "stale" | "offline" | "waiting" | "loading"} State */

/** Without a newer picture for so long, a picture is old; slow cameras get three of their own intervals. */
const STALE = { least: 3000, most: 10_000, intervals: 3 };
/** How long a first picture may take before the tile says what is missing. */
const PATIENCE = 5000;

export class Tile {
  /** Whether the tile is in sight; one that is not has no stream. */
  active = false;
  #opened = 0;
  #latency = 0;
  /** Why the server has nothing newer, as it said itself. */
  #missing = "";

  /** @param {Camera} camera @param {import("./picture.js").View} view @param {() => void} onFrame */
  constructor(camera, view, onFrame) {
    this.camera = camera;
    this.view = view;
    this.picture = new Picture(camera.id, view, () => {
      this.#missing = "";
      this.#latency = this.age;
      if (this.element.dataset.state !== this.state) this.tick();
      onFrame();
    });
    this.socket = new LiveSocket(camera.id, {
      onFrame: (live, jpeg, done) => this.picture.show(live, jpeg, done, () => this.active),
      onStale: ({ reason }) => {
        this.#missing = reason;
        this.tick();
      },
      onChange: () => this.tick(),
    });
    this.link = h("a", { class: "open", href: `/live/${camera.id}` });
    this.badge = h("p", { class: "badge", hidden: true });
    this.notice = h("div", { class: "notice", hidden: true });
    this.number = h("kbd", { class: "hint", "aria-hidden": "true" });
    this.name = h("span");
    this.figures = Object.fromEntries(
      ["rate", "age", "dropped", "model"].map((name) => [name, h("li", { class: `figure ${name}` })]),
    );
    this.figures.rate.append(h("span"), h("span", { class: "unit" }, " frames"), "/s");
    this.figures.dropped.append(h("span"), h("span", { class: "reason" }));
    const frame = h("div", { class: "picture" }, this.picture.canvas, this.badge, this.notice, this.link);
    frame.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.picture.hover(event));
    frame.addEventListener("pointerleave", () => this.picture.hover(null));
    const figures = h("ul", { class: "figures" }, ...Object.values(this.figures));
    this.element = h(
      "article",
      { class: "tile" },
      frame,
      h("div", { class: "caption" }, h("h2", {}, this.number, this.name), figures),
    );
  }

  get title() {
    return this.camera.name || this.camera.id;
  }

  /** @param {Camera} camera as it is now @param {number} number of its key, counted from 1 */
  update(camera, number) {
    this.camera = camera;
    setText(this.name, this.title);
    setText(this.number, String(number));
    this.number.hidden = number > 9;
    this.link.setAttribute("aria-label", `Open ${this.title}`);
    this.tick();
  }

  /** Stream while in sight, and only then. @param {boolean} active */
  setActive(active) {
    if (active === this.active) return;
    this.active = active;
    if (active) {
      this.#opened = Date.now();
      this.socket.open();
    } else {
      this.socket.close();
      this.picture.drop();
    }
    this.tick();
  }

  dispose() {
    this.setActive(false);
    this.picture.dispose();
    this.element.remove();
  }

  /** @returns {State} */
  get state() {
    const { live } = this.picture;
    if (live !== null) {
      const patience = Math.max(STALE.least, Math.min(STALE.most, (STALE.intervals * 1000) / live.rate));
      if (this.age <= patience) return "live";
    }
    if (this.camera.state === "offline") return "offline";
    if (live !== null) return "stale";
    const late = this.active && Date.now() - this.#opened > PATIENCE;
    return late || this.#missing !== "" ? "waiting" : "loading";
  }

  /** The faces of the drawn frame while it is fresh; an old picture says nothing about now. */
  get faces() {
    return this.state === "live" && this.picture.live !== null ? this.picture.live.objects : [];
  }

  /** How long ago the drawn frame was published, in milliseconds of the server's clock. */
  get age() {
    const { live } = this.picture;
    return live === null ? 0 : Math.max(0, serverNow() - Date.parse(live.published));
  }

  /** Bring everything but the picture up to date. */
  tick() {
    const { state } = this;
    const { live } = this.picture;
    this.element.dataset.state = state;
    const seen =
      live === null
        ? "no picture yet"
        : state === "live"
          ? sayCounts(countStates(live.objects))
          : `${state}, the last picture is old`;
    this.picture.canvas.setAttribute("aria-label", `${this.title}: ${seen}`);
    this.badge.hidden = state !== "stale";
    if (state === "stale") setText(this.badge, [`${span(this.age)} old`, this.#trouble()].filter(Boolean).join(" · "));
    this.notice.hidden = state !== "offline" && state !== "waiting";
    if (state === "offline")
      this.#notify("offline", "Offline", { text: this.camera.reason || "The camera stopped." }, this.camera.since);
    if (state === "waiting") this.#notify("waiting", "No picture yet", this.#advice(), null);
    this.#showFigures(state, live);
  }

  /** Why there is nothing newer, as far as is known. */
  #trouble() {
    const { retryAt, reason } = this.socket;
    if (this.view.lost) return "";
    if (retryAt === null) return this.#missing;
    const wait = `reconnecting in ${span(Math.max(0, retryAt - Date.now()) + 999)}`;
    return reason ? `${reason} · ${wait}` : wait;
  }

  /** What is missing for a first picture, and how to get it. @returns {{text: string, command?: string}} */
  #advice() {
    const { id, source, state } = this.camera;
    if (this.socket.retryAt !== null) return { text: this.#trouble() };
    if (state === "unknown")
      return { text: "This camera has not been started.", command: `maskwatch camera ${source} --id ${id}` };
    // The server knows better what is away than this side can guess.
    if (this.#missing !== "") return { text: this.#missing };
    return { text: "The camera sends, but no detector has answered. Is one running?", command: "maskwatch detector" };
  }

  /**
   * Say over the picture what is the matter.
   *
   * @param {"offline" | "waiting"} mark @param {string} title
   * @param {{text: string, command?: string}} advice @param {string | null} since
   */
  #notify(mark, title, { text, command }, since) {
    const said = [title, text, command, since].join("\n");
    if (this.notice.dataset.said !== said) {
      this.notice.dataset.said = said;
      const code = command === undefined ? null : h("code", {}, command);
      const time = since === null ? null : h("time", { datetime: since, title: exact(Date.parse(since)) });
      const lines = [
        h("p", { class: "notice-title" }, icon(mark), title),
        h("p", { class: "notice-text" }, text),
        code,
        time,
      ];
      this.notice.replaceChildren(h("div", { class: "notice-box" }, ...lines));
    }
    const time = this.notice.querySelector("time");
    if (time !== null && since !== null)
      setText(time, `since ${clock(Date.parse(since))} · ${ago(Date.parse(since), serverNow())}`);
  }

  /** @param {State} state @param {LiveFrame | null} live */
  #showFigures(state, live) {
    for (const figure of Object.values(this.figures)) figure.hidden = live === null;
    if (live === null) return;
    const { rate, age: aged, dropped, model } = this.figures;
    const fresh = state === "live";
    setText(rate.firstChild, fresh ? live.rate.toFixed(1) : "0");
    rate.title = "Frames with their boxes a second, over the last few seconds";
    setText(aged, fresh ? age(this.#latency) : `${span(this.age)} old`);
    aged.title = `Captured ${exact(Date.parse(live.frame.captured))}. The age counts from the broker's receipt to the drawing.`;
    aged.classList.toggle("bad", !fresh);
    setText(dropped.firstChild, `${live.dropped.toLocaleString("en")} dropped`);
    setText(dropped.lastChild, live.dropped > 0 ? " · newest wins" : "");
    dropped.title = "Frames of this session that were skipped, so that the newest is never late";
    setText(model, `model ${live.model.version}`);
    model.title = `${live.model.name} ${live.model.version}, SHA-256 ${live.model.sha256}`;
  }
}
