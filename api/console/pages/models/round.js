// The round that is under way, as it comes: stage, epoch, time left, curves, on which labels; or how to get one.

import { change } from "../../api.js";
import { attempt } from "../../attempt.js";
import { chartLibrary, onThemeChange } from "../../chart.js";
import { serverNow } from "../../clock.js";
import { askOnce } from "../../dialogs.js";
import { h, setText } from "../../element.js";
import { ago, clock, span, timeElement } from "../../time.js";
import { EpochChart } from "./epoch-chart.js";
import { sayLesson, sayMinutes, sayShares, sayVerdict, versionName } from "./words.js";

/** What a round does, in its order. */
const STAGES = /** @type {Record<string, string>} */ ({
  data: "Gathering the labels",
  training: "Training",
  exporting: "Exporting",
  judging: "Being judged",
  proposing: "Handing it over",
});

export class Round {
  /** @type {EpochChart[]} */
  #charts = [];
  #disposed = false;
  #asked = "";
  /** @type {any} */
  #run = null;

  /** @param {import("../../attempt.js").Around} around */
  constructor(around) {
    this.around = around;
    this.title = h("h2", {});
    this.stage = h("p", { class: "round-stage" });
    this.bar = h("progress", { max: "100", value: "0", "aria-label": "How far the round is" });
    this.facts = h("p", { class: "quiet" });
    this.lesson = h("p", { class: "quiet" });
    this.curves = h("div", { class: "curves", hidden: true });
    this.stop = h("button", { class: "button outlined", type: "button", onclick: () => this.#askStop() }, "Stop");
    this.train = h("button", { class: "button primary", type: "button", onclick: () => this.#askTrain() }, "Train now");
    this.told = h("p", { class: "sr-only", role: "status" });
    this.element = h(
      "section",
      { class: "block round", "aria-label": "Training" },
      this.title,
      this.stage,
      this.bar,
      this.facts,
      this.curves,
      this.lesson,
      h("div", { class: "actions" }, this.stop, this.train),
      this.told,
    );
    this.unwatch = onThemeChange(() => {
      for (const chart of this.#charts) chart.repaint();
    });
  }

  dispose() {
    this.#disposed = true;
    this.unwatch();
    for (const chart of this.#charts) chart.dispose();
  }

  /** @param {any} known what the feed of rounds says */
  update(known) {
    const running = known.runs.find((/** @type {any} */ { id }) => id === known.running) ?? null;
    this.#run = running;
    this.known = known;
    this.element.dataset.state = running === null ? "resting" : "running";
    this.stop.hidden = running === null;
    this.train.hidden = running !== null;
    this.bar.hidden = false;
    if (running === null) this.#rest(known);
    else this.#go(running);
  }

  /** @param {any} run */
  #go(run) {
    this.#asked = "";
    const { progress, kind, started, why } = run;
    const judged = progress?.model;
    setText(this.title, kind === "evaluate" ? `Judging ${versionName(judged ?? null)} again` : "A round of training");
    const { stage, share, epoch, epochs, seconds_left: left, expected_minutes: minutes, history, lesson } = progress ?? { stage: "data", share: 0, history: [] };
    const at = stage === "training" && epoch > 0 ? `, epoch ${epoch} of ${epochs}` : "";
    const rest = stage === "training" && left !== null && left !== undefined ? `, ${span(left * 1000)} left` : stage === "training" && minutes ? `, ${sayMinutes(minutes)} in all` : "";
    const said = `${STAGES[stage]}${at}${rest}`;
    setText(this.stage, said);
    // A screen reader is told of stages and epochs, not of every second.
    setText(this.told, `${STAGES[stage]}${at}`);
    this.bar.max = 100;
    this.bar.value = Math.round(share * 100);
    this.facts.replaceChildren("Since ", timeElement(started, clock(Date.parse(started))), why ? `: ${why}` : "", run.attempts > 1 ? ` · start ${run.attempts}` : "");
    setText(this.lesson, lesson ? `${sayLesson(lesson)} ${sayShares(lesson)}` : "");
    this.#draw(history ?? [], epochs ?? 1);
    this.stop.disabled = this.stop.dataset.stopping === run.id;
    setText(this.stop, this.stop.disabled ? "Stopping" : "Stop");
  }

  /** @param {any} known */
  #rest({ runs, labels, needed, expected_minutes: minutes }) {
    const last = runs.find((/** @type {any} */ { kind }) => kind === "retrain") ?? null;
    setText(this.title, "Training");
    const waits = this.#asked !== "" && (last === null || Date.parse(last.started) < Date.parse(this.#asked));
    setText(
      this.stage,
      waits ? "Asked for: it starts in a moment" : labels >= needed ? `${labels} new labels: enough for a round` : `${labels} of ${needed} new labels until a round may start`,
    );
    setText(this.told, "");
    this.bar.max = needed;
    this.bar.value = Math.min(labels, needed);
    setText(this.lesson, minutes === null ? "Nothing to train on yet: nobody has labelled a frame." : `A round now would train for ${sayMinutes(minutes)}, at the lowest priority; live pictures go on.`);
    this.facts.replaceChildren(...(last === null ? ["There was no round yet."] : lastRound(last)));
    // What the last one has shown stays to be looked at.
    this.#draw(last?.progress?.history ?? [], last?.progress?.epochs ?? 1);
    this.train.disabled = waits || minutes === null;
  }

  #askTrain() {
    const { expected_minutes: minutes } = this.known;
    askOnce(
      "Start a round of training?",
      `It learns from all labels${minutes === null ? "" : ` for ${sayMinutes(minutes)}`}, at the lowest priority. The gate judges what comes of it; if it is better it serves, and the way back is one step.`,
      "Train now",
      () =>
        attempt(this.around, async () => {
          await change("POST", "/train", { why: "asked for in the console" });
          this.#asked = new Date(serverNow()).toISOString();
          return "Asked for: the round starts as soon as no other runs";
        }),
    );
  }

  #askStop() {
    const run = this.#run;
    askOnce(
      "Stop this round?",
      "What it has learnt is thrown away, and it does not start again by itself. The labels stay, and count once somebody asks for another round.",
      "Stop it",
      () =>
        attempt(this.around, async () => {
          await change("POST", `/runs/${encodeURIComponent(run.id)}/stop`);
          this.stop.dataset.stopping = run.id;
          return "It is being stopped";
        }),
    );
  }

  /** @param {any[]} history @param {number} epochs */
  async #draw(history, epochs) {
    this.curves.hidden = history.length === 0;
    const key = JSON.stringify([history, epochs]);
    if (history.length === 0 || this.curves.dataset.key === key) return;
    this.curves.dataset.key = key;
    let library;
    try {
      library = await chartLibrary();
    } catch {
      // The table says the same.
      library = null;
    }
    if (this.#disposed || this.curves.dataset.key !== key) return;
    if (this.#charts.length === 0 && library !== null) {
      this.#charts = [new EpochChart(library, "mAP on the pictures that choose the epoch"), new EpochChart(library, "Losses")];
    }
    const open = this.curves.querySelector("details")?.open ?? false;
    this.curves.replaceChildren(...this.#charts.map(({ element }) => element), table(history, open));
    const [quality, losses] = this.#charts;
    const at = history.map(({ epoch }) => epoch);
    quality?.update(at, epochs, { mAP50: history.map((one) => one.map50), "mAP50-95": history.map((one) => one.map50_95) });
    const names = Object.keys(history[0].losses);
    losses?.update(at, epochs, Object.fromEntries(names.map((name) => [name, history.map((one) => one.losses[name] ?? null)])));
  }
}

/** @param {any} run */
function lastRound({ state, updated, said, verdict, stopped_by: by }) {
  const when = timeElement(updated, ago(Date.parse(updated), serverNow()));
  const how = by ? `stopped by ${by}.` : state === "failed" ? `failed: ${said || "it did not say why"}.` : verdict === null ? "finished." : sayVerdict(verdict);
  return ["The last round, ", when, ": ", how.charAt(0).toLowerCase() + how.slice(1)];
}

/** @param {any[]} history @param {boolean} open */
function table(history, open) {
  const names = Object.keys(history[0].losses);
  const cell = (/** @type {number | undefined} */ value) => h("td", { class: "number" }, value === undefined ? "–" : value.toFixed(3));
  return h(
    "details",
    { class: "curve-table", open },
    h("summary", {}, "Table"),
    h(
      "table",
      {},
      h("caption", { class: "sr-only" }, "Epochs that are done"),
      h("thead", {}, h("tr", {}, ...["Epoch", "mAP50", "mAP50-95", ...names.map((name) => `Loss ${name}`)].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...history.map((one) => h("tr", {}, h("th", { scope: "row" }, String(one.epoch)), cell(one.map50), cell(one.map50_95), ...names.map((name) => cell(one.losses[name]))))),
    ),
  );
}
