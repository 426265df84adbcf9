// Above the pictures: the legend, which counts as well, and a button for everything that has a key.

import { h, icon, setText } from "../../element.js";
import { LABELS, stateChip } from "../../states.js";

/**
 * @typedef {object} Action
 * @property {string} id
 * @property {string} icon
 * @property {string} name on the button
 * @property {"always" | "single" | "several"} when it makes sense: with one camera shown, or with others beside it
 * @property {string} [key] as KeyboardEvent.key names it
 * @property {string} [label] what the list of keys says, if not the name
 * @property {boolean} [slight] its icon says enough
 * @property {boolean} [moves] from camera to camera: it stands at the start
 * @property {() => boolean} [pressed] for toggles
 * @property {() => void} run
 */

export class Toolbar {
  /** @param {Action[]} actions */
  constructor(actions) {
    this.actions = actions;
    this.buttons = new Map(actions.map((action) => [action.id, this.#button(action)]));
    this.counts = Object.fromEntries(LABELS.map((label) => [label, h("span", { class: "count" }, "0")]));
    this.legend = h(
      "ul",
      { class: "legend", "aria-label": "Faces now" },
      ...LABELS.map((label) => h("li", {}, stateChip(label, this.counts[label]))),
    );
    const group = (/** @type {boolean} */ moves) =>
      actions.filter((action) => (action.moves ?? false) === moves).map(({ id }) => this.buttons.get(id) ?? null);
    this.element = h(
      "div",
      { class: "toolbar" },
      this.legend,
      h("div", { class: "tools", role: "group", "aria-label": "Cameras" }, ...group(true)),
      h("div", { class: "tools", role: "group", "aria-label": "View" }, ...group(false)),
    );
  }

  /** @param {Action} action */
  #button({ id, icon: mark, name, key, run, slight }) {
    const hint =
      key === undefined || slight
        ? null
        : h("kbd", { class: "hint", "aria-hidden": "true" }, key === "Escape" ? "esc" : key);
    return h(
      "button",
      {
        class: slight ? "button only-icon" : "button",
        type: "button",
        title: name,
        "aria-keyshortcuts": key ?? null,
        dataset: { action: id },
        onclick: run,
      },
      icon(/** @type {any} */ (mark)),
      h("span", { class: slight ? "sr-only" : "button-label" }, name),
      hint,
    );
  }

  /** Show what fits the situation. @param {{single: boolean, several: boolean}} situation */
  update({ single, several }) {
    this.legend.hidden = single;
    for (const { id, when, pressed } of this.actions) {
      const button = /** @type {HTMLElement} */ (this.buttons.get(id));
      button.hidden = !{ always: true, single, several: single && several }[when];
      if (pressed !== undefined) button.setAttribute("aria-pressed", String(pressed()));
    }
  }

  /** @param {import("../../states.js").Counts} counts */
  count(counts) {
    for (const label of LABELS) setText(this.counts[label], String(counts[label]));
  }
}
