// Two histograms over the same axis: how a signal's samples used to lie, and how they lie now.

import { h } from "../../element.js";
import { signalOf } from "./signals.js";

/** @typedef {{samples: number, mean: number, low: number, middle: number, high: number}} Spread */
/** @typedef {{signal: string, kind: string, since: string, effect: number, p: number, before: Spread, after: Spread,
 *   edges: number[], before_bars: number[], after_bars: number[], shifted: boolean}} Shift */

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [320, 96];

/** @param {Shift} shift */
export function histogram({ signal, edges, before_bars: before, after_bars: after, before: was, after: is }) {
  const { name, write } = signalOf(signal);
  const most = Math.max(0.01, ...before, ...after);
  const [low, high] = [edges[0], edges[edges.length - 1]];
  const across = (/** @type {number} */ value) => ((value - low) / (high - low || 1)) * WIDTH;
  const up = (/** @type {number} */ share) => HEIGHT - (share / most) * (HEIGHT - 4);
  const outline = (/** @type {number[]} */ bars) =>
    bars.map((share, at) => `L${across(edges[at])} ${up(share)}L${across(edges[at + 1])} ${up(share)}`).join("");
  const drawing = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": `${name}: before around ${write(was.middle)}, now around ${write(is.middle)}`,
  });
  drawing.append(
    svg("path", { class: "bars-before", d: `M${across(low)} ${HEIGHT}${outline(before)}L${across(high)} ${HEIGHT}Z` }),
    svg("path", { class: "bars-after", d: `M${across(low)} ${HEIGHT}${outline(after)}L${across(high)} ${HEIGHT}` }),
  );
  return h(
    "figure",
    { class: "histogram" },
    drawing,
    h("div", { class: "histogram-axis" }, h("span", {}, write(low)), h("span", {}, write(high))),
    h("details", {}, h("summary", {}, "Table"), table(write, edges, before, after)),
  );
}

/** @param {(value: number) => string} write @param {number[]} edges @param {number[]} before @param {number[]} after */
function table(write, edges, before, after) {
  const percent = (/** @type {number} */ share) => `${(share * 100).toFixed(0)} %`;
  const number = (/** @type {string} */ text) => h("td", { class: "number" }, text);
  return h(
    "table",
    {},
    h(
      "thead",
      {},
      h("tr", {}, ...["From", "To", "Before", "Now"].map((word) => h("th", { scope: "col", class: "number" }, word))),
    ),
    h(
      "tbody",
      {},
      ...before.map((share, at) =>
        h("tr", {}, ...[write(edges[at]), write(edges[at + 1]), percent(share), percent(after[at])].map(number)),
      ),
    ),
  );
}

/** @param {string} tag @param {Record<string, string>} attributes */
function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
