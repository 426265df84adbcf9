// What a page asks for: its feeds begin, ask at once and end together, and it says when their answers are old.

import { setText } from "./element.js";
import { span } from "./time.js";

/** What is older than this, in milliseconds, is shown as old once the next answer fails. */
const STALE = 12_000;

export class PageFeeds {
  /** @type {import("./api.js").Feed[]} of what is shown */
  all = [];

  /** @param {() => void} heard called when any of them answered or failed */
  constructor(heard) {
    this.heard = heard;
  }

  /** Ask for these from now on, instead of those before. @param {import("./api.js").Feed[]} feeds */
  ask(feeds) {
    this.stop();
    this.all = feeds;
    for (const feed of feeds) feed.addEventListener("change", this.heard);
    this.refresh();
  }

  /** Ask all of them at once: something was done. */
  refresh() {
    for (const feed of this.all) feed.refresh();
  }

  stop() {
    for (const feed of this.all) feed.stop();
    this.all = [];
  }

  /** How old the oldest answer is that no newer one replaces, in milliseconds; null while none is old. */
  get old() {
    const ages = this.all.filter(({ data, error }) => data !== null && error !== null).map(({ heardAt }) => Date.now() - heardAt);
    const oldest = Math.max(0, ...ages);
    return oldest > STALE ? oldest : null;
  }
}

/**
 * Say above a page how old it is, and dim it; or show it as it is.
 *
 * @param {HTMLElement} page @param {HTMLElement} note @param {number | null} old as the page's feeds have it
 * @param {string} [why] what is said instead, if what is shown is old for another reason
 */
export function sayAge(page, note, old, why = "") {
  const stale = old !== null || why !== "";
  page.dataset.stale = String(stale);
  note.hidden = !stale;
  if (stale) setText(note, why || `${span(old ?? 0)} old: there is no answer at the moment.`);
}
