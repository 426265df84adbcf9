// The three states of a face: one name, one colour and one shape each, the same on every page.

import { drawing, h } from "./element.js";

/** @typedef {"with_mask" | "without_mask" | "mask_weared_incorrect"} Label */
/** @typedef {{name: string, token: string, glyph: string, weight: number, dash: number[]}} Look */

/** Glyphs are on a grid of 16; weights and dashes are in CSS pixels. @type {Record<Label, Look>} */
export const STATES = {
  with_mask: { name: "With mask", token: "--with-mask", glyph: "M3 8.6 6.6 12.2 13 4.4", weight: 2, dash: [] },
  without_mask: { name: "Without mask", token: "--without-mask", glyph: "M4 4l8 8M12 4l-8 8", weight: 4, dash: [] },
  mask_weared_incorrect: {
    name: "Incorrect",
    token: "--incorrect",
    glyph: "M8 2.8v6.6M8 13v.2",
    weight: 2.5,
    dash: [7, 5],
  },
};

export const LABELS = /** @type {Label[]} */ (Object.keys(STATES));

/** @typedef {Record<Label, number>} Counts */

/**
 * Count faces by state.
 *
 * @param {{label: Label}[]} faces
 * @returns {Counts}
 */
export function countStates(faces) {
  const counts = { with_mask: 0, without_mask: 0, mask_weared_incorrect: 0 };
  for (const face of faces) counts[face.label] += 1;
  return counts;
}

/** Say counts as a sentence's part: «2 with mask, 1 without mask». @param {Counts} counts */
export function sayCounts(counts) {
  const said = LABELS.filter((label) => counts[label] > 0).map(
    (label) => `${counts[label]} ${STATES[label].name.toLowerCase()}`,
  );
  return said.length > 0 ? said.join(", ") : "no faces";
}

/** The coloured mark of a state; its name must stand beside it. @param {Label} label */
export function stateMark(label) {
  return h("span", { class: "state-mark", dataset: { state: label } }, drawing(STATES[label].glyph, 16, 2.5));
}

/** Mark and name together. @param {Label} label @param {...(Node | string)} more */
export function stateChip(label, ...more) {
  return h(
    "span",
    { class: "state" },
    stateMark(label),
    h("span", { class: "state-name" }, STATES[label].name),
    ...more,
  );
}
