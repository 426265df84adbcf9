// The filmstrip: what was said last, what is on the desk, what comes next.

import { drawing, h } from "../../element.js";
import { countStates, sayCounts } from "../../states.js";

/** @typedef {import("./supply.js").Sheet} Sheet */

const BEFORE = 3;
const GLYPHS = { labelled: "M3 8.6 6.6 12.2 13 4.4", skipped: "M4 4l5 4-5 4M11.5 4v8" };

export class Strip {
  constructor() {
    this.element = h("ol", { class: "strip", "aria-label": "Frames before and after" });
  }

  /** @param {Sheet[]} done the newest last @param {Sheet[]} coming the first is on the desk */
  show(done, coming) {
    const before = done.slice(-BEFORE);
    const items = [
      ...before.map((sheet) => item(sheet, sheet.said === "skipped" ? "Skipped" : `Saved: ${sayCounts(countStates(sheet.faces))}`)),
      ...coming.map((sheet, index) => item(sheet, index === 0 ? "On the desk" : "Comes next", index === 0)),
    ];
    const key = items.map(({ key }) => key).join("|");
    if (this.element.dataset.key === key) return;
    this.element.dataset.key = key;
    this.element.replaceChildren(...items.map(({ make }) => make()));
  }
}

/** @param {Sheet} sheet @param {string} says @param {boolean} [here] */
function item(sheet, says, here = false) {
  const said = here ? "" : sheet.said;
  return {
    key: `${sheet.frame} ${says}`,
    make: () =>
      h(
        "li",
        { class: "strip-item", "aria-current": here ? "true" : null, "aria-label": `${says}: ${sheet.about.text}`, title: says, dataset: { said } },
        sheet.thumbnail,
        said === "" ? null : h("span", { class: "strip-said" }, drawing(GLYPHS[said], 16, 2.25)),
      ),
  };
}
