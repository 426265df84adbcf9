// Models: which one serves, how each version came to be and was judged, and the round that makes the next one.

import { Feed, UNAUTHORIZED } from "../../api.js";
import { failed, locked, putCard } from "../../cards.js";
import { h, icon } from "../../element.js";
import { PageFeeds, sayAge } from "../../page-feeds.js";
import { decodePart } from "../../router.js";
import { Overview } from "./overview.js";
import { Version } from "./version.js";
import { versionName } from "./words.js";

const EVERY = 5000;
/** Rounds are watched more closely. */
const RUNS_EVERY = 2500;

export class ModelsPage {
  /** @type {Overview | Version | null} */
  #content = null;
  /** @type {string | null} the version that is shown */
  #version = null;
  #shown = false;

  /** @param {HTMLElement} root @param {any} app */
  constructor(root, { shell }) {
    this.shell = shell;
    this.message = h("div", { class: "message", hidden: true });
    this.stale = h("p", { class: "stale-note", hidden: true });
    this.place = h("div", { class: "models-place" });
    this.element = h("div", { class: "models-page" }, this.stale, this.message, this.place);
    root.append(this.element);
    this.feeds = new PageFeeds(() => this.#heard());
    this.timer = setInterval(() => this.#tick(), 1000);
  }

  /** @param {RegExpMatchArray} match */
  show(match) {
    const version = match[1] === undefined ? null : decodePart(match[1]);
    if (this.#shown && version === this.#version) return;
    this.#clear();
    this.#version = version;
    this.#title();
    if (this.#shown) this.shell.focusTitle();
    this.#shown = true;
    const runs = new Feed("/runs", { every: RUNS_EVERY });
    const models = new Feed("/models", { every: EVERY });
    const shown = version === null ? [] : [new Feed(`/models/${encodeURIComponent(version)}`, { every: EVERY })];
    this.feeds.ask([...shown, models, runs]);
    this.#heard();
  }

  unmount() {
    clearInterval(this.timer);
    this.#clear();
  }

  #clear() {
    this.feeds.stop();
    this.#content?.dispose();
    this.#content = null;
  }

  #title() {
    const known = this.#version === null ? null : this.feeds.all[0]?.data;
    const name = known ? versionName(known.model) : this.#version;
    this.shell.setTitle("Models", name === null ? null : { home: "/models", name });
  }

  /** A feed answered or failed. */
  #heard() {
    const card = this.#card();
    putCard(this.message, card);
    this.place.hidden = card !== null;
    if (card === null) {
      const around = { toast: this.shell.toast, acted: () => this.feeds.refresh() };
      const [first, second, third] = this.feeds.all;
      this.#content ??=
        this.#version === null ? new Overview(this.place, first, second, around) : new Version(this.place, { version: first, models: second, runs: third }, around);
      this.#content.update();
      this.#title();
    }
    this.#tick();
  }

  /** What stands in place of the content; same id, same card. @returns {{id: string, element: HTMLElement} | null} */
  #card() {
    const error = this.feeds.all.find((feed) => feed.error?.status === UNAUTHORIZED || feed.data === null)?.error ?? null;
    const waiting = this.feeds.all.find((feed) => feed.data === null);
    if (error?.status === UNAUTHORIZED) return { id: "token", element: locked() };
    if (this.#version !== null && this.feeds.all[0].error?.status === 404) return { id: "unknown", element: unknown() };
    if (waiting !== undefined && waiting.error !== null)
      return { id: `error ${waiting.error.message}`, element: failed("What is known of models cannot be read", waiting.error, waiting) };
    if (waiting !== undefined) return { id: "loading", element: skeleton() };
    return null;
  }

  /** Say how old it is, once it is old. */
  #tick() {
    sayAge(this.element, this.stale, this.place.hidden ? null : this.feeds.old);
    this.#content?.tick();
  }
}

function unknown() {
  return h(
    "section",
    { class: "card" },
    icon("models"),
    h("h2", {}, "There is no such version"),
    h("p", {}, "The address may be another installation's, or several versions have this name."),
    h("div", { class: "actions" }, h("a", { class: "button primary", href: "/models" }, "All versions")),
  );
}

function skeleton() {
  return h(
    "div",
    { class: "models models-skeleton" },
    h("p", { class: "sr-only" }, "Asking for the models"),
    h("div", { class: "models-row" }, h("div", { class: "block skeleton-block" }), h("div", { class: "block skeleton-block" })),
    h("div", { class: "block skeleton-block" }),
  );
}
