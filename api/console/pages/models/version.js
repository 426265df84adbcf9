// One version: what it was trained on, the gate's table, the pictures on which it and the champion differ, and what
// can be done with it.

import { change } from "../../api.js";
import { attempt } from "../../attempt.js";
import { serverNow } from "../../clock.js";
import { askOnce } from "../../dialogs.js";
import { h, icon, setText } from "../../element.js";
import { ago, clock, timeElement } from "../../time.js";
import { Table } from "../system/table.js";
import { Disagreement } from "./disagreement.js";
import { VERSION_STATES } from "./overview.js";
import { sayLesson, sayShares, sayVerdict, signed, versionName } from "./words.js";

/** @typedef {import("../../api.js").Feed} Feed */

const OUTCOMES = /** @type {Record<string, [string, string]>} */ ({
  passed: ["Passed", "watching"],
  failed: ["Failed", "wrong"],
  "not judged": ["Not judged", "silent"],
});

export class Version {
  /** @type {Disagreement[]} */
  #pictures = [];

  /** @param {HTMLElement} place @param {{version: Feed, models: Feed, runs: Feed}} feeds @param {import("../../attempt.js").Around} around */
  constructor(place, feeds, around) {
    this.feeds = feeds;
    this.around = around;
    this.chip = h("span", { class: "lane-state" });
    this.name = h("h2", {});
    this.facts = h("p", { class: "quiet" });
    this.verdict = h("p", { class: "version-verdict" });
    this.lesson = h("p", { class: "quiet" });
    this.promote = h("button", { class: "button primary", type: "button", onclick: () => this.#askPromote() }, "Promote");
    this.again = h("button", { class: "button outlined", type: "button", onclick: () => this.#evaluate() }, "Judge it again");
    this.note = h("p", { class: "quiet" });
    this.verdicts = h("div", { class: "verdicts" });
    this.element = h(
      "article",
      { class: "models version-page" },
      h("header", { class: "block" }, this.chip, this.name, this.facts, this.verdict, this.lesson, h("div", { class: "actions" }, this.promote, this.again), this.note),
      this.verdicts,
    );
    place.append(this.element);
    this.seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.#pictures.find(({ element }) => element === target)?.load();
      }
    }, { rootMargin: "300px" });
  }

  dispose() {
    this.seen.disconnect();
    for (const picture of this.#pictures) picture.dispose();
    this.element.remove();
  }

  tick() {
    const now = serverNow();
    for (const element of this.element.querySelectorAll("time.ago")) setText(element, ago(Date.parse(element.dateTime), now));
  }

  /** Show what the feeds know. */
  update() {
    const { model, state, changed, by, why, verdict, lesson, new_labels: labels, judged, evaluation } = this.feeds.version.data;
    const [word, mark] = VERSION_STATES[state];
    if (this.chip.dataset.state !== state) {
      this.chip.dataset.state = state;
      this.chip.replaceChildren(icon(/** @type {any} */ (mark)), word);
    }
    setText(this.name, `${model.name} ${versionName(model)}`);
    const facts = JSON.stringify([changed, by, why]);
    if (this.facts.dataset.key !== facts) {
      this.facts.dataset.key = facts;
      const when = timeElement(changed, clock(Date.parse(changed)));
      this.facts.replaceChildren(when, ` by ${by}`, why ? `: ${why}` : "", " · SHA-256 ", h("code", { title: model.sha256 }, model.sha256.slice(0, 12)));
    }
    setText(this.verdict, verdict === null ? "Nobody judged it: a person's word counted." : sayVerdict(verdict));
    setText(this.lesson, lesson === null ? "What it was trained on is not known here." : `${labels ? `${labels} new labels. ` : ""}${sayLesson(lesson)} ${sayShares(lesson)}`);
    this.#offer();
    const key = JSON.stringify([judged?.judged, evaluation?.run]);
    if (this.verdicts.dataset.key === key) return;
    this.verdicts.dataset.key = key;
    for (const picture of this.#pictures) picture.dispose();
    this.#pictures = [];
    this.verdicts.replaceChildren(
      ...(evaluation === null ? [] : this.#verdict("Judged again", evaluation.verdict)),
      ...(judged === null ? [] : this.#verdict(evaluation === null ? "What judged it" : "What judged it first", judged)),
    );
    for (const { element } of this.#pictures) this.seen.observe(element);
  }

  #offer() {
    const { model, verdict } = this.feeds.version.data;
    const { champion } = this.feeds.models.data;
    const serves = champion?.sha256 === model.sha256;
    const judging = this.feeds.runs.data.runs.some(
      (/** @type {any} */ { kind, state, progress }) => kind === "evaluate" && state === "running" && progress?.model?.sha256 === model.sha256,
    );
    this.promote.hidden = this.again.hidden = serves;
    this.promote.classList.toggle("primary", verdict === null || verdict.promote);
    this.promote.classList.toggle("outlined", verdict !== null && !verdict.promote);
    setText(this.promote, `Promote ${versionName(model)}`);
    this.again.disabled = judging;
    setText(this.again, judging ? "Being judged" : "Judge it again");
    setText(this.note, serves ? "It serves. The way back is on the page of all versions." : "");
    this.note.hidden = !serves;
  }

  #askPromote() {
    const { model, verdict } = this.feeds.version.data;
    const { champion, own } = this.feeds.models.data;
    const name = versionName(model);
    const doubt = verdict === null ? " Nobody has judged it." : verdict.promote ? "" : " The gate has refused it; your word counts all the same.";
    askOnce(
      `Promote ${name}?`,
      `Every worker serves ${name} instead of ${versionName(champion ?? own)} within seconds, without a restart.${doubt} Rolling back brings the other one back.`,
      `Promote ${name}`,
      () =>
        attempt(this.around, async () => {
          const asked = { champion: champion?.sha256 ?? "", why: "promoted in the console" };
          const { done } = await change("POST", `/models/${model.sha256}/promote`, asked);
          return done ? `${name} serves` : "Asked for: the rollout has not answered yet. Is «maskwatch rollout» running?";
        }),
    );
  }

  #evaluate() {
    const { model } = this.feeds.version.data;
    return attempt(this.around, async () => {
      const { after } = await change("POST", "/evaluate", { version: model.sha256, why: "asked for in the console" });
      return after === null ? "Asked for: it is judged in a moment, and not promoted" : "Asked for: it is judged once the present round has ended";
    });
  }

  /** @param {string} title @param {any} verdict @returns {HTMLElement[]} */
  #verdict(title, { candidate, champion, precision, judged, p_better: sure, conditions, disagreements, sources }) {
    const table = new Table(title, ["Condition", "Came out", "Value, 95 % interval", "Needed", "What else"]);
    table.fill(
      conditions.map((/** @type {any} */ row) => ({ key: [row.name], bad: row.outcome === "failed", cells: cells(row) })),
      "No condition is known.",
    );
    table.note(
      `${versionName(candidate)} against ${versionName(champion)}, ${precision.toUpperCase()}, ${clock(Date.parse(judged))}${sure === null ? "" : `. Probability better: ${Math.round(sure * 100)} %`}. What could not be judged is named, and not skipped.`,
    );
    table.element.classList.add("gate");
    const pictures = disagreements.map((/** @type {any} */ one) => new Disagreement(this.feeds.version.data.model.sha256, one, versionName(champion), versionName(candidate)));
    this.#pictures.push(...pictures);
    const gallery = h(
      "section",
      { class: "block", "aria-label": `${title}: pictures` },
      h("h2", {}, "Where the two differ most"),
      disagreements.length === 0
        ? h("p", { class: "quiet" }, "On no picture did one of them get more wrong than the other.")
        : h("p", { class: "quiet" }, `Left of the line is what ${versionName(champion)} sees, right of it what ${versionName(candidate)} sees. Pictures are taken from the store, where they can be erased.`),
      h("div", { class: "disagreements" }, ...pictures.map((/** @type {Disagreement} */ { element }) => element)),
    );
    return [table.element, labelsTable(title, versionName(champion), versionName(candidate), sources), gallery];
  }
}

/**
 * Whose labels judged, and whether they can be right.
 *
 * @param {string} title @param {string} champion @param {string} candidate @param {any[]} sources
 */
function labelsTable(title, champion, candidate, sources) {
  const table = new Table(`${title}: labels`, ["Labels of", "Pictures", "Faces", `${champion} agrees`, `${candidate} agrees`, "Both say another class"]);
  const share = (/** @type {number | null} */ of) => (of === null ? "–" : `${Math.round(of * 100)} %`);
  table.fill(
    sources.map(({ source, pictures, faces, champion: old, candidate: fresh, doubted }) => ({
      key: [source],
      bad: false,
      cells: [source, String(pictures), String(faces), share(old), share(fresh), faces === 0 ? "–" : `${doubted} (${share(doubted / faces)})`],
    })),
    "Nobody's labels judged it.",
  );
  table.note("A face that both call otherwise is a label to look at first: one of the two has learnt from the same people.");
  return table.element;
}

/** @param {any} row */
function cells({ name, outcome, needed, value, low, high, why }) {
  const [word, mark] = OUTCOMES[outcome];
  const bounds = low === null || high === null ? "" : ` (${signed(low)} to ${signed(high)})`;
  const said = value === null ? "–" : low === null ? value.toFixed(1) : `${signed(value)}${bounds}`;
  return [name, h("span", { class: "icon-word", dataset: { outcome } }, icon(/** @type {any} */ (mark)), word), said, needed, why];
}
