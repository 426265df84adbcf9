// Single keys for what pages can do. They can be switched off, for those who speak to their computer.

import { keep, recall } from "./stored.js";

/** @typedef {{
 *   keys: string[], shown: string, label: string, run: (key: string, event: KeyboardEvent) => void, repeat: boolean,
 * }} Binding */

export class Keys {
  /** @type {Binding[]} */
  bindings = [];

  constructor() {
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  get enabled() {
    return recall("keys", true);
  }

  set enabled(enabled) {
    keep("keys", enabled);
  }

  /**
   * Bind keys until the returned function is called. Bindings made later win.
   *
   * @param {string | string[]} keys as KeyboardEvent.key names them
   * @param {string} shown what the list of keys prints
   * @param {string} label what they do
   * @param {(key: string, event: KeyboardEvent) => void} run
   * @param {{repeat?: boolean}} [options] `repeat`: a key that is held down does it again and again
   */
  bind(keys, shown, label, run, { repeat = false } = {}) {
    const binding = { keys: [keys].flat(), shown, label, run, repeat };
    this.bindings.push(binding);
    return () => {
      this.bindings = this.bindings.filter((other) => other !== binding);
    };
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (!this.enabled && event.key !== "Escape") return;
    const target = event.target;
    if (
      target instanceof Element &&
      target.closest("input:not([type=checkbox]), textarea, select, [contenteditable], dialog")
    )
      return;
    // Whoever has come to a button by keyboard presses it with these.
    if ((event.key === " " || event.key === "Enter") && target instanceof Element && target.closest("button, a, summary"))
      return;
    const binding = this.bindings.findLast(({ keys }) => keys.includes(event.key));
    if (binding === undefined) return;
    event.preventDefault();
    if (!event.repeat || binding.repeat) binding.run(event.key, event);
  }
}
