// All of it: the model in service with the way back, the round that is under way, and the time line of versions.

import { change } from "../../api.js";
import { attempt } from "../../attempt.js";
import { serverNow } from "../../clock.js";
import { askOnce } from "../../dialogs.js";
import { h, icon, setText } from "../../element.js";
import { ago, clock, timeElement } from "../../time.js";
import { Round } from "./round.js";
import { sayLesson, sayVerdict, versionName } from "./words.js";

/** @typedef {import("../../api.js").Feed} Feed */
/** @typedef {import("../../attempt.js").Around} Around */

/** What a version is, and its mark. @type {Record<string, [string, string]>} */
export const VERSION_STATES = {
  champion: ["In service", "watching"],
  candidate: ["Waits for a decision", "waiting"],
  refused: ["Refused", "close"],
  retired: ["Served before", "back"],
};

export class Overview {
  /** @param {HTMLElement} place @param {Feed} models @param {Feed} runs @param {Around} around */
  constructor(place, models, runs, around) {
    this.models = models;
    this.runs = runs;
    this.around = around;
    this.name = h("p", { class: "service-name" });
    this.facts = h("p", { class: "quiet" });
    this.back = h("button", { class: "button outlined", type: "button", onclick: () => this.#askBack() });
    this.service = h(
      "section",
      { class: "block service", "aria-label": "In service" },
      h("h2", {}, "In service"),
      this.name,
      this.facts,
      h("div", { class: "actions" }, this.back),
    );
    this.round = new Round(around);
    this.line = h("ol", { class: "timeline" });
    this.nothing = h(
      "p",
      { class: "quiet" },
      "No version was made here yet. Label frames in ",
      h("a", { href: "/review" }, "Review"),
      ": once there are enough, a round of training makes one, and it appears here with what judged it.",
    );
    this.element = h(
      "div",
      { class: "models" },
      h("div", { class: "models-row" }, this.service, this.round.element),
      h("section", { class: "block", "aria-label": "Versions" }, h("h2", {}, "Versions"), this.nothing, this.line),
    );
    place.append(this.element);
  }

  dispose() {
    this.round.dispose();
    this.element.remove();
  }

  tick() {
    const now = serverNow();
    for (const element of this.element.querySelectorAll("time.ago")) setText(element, ago(Date.parse(element.dateTime), now));
  }

  /** Show what the feeds know. */
  update() {
    this.#showService(this.models.data);
    this.round.update(this.runs.data);
    this.#showLine(this.models.data.versions, this.runs.data.runs);
    this.tick();
  }

  /** @param {any} models */
  #showService({ champion, own, previous, can_roll_back: canGoBack, since, by, why }) {
    const key = JSON.stringify([champion, own, previous, canGoBack, since, by, why]);
    if (this.service.dataset.key === key) return;
    this.service.dataset.key = key;
    const named = champion ?? own;
    setText(this.name, named === null ? "Each worker's own model" : `${named.name} ${versionName(named)}`);
    if (since === null) this.facts.replaceChildren("Nothing was promoted yet: each worker serves the model that it came with.");
    else
      this.facts.replaceChildren(
        champion === null ? "The model that workers came with, " : "",
        "since ",
        timeElement(since, clock(Date.parse(since))),
        ` by ${by}`,
        why ? `: ${why}` : "",
      );
    this.back.hidden = !canGoBack;
    setText(this.back, `Roll back to ${versionName(previous ?? own)}`);
  }

  #askBack() {
    const { champion, own, previous } = this.models.data;
    const to = versionName(previous ?? own);
    askOnce(
      `Roll back to ${to}?`,
      `Every worker serves ${to} again within seconds, without a restart; ${versionName(champion ?? own)} stays in the list, and rolling back once more brings it back.`,
      `Roll back to ${to}`,
      () =>
        attempt(this.around, async () => {
          const { done } = await change("POST", "/models/roll-back", { champion: champion?.sha256 ?? "", why: "rolled back in the console" });
          return done ? `${to} serves` : "Asked for: the rollout has not answered yet. Is «maskwatch rollout» running?";
        }),
    );
  }

  /** @param {any[]} versions @param {any[]} runs */
  #showLine(versions, runs) {
    // A round that ended without a version belongs to the story as well.
    const broken = runs.filter(({ kind, state }) => kind === "retrain" && state === "failed");
    const entries = [
      ...versions.map((one) => ({ at: one.changed, make: () => versionEntry(one) })),
      ...broken.map((one) => ({ at: one.updated, make: () => roundEntry(one) })),
    ].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
    this.nothing.hidden = entries.length > 0;
    this.line.hidden = entries.length === 0;
    const key = JSON.stringify([versions, broken.map(({ id, said }) => [id, said])]);
    if (this.line.dataset.key === key) return;
    this.line.dataset.key = key;
    const focused = [...this.line.children].findIndex((row) => row.contains(document.activeElement));
    this.line.replaceChildren(...entries.map(({ make }) => make()));
    this.line.children[focused]?.querySelector("a")?.focus();
  }
}

/** @param {any} version */
function versionEntry({ model, state, changed, by, why, verdict, new_labels: labels, lesson }) {
  const [word, mark] = VERSION_STATES[state];
  return h(
    "li",
    { class: "timeline-entry", dataset: { state } },
    h("span", { class: "timeline-mark" }, icon(/** @type {any} */ (mark))),
    h(
      "div",
      { class: "timeline-text" },
      h("h3", {}, h("a", { href: `/models/${model.sha256}` }, versionName(model)), h("span", { class: "timeline-state" }, word)),
      h("p", { class: "quiet" }, whenElement(changed), ` · ${by}`, why ? ` · ${why}` : ""),
      h("p", {}, verdict === null ? "Nobody judged it: a person's word counted." : sayVerdict(verdict)),
      lesson === null ? null : h("p", { class: "quiet" }, labels ? `${labels} new labels. ` : "", sayLesson(lesson)),
    ),
  );
}

/** @param {any} run */
function roundEntry({ id, updated, why, said, stopped_by: by }) {
  return h(
    "li",
    { class: "timeline-entry", dataset: { state: by ? "stopped" : "failed", run: id } },
    h("span", { class: "timeline-mark" }, icon(by ? "silent" : "wrong")),
    h(
      "div",
      { class: "timeline-text" },
      h("h3", {}, by ? "A round was stopped" : "A round failed"),
      h("p", { class: "quiet" }, whenElement(updated), why ? ` · ${why}` : ""),
      h("p", {}, by ? `Stopped by ${by}.` : `${said || "It did not say why"}.`),
    ),
  );
}

/** @param {string} at */
function whenElement(at) {
  const element = timeElement(at, clock(Date.parse(at)));
  element.classList.add("ago");
  return element;
}
