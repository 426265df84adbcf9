// An episode's story: what happened in one sentence, how it looked before and after, how sure that is, what to do next.

import { ApiError, change, getJson, picture } from "../../api.js";
import { attempt } from "../../attempt.js";
import { chartLibrary, onThemeChange } from "../../chart.js";
import { serverNow } from "../../clock.js";
import { h, icon, replaceKeeping, setText } from "../../element.js";
import { ago, clock, exact, span, timeElement } from "../../time.js";
import { histogram } from "./histogram.js";
import { spanOf } from "./lane.js";
import { SignalChart } from "./signal-chart.js";
import { KINDS, signalOf } from "./signals.js";

/** @typedef {import("./histogram.js").Shift} Shift */
/** @typedef {import("./lane.js").Episode & {
 *   kind: string, reason: string, updated: string, shifts: Shift[], before: string | null, after: string | null,
 *   model: {name: string, version: string}, alert: {acknowledged: string | null, by: string, open: boolean} | null,
 *   confirmation: {labels: number, confirmed: boolean, text: string} | null,
 * }} Whole */

/** Seconds of the curve before an episode and behind it. */
const MARGIN = 1800;
const DAY = 86_400_000;

const STATES = {
  open: { word: "Open", icon: "drifting" },
  acknowledged: { word: "Acknowledged", icon: "drifting" },
  ended: { word: "Ended", icon: "watching" },
};
const REASONS = /** @type {Record<string, string>} */ ({
  recovered: "everything is as it used to be",
  adopted: "it lasted so long that it is the usual now",
  "new-model": "another model looks since then",
});

export class Story {
  /** @type {Map<string, SignalChart>} */
  #charts = new Map();
  /** @type {string[]} object URLs to be given back */
  #pictures = [];
  #disposed = false;
  #curvesUntil = 0;

  /** @param {HTMLElement} place @param {import("../../api.js").Feed} feed of the episode @param {{toast: (text: string) => void, acted: () => void}} around */
  constructor(place, feed, around) {
    this.feed = feed;
    this.around = around;
    this.chip = h("span", { class: "lane-state" });
    this.facts = h("p", { class: "story-facts" });
    this.labels = h("p", { class: "story-labels" });
    this.sentence = h("h2", {});
    this.next = h("section", { class: "next", "aria-label": "Next step", tabindex: "-1" });
    this.before = frame("Before");
    this.after = frame("After");
    this.shifts = h("div", { class: "shifts" });
    this.said = h("p", { class: "sr-only", role: "status" });
    this.element = h(
      "article",
      { class: "story" },
      h("header", { class: "story-head" }, this.chip, this.sentence, this.facts, this.labels),
      this.next,
      h("div", { class: "frames" }, this.before.element, this.after.element),
      this.shifts,
      this.said,
    );
    place.append(this.element);
    this.unwatch = onThemeChange(() => {
      for (const chart of this.#charts.values()) chart.repaint();
    });
  }

  dispose() {
    this.#disposed = true;
    this.unwatch();
    for (const chart of this.#charts.values()) chart.dispose();
    for (const url of this.#pictures) URL.revokeObjectURL(url);
    this.element.remove();
  }

  /** Show what the feed knows. */
  update() {
    const episode = /** @type {Whole} */ (this.feed.data);
    const { word, icon: mark } = STATES[episode.state];
    this.element.dataset.state = episode.state;
    if (this.chip.dataset.said !== word) {
      this.chip.dataset.said = word;
      this.chip.replaceChildren(icon(/** @type {any} */ (mark)), word);
      this.#offer(episode);
    }
    setText(this.sentence, episode.text);
    this.#tell(episode);
    this.#confirm(episode);
    this.#show(this.before, episode, "before");
    this.#show(this.after, episode, "after");
    this.#list(episode);
    this.#draw(episode);
  }

  /** @param {Whole} episode */
  #tell({ since, ended, reason, kind, model, camera, alert }) {
    const now = serverNow();
    const lasted = span((ended === null ? now : Date.parse(ended)) - Date.parse(since));
    const said = [
      `A change of ${KINDS[kind] ?? kind} since `,
      timeElement(since, clock(Date.parse(since))),
      ended === null ? `, for ${lasted} now` : `, for ${lasted}`,
      ended === null || reason === "" ? "" : `: ${REASONS[reason] ?? reason}`,
      ". Camera ",
      h("a", { href: `/live/${camera}` }, camera),
      `, model ${model.name} ${model.version}`,
      ...(alert?.acknowledged
        ? [`. ${alert.by} acknowledged it `, timeElement(alert.acknowledged, ago(Date.parse(alert.acknowledged), now))]
        : []),
      ".",
    ];
    const key = said.map((part) => (typeof part === "string" ? part : part.textContent)).join("");
    if (this.facts.textContent !== key) replaceKeeping(this.facts, ...said);
  }

  /** What people's labels say of it. @param {Whole} episode */
  #confirm({ confirmation }) {
    const said = confirmation?.text ?? "nobody has labelled a frame of it yet";
    if (this.labels.dataset.said === said) return;
    this.labels.dataset.said = said;
    const confirmed = confirmation?.confirmed === true;
    this.labels.dataset.confirmed = String(confirmed);
    const sentence = `${said.charAt(0).toUpperCase()}${said.slice(1)}.`;
    replaceKeeping(
      this.labels,
      ...(confirmed ? [icon("drifting"), h("strong", {}, sentence)] : [sentence, " ", h("a", { href: "/review" }, "Label frames")]),
    );
  }

  /** The one next step. @param {Whole} episode */
  #offer({ id, state, camera, kind, alert }) {
    const look = h("a", { class: "button outlined", href: `/live/${camera}` }, "Look at the camera now");
    if (state === "ended") {
      replaceKeeping(this.next, h("p", {}, h("strong", {}, "Nothing to do."), " The camera is watched on."));
      return;
    }
    const advice = {
      input: "Is a lamp out, the lens dirty or the camera moved? Put it right, and this ends by itself a few minutes later.",
      output: "Are there other people, or other masks? If the model is wrong about them, frames from now on are worth labelling.",
      quality: "The model agrees with people less than it did: label a few more frames of this camera.",
    }[kind];
    if (state === "acknowledged" || alert === null) {
      replaceKeeping(this.next, h("p", {}, h("strong", {}, "Next: look at the camera."), ` ${advice}`), look);
      look.classList.replace("outlined", "primary");
      return;
    }
    const acknowledge = h("button", { class: "button primary", type: "button" }, "Acknowledge");
    let acting = false;
    acknowledge.addEventListener("click", async () => {
      // Not disabled meanwhile: that would take the focus away from what comes in its place.
      if (acting) return;
      acting = true;
      await attempt(this.around, async () => {
        await change("POST", `/alerts/${encodeURIComponent(id)}/ack`);
        return "Acknowledged: the alert is off for everybody";
      });
      await this.feed.refresh();
      acting = false;
    });
    replaceKeeping(
      this.next,
      h("p", {}, h("strong", {}, "Next: say that you know of it."), ` ${advice}`),
      h("div", { class: "actions" }, acknowledge, look),
    );
  }

