// What the Models page says of versions, verdicts and lessons, in words.

import { STATES } from "../../states.js";

/** @typedef {{name: string, version: string, sha256: string}} Model */
/** @typedef {{
 *   promote: boolean, judged: string, gain: number | null, p_better: number | null, against: string[],
 *   not_judged: number, sentence: string,
 * }} Summary */
/** @typedef {{
 *   learnt: number, holdout: number, rehearsed: number, drawn: number, faces: Record<string, number>,
 *   sources: Record<string, number>,
 * }} Lesson */

/** What is counted is «v3»; what is named after a time is its name. @param {{version: string} | null} model */
export function versionName(model) {
  if (model === null) return "the workers' own model";
  return /^\d{1,6}$/.test(model.version) ? `v${model.version}` : model.version;
}

/** @param {number} value with its sign */
export function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
}

/** Counted over resamples, and so never sure. @param {number} value */
function probability(value) {
  if (value > 0.99) return "more than 99 %";
  return value < 0.01 ? "less than 1 %" : `${Math.round(value * 100)} %`;
}

/** @param {Summary} verdict */
export function sayVerdict({ promote, gain, p_better: sure, against }) {
  const gained = gain === null ? "nobody can say whether it is better" : `${signed(gain)} mAP50-95 on the holdout`;
  const better = sure === null ? "" : `, probability better: ${probability(sure)}`;
  return `${promote ? "Passed the gate" : "Refused"}: ${gained}${better}${promote ? "" : `. Not met: ${against.join("; ")}`}.`;
}

/** @param {Lesson} lesson */
export function sayLesson({ learnt, holdout, rehearsed }) {
  return `Labelled pictures: ${learnt} to learn from, ${holdout} to be judged by; ${rehearsed} of earlier trainings beside them.`;
}

/** Faces by class and pictures by source, the most first. @param {Lesson} lesson */
export function sayShares({ faces, sources }) {
  const classes = Object.entries(faces).map(
    ([label, count]) => `${count} ${(STATES[/** @type {import("../../states.js").Label} */ (label)]?.name ?? label).toLowerCase()}`,
  );
  const from = Object.entries(sources).map(([source, count]) => `${source} ${count}`);
  return `Faces: ${classes.join(", ") || "none"}. Pictures: ${from.join(", ") || "none"}.`;
}

/** @param {number} minutes */
export function sayMinutes(minutes) {
  return minutes < 1 ? "under a minute" : minutes < 90 ? `about ${Math.round(minutes)} min` : `about ${(minutes / 60).toFixed(1)} h`;
}
