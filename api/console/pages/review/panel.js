// Beside the desk: why the frame was chosen, what is marked on it, what can be done, and how far it is to the goal.

import { h, icon, setText } from "../../element.js";
import { LABELS, STATES, stateMark } from "../../states.js";
import { clock, timeElement } from "../../time.js";

/** @typedef {import("../../states.js").Label} Label */
/** @typedef {{
 *   confirm: () => void, noFace: () => void, skip: () => void, undo: () => void, draw: () => void, remove: () => void,
 *   zoom: () => void, label: (label: Label) => void, select: (index: number) => void, retry: () => void,
 *   takeRefused: () => void,
 * }} Acts */

/** Longer than this between two frames, in milliseconds, is a pause and no pace. */
const PAUSE = 60_000;
const PACE_OF = 20;

export class Panel {
  /** @param {Acts} acts */
  constructor(acts) {
    this.acts = acts;
    this.why = h("h2", { class: "why" });
    this.facts = h("p", { class: "why-facts" });
    this.faces = h("ul", { class: "face-list" });
    this.classes = h(
      "div",
      { class: "classes", role: "group", "aria-label": "Class of the chosen face" },
      ...LABELS.map((label, index) => this.#classButton(label, String(index + 1))),
    );
    this.confirm = button("Confirm", "Space", acts.confirm, "watching", "primary confirm");
    this.noFace = button("No face", "e", acts.noFace);
    this.skip = button("Skip", "s", acts.skip);
    this.undo = button("Back", "z", acts.undo);
    this.draw = button("Draw", "n", acts.draw, "boxes");
    this.remove = button("Delete", "Del", acts.remove);
    this.zoom = button("Closer", "i", acts.zoom);
    this.bar = h("progress", { max: "100", value: "0", "aria-label": "Labels until a retrain may start" });
    this.goal = h("p", { class: "goal" });
    this.pace = h("p", { class: "pace" });
    this.done = h("p", { class: "done-so-far", hidden: true });
    this.trouble = h("div", { class: "trouble", role: "status", hidden: true });
    this.element = h(
      "aside",
      { class: "review-panel", "aria-label": "This frame" },
      h("div", { class: "why-place" }, this.why, this.facts),
      this.trouble,
      h("div", { class: "deeds" }, this.confirm, this.noFace, this.skip, this.undo),
      h("div", { class: "faces-place" }, this.classes, h("div", { class: "deeds" }, this.draw, this.remove, this.zoom), this.faces),
      h("div", { class: "goal-place" }, this.goal, this.bar, this.pace, this.done),
    );
  }

  /** @param {Label} label @param {string} key */
  #classButton(label, key) {
    return h(
      "button",
      { class: "button outlined class", type: "button", "aria-pressed": "false", "aria-keyshortcuts": key, dataset: { label }, onclick: () => this.acts.label(label) },
      stateMark(label),
      h("span", {}, STATES[label].name),
      h("kbd", { class: "hint", "aria-hidden": "true" }, key),
    );
  }

  /** @param {import("./supply.js").Sheet} sheet */
  showFrame({ about, said }) {
    // The sentence names camera and time at its end; here they stand below it, with the link and the exact time.
    const sentence = about.text.split(`, ${about.camera}, `)[0];
    setText(this.why, sentence.charAt(0).toUpperCase() + sentence.slice(1));
    this.facts.replaceChildren(
      h("a", { href: `/live/${about.camera}` }, about.camera),
      ", ",
      timeElement(about.captured, clock(Date.parse(about.captured))),
      ...(about.episode === null ? [] : [", ", h("a", { href: `/drift/${encodeURIComponent(about.episode)}` }, "the episode")]),
      said === "" ? "" : said === "skipped" ? ". You skipped it." : ". You saved it: it stands until you save again.",
    );
  }

  /** @param {any} progress */
  showProgress(progress) {
    if (progress === null) return;
    const { labels, needed, waiting, done } = progress;
    setText(
      this.goal,
      labels >= needed ? `${labels} labels: enough for a retrain` : `${labels} of ${needed} until a retrain may start`,
    );
    this.bar.max = needed;
    this.bar.value = Math.min(labels, needed);
    this.waiting = waiting;
    this.#showDone(done);
  }