  /** @param {ReturnType<typeof frame>} place @param {Whole} episode @param {"before" | "after"} moment */
  async #show(place, episode, moment) {
    if (place.element.dataset.asked !== undefined) return;
    place.element.dataset.asked = "";
    const captured = episode[moment];
    if (captured === null || serverNow() - Date.parse(captured) > DAY) {
      place.missing(captured === null ? "No frame of that time is known." : "Pictures are kept for a day; this one is gone.");
      return;
    }
    try {
      const found = await picture(`/episodes/${encodeURIComponent(episode.id)}/${moment}`);
      if (this.#disposed) return;
      const url = URL.createObjectURL(found.blob);
      this.#pictures.push(url);
      place.fill(url, found.captured ?? captured);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      place.missing(error.message);
      // Nothing is wrong with a picture that is gone; an answer that did not come may come.
      if (error.status === 0 || error.status >= 500) delete place.element.dataset.asked;
    }
  }

  /** @param {Whole} episode */
  #list(episode) {
    const key = JSON.stringify(episode.shifts.map(({ signal, effect, shifted }) => [signal, effect, shifted]));
    if (this.shifts.dataset.key === key) return;
    this.shifts.dataset.key = key;
    const shown = /** @type {Map<string | undefined, HTMLElement>} */ (
      new Map([...this.shifts.children].map((element) => [element.dataset.shift, element]))
    );
    const rows = episode.shifts.map((shift) => {
      const known = shown.get(shift.signal);
      if (known === undefined) this.#curvesUntil = 0;
      return known === undefined ? row(shift) : renewed(known, row(shift));
    });
    for (const [signal, chart] of this.#charts) {
      if (episode.shifts.some((shift) => shift.signal === signal)) continue;
      chart.dispose();
      this.#charts.delete(signal);
    }
    if (rows.length === shown.size && rows.every((element, at) => this.shifts.children[at] === element)) return;
    replaceKeeping(this.shifts, ...rows);
  }

  /** The curve of each shifted signal, around the episode. @param {Whole} episode */
  async #draw(episode) {
    const { since, until } = spanOf(episode, serverNow() / 1000);
    if (until - this.#curvesUntil < 30) return;
    this.#curvesUntil = until;
    const range = /** @type {[number, number]} */ ([since - MARGIN, Math.min(serverNow() / 1000, until + MARGIN)]);
    const [from, to] = range.map((time) => encodeURIComponent(new Date(time * 1000).toISOString()));
    try {
      const [past, library] = await Promise.all([
        getJson(`/signals/${episode.camera}?since=${from}&until=${to}&points=480`),
        chartLibrary(),
      ]);
      if (this.#disposed) return;
      for (const { signal } of episode.shifts) {
        const place = this.shifts.querySelector(`[data-shift="${signal}"] .shift-curve`);
        if (place === null) continue;
        if (past.signals[signal] === undefined) {
          place.replaceChildren(h("p", { class: "quiet" }, "Nothing was measured in this time."));
          continue;
        }
        let chart = this.#charts.get(signal);
        if (chart === undefined) {
          chart = new SignalChart(library, signal, this.#around());
          this.#charts.set(signal, chart);
          place.replaceChildren(chart.element);
        }
        chart.update(past.times, past.signals[signal], range, [{ since, until }]);
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // The histograms say the same without the curve; the next answer tries again.
      this.#curvesUntil = 0;
    }
  }

  #around() {
    const nothing = () => {};
    return { zoom: nothing, zoomBy: nothing, reset: nothing, hover: nothing, say: (/** @type {string} */ text) => setText(this.said, text) };
  }
}

/**
 * Write a row's figures anew; its curve stays, and so does what a person has opened or come to.
 *
 * @param {HTMLElement} known @param {HTMLElement} fresh
 */
function renewed(known, fresh) {
  const [before, after] = [known, fresh].map((element) => element.querySelector("details"));
  const focused = before?.contains(document.activeElement) === true;
  if (before && after) after.open = before.open;
  known.dataset.shifted = fresh.dataset.shifted;
  for (const part of [".shift-head", ".shift-bars"])
    known.querySelector(part)?.replaceWith(/** @type {Element} */ (fresh.querySelector(part)));
  if (focused) after?.querySelector("summary")?.focus();
  return known;
}

/** @param {Shift} shift */
function row(shift) {
  const { name, unit, what, write } = signalOf(shift.signal);
  const { before, after, effect, p, since, shifted } = shift;
  return h(
    "section",
    { class: "shift", dataset: { shift: shift.signal, shifted }, "aria-label": name },
    h(
      "div",
      { class: "shift-head" },
      h("h3", {}, name),
      h("p", { class: "quiet" }, `${what}${unit ? ` (${unit})` : ""}`),
      h(
        "p",
        { class: "shift-move" },
        h("span", {}, write(before.mean)),
        h("span", { "aria-hidden": "true" }, " → "),
        h("span", { class: "sr-only" }, " became "),
        h("strong", {}, write(after.mean)),
        shifted ? "" : h("span", { class: "quiet" }, " · back by now"),
      ),
      h(
        "dl",
        { class: "shift-facts" },
        h("dt", {}, "Effect"),
        h("dd", { title: "Kolmogorov-Smirnov's D: 0 no difference, 1 nothing in common" }, `D ${effect.toFixed(2)} of 1`),
        h("dt", {}, "By chance"),
        h("dd", { title: "How likely such an effect would be without a change" }, chance(p)),
        h("dt", {}, "Since"),
        h("dd", {}, timeElement(since, clock(Date.parse(since)))),
        h("dt", {}, "Samples"),
        h("dd", {}, `${before.samples} before, ${after.samples} now`),
      ),
    ),
    h(
      "div",
      { class: "shift-bars" },
      h(
        "ul",
        { class: "drift-legend" },
        h("li", {}, h("span", { class: "key key-band", "aria-hidden": "true" }), "before"),
        h("li", {}, h("span", { class: "key key-shifted", "aria-hidden": "true" }), "now"),
      ),
      histogram(shift),
    ),
    h("div", { class: "shift-curve" }, h("div", { class: "skeleton-chart" })),
  );
}

/** @param {number} p */
function chance(p) {
  if (p < 1e-6) return "less than 1 in a million";
  if (p < 1e-4) return "less than 1 in 10 000";
  return p < 0.01 ? "less than 1 in 100" : `p ${p.toFixed(2)}`;
}

/** A picture's place. @param {string} title */
function frame(title) {
  const caption = h("figcaption", {}, title);
  const inside = h("div", { class: "frame-picture" }, h("div", { class: "skeleton-picture" }));
  return {
    element: h("figure", { class: "frame" }, inside, caption),
    /** @param {string} url @param {string} captured */
    fill(url, captured) {
      const alt = `The camera's picture ${title.toLowerCase()} the change`;
      inside.replaceChildren(h("img", { src: url, alt }));
      caption.replaceChildren(`${title} · `, timeElement(captured, exact(Date.parse(captured))));
    },
    /** @param {string} why */
    missing(why) {
      inside.replaceChildren(h("p", { class: "frame-missing" }, icon("offline"), why));
    },
  };
}
