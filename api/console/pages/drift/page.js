// Drift: is the world still what it was? A lane for each camera, and the story of each episode.

import { Feed, UNAUTHORIZED } from "../../api.js";
import { failed, locked, putCard } from "../../cards.js";
import { CAMERA_COMMANDS, commandList } from "../../dialogs.js";
import { h, icon } from "../../element.js";
import { PageFeeds, sayAge } from "../../page-feeds.js";
import { decodePart } from "../../router.js";
import { keep, recall } from "../../stored.js";
import { Lanes, noLanes, skeletons } from "./lanes.js";
import { Story } from "./story.js";

const EVERY = 5000;

export class DriftPage {
  /** @type {Lanes | Story | null} */
  #content = null;
  /** @type {string | null} the episode that is shown */
  #episode = null;
  #shown = false;

  /** @param {HTMLElement} root @param {any} app */
  constructor(root, { shell, alerts }) {
    this.shell = shell;
    this.alerts = alerts;
    this.message = h("div", { class: "message", hidden: true });
    this.stale = h("p", { class: "stale-note", hidden: true });
    this.place = h("div", { class: "drift-place" });
    this.element = h("div", { class: "drift" }, this.stale, this.message, this.place);
    root.append(this.element);
    this.feeds = new PageFeeds(() => this.#heard());
    this.timer = setInterval(() => this.#tick(), 1000);
  }

  /** @param {RegExpMatchArray} match */
  show(match) {
    const episode = match[1] === undefined ? null : decodePart(match[1]);
    if (this.#shown && episode === this.#episode) return;
    this.#clear();
    this.#episode = episode;
    this.shell.setTitle("Drift", episode === null ? null : { home: "/drift", name: episode.split(":")[0] });
    if (this.#shown) this.shell.focusTitle();
    this.#shown = true;
    const paths = episode === null ? ["/signals", "/episodes?limit=500"] : [`/episodes/${encodeURIComponent(episode)}`];
    this.feeds.ask(paths.map((path) => new Feed(path, { every: EVERY })));
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

  /** A feed answered or failed. */
  #heard() {
    const card = this.#card();
    putCard(this.message, card);
    this.place.hidden = card !== null;
    if (card === null) {
      const [first, second] = this.feeds.all;
      this.#content ??=
        this.#episode === null
          ? new Lanes(this.place, first, second)
          : new Story(this.place, first, { toast: this.shell.toast, acted: () => this.alerts.refresh() });
      this.#content.update();
      if (this.#content instanceof Lanes) {
        this.#content.load();
        keep("lanes", first.data.cameras.length);
      }
    }
    this.#tick();
  }

  /** What stands in place of the content; same id, same card. @returns {{id: string, element: HTMLElement} | null} */
  #card() {
    const [feed] = this.feeds.all;
    const { data, error } = feed;
    if (error?.status === UNAUTHORIZED) return { id: "token", element: locked() };
    if (error?.status === 404) return { id: "unknown", element: unknown() };
    if (data === null && error !== null)
      return { id: `error ${error.message}`, element: failed("What is known of drift cannot be read", error, feed) };
    if (data === null)
      return { id: "loading", element: this.#episode === null ? skeletons(Math.min(6, Math.max(1, recall("lanes", 1)))) : storySkeleton() };
    if (this.#episode === null && data.cameras.length === 0)
      return { id: "empty", element: noLanes(commandList(CAMERA_COMMANDS, this.shell.toast)) };
    return null;
  }

  /** Say how old it is, once it is old. */
  #tick() {
    if (this.place.hidden) sayAge(this.element, this.stale, null);
    else {
      const away = this.feeds.all[0]?.data?.current === false;
      sayAge(this.element, this.stale, this.feeds.old, away ? "Kafka is away: this is what was known." : "");
    }
  }
}

function unknown() {
  return h(
    "section",
    { class: "card" },
    icon("drift"),
    h("h2", {}, "There is no such episode"),
    h("p", {}, "Episodes are kept for thirty days; the address may be another installation's."),
    h("div", { class: "actions" }, h("a", { class: "button primary", href: "/drift" }, "All cameras")),
  );
}

function storySkeleton() {
  return h(
    "div",
    { class: "story story-skeleton" },
    h("p", { class: "sr-only" }, "Asking for the episode"),
    h("div", { class: "skeleton-line" }),
    h("div", { class: "frames" }, h("div", { class: "skeleton-picture" }), h("div", { class: "skeleton-picture" })),
    h("div", { class: "skeleton-chart" }),
  );
}