  /** What the labels of the newest round have done. @param {any} done */
  #showDone(done) {
    this.done.hidden = done === null;
    if (done === null || this.done.dataset.run === done.run) return;
    this.done.dataset.run = done.run;
    const { labels, model, gain, promoted } = done;
    const points = gain === null ? "" : ` ${gain < 0 ? "−" : "+"}${Math.abs(gain).toFixed(2)} mAP on the holdout`;
    const name = model === null ? "a model" : /^\d{1,6}$/.test(model.version) ? `model v${model.version}` : `model ${model.version}`;
    this.done.replaceChildren(
      `Your ${labels} labels: `,
      model === null ? name : h("a", { href: `/models/${model.sha256}` }, name),
      promoted ? `,${points}` : gain === null ? ", refused: nobody could judge it" : `, refused:${points}`,
    );
  }

  /**
   * @param {{desk: import("./desk.js").Desk, there: boolean, canGoBack: boolean, times: number[], outbox: import("./outbox.js").Outbox}} now
   */
  update({ desk, there, canGoBack, times, outbox }) {
    const { faces, selected } = desk.marks;
    for (const one of [this.confirm, this.noFace, this.skip, this.draw]) one.disabled = !there;
    this.undo.disabled = !canGoBack;
    this.remove.disabled = this.zoom.disabled = !there || faces.length === 0;
    this.draw.setAttribute("aria-pressed", String(desk.drawing));
    this.zoom.setAttribute("aria-pressed", String(desk.zoomed));
    const chosen = faces[selected]?.label;
    for (const one of this.classes.children) one.setAttribute("aria-pressed", String(one.dataset.label === chosen));
    this.#list(faces, selected, there);
    setText(this.pace, [pace(times), this.waiting === undefined ? "" : `${this.waiting} ${this.waiting === 1 ? "frame waits" : "frames wait"}`].filter(Boolean).join(" · "));
    this.#tell(outbox);
  }

  /** @param {import("./marks.js").Mark[]} faces @param {number} selected @param {boolean} there */
  #list(faces, selected, there) {
    const key = JSON.stringify([faces.map(({ label, score }) => [label, score]), selected, there]);
    if (this.faces.dataset.key === key) return;
    this.faces.dataset.key = key;
    if (!there || faces.length === 0) {
      this.faces.replaceChildren(h("li", { class: "quiet" }, there ? "No face is marked." : ""));
      return;
    }
    this.faces.replaceChildren(
      ...faces.map(({ label, score }, index) =>
        h(
          "li",
          {},
          h(
            "button",
            { class: "face-row", type: "button", "aria-pressed": String(index === selected), onclick: () => this.acts.select(index) },
            stateMark(label),
            h("span", {}, STATES[label].name),
            h("span", { class: "quiet" }, score === undefined ? "by hand" : score.toFixed(2)),
          ),
        ),
      ),
    );
  }

  /** @param {import("./outbox.js").Outbox} outbox */
  #tell({ size, problem, refused }) {
    const key = JSON.stringify([problem === "" ? 0 : size, problem, refused.map(({ message }) => message)]);
    if (this.trouble.dataset.key === key) return;
    this.trouble.dataset.key = key;
    const lines = [];
    if (problem !== "" && size > 0)
      lines.push(
        h("p", {}, icon("wrong"), h("span", {}, h("strong", {}, `${size} ${size === 1 ? "label is" : "labels are"} not saved yet.`), ` ${problem} They are kept here and tried again by themselves.`)),
        h("button", { class: "button outlined", type: "button", onclick: this.acts.retry }, "Try now"),
      );
    if (refused.length > 0)
      lines.push(
        h("p", {}, icon("wrong"), h("span", {}, h("strong", {}, "A label was not taken."), ` ${refused[0].message}`)),
        h("button", { class: "button outlined", type: "button", onclick: this.acts.takeRefused }, "Show that frame"),
      );
    this.trouble.replaceChildren(...lines);
    this.trouble.hidden = lines.length === 0;
  }
}

/** @param {string} name @param {string} key @param {() => void} run @param {any} [mark] @param {string} [look] */
function button(name, key, run, mark, look = "outlined") {
  return h(
    "button",
    { class: `button ${look}`, type: "button", "aria-keyshortcuts": key, onclick: run },
    mark === undefined ? null : icon(mark),
    h("span", {}, name),
    h("kbd", { class: "hint", "aria-hidden": "true" }, key),
  );
}

/** Say how long a frame takes: the median of the last ones. @param {number[]} times */
export function pace(times) {
  const steps = times
    .slice(-PACE_OF)
    .map((time, index, all) => (index === 0 ? PAUSE : time - all[index - 1]))
    .filter((step) => step < PAUSE)
    .sort((a, b) => a - b);
  return steps.length < 3 ? "" : `${(steps[Math.floor(steps.length / 2)] / 1000).toFixed(1)} s a frame`;
}
