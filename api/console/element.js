// Builds elements. Text is only ever set as text, so nothing that a camera or the server says can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** Line icons on a grid of 24, one path each. */
const ICONS = {
  live: "M3 6.5A1.5 1.5 0 0 1 4.5 5h10A1.5 1.5 0 0 1 16 6.5v11a1.5 1.5 0 0 1-1.5 1.5h-10A1.5 1.5 0 0 1 3 17.5zM16 10.5l5-3v9l-5-3",
  add: "M12 5v14M5 12h14",
  camera: "M4 8.5A1.5 1.5 0 0 1 5.5 7h2L9 4.5h6L16.5 7h2A1.5 1.5 0 0 1 20 8.5v9a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5zM12 9.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z",
  source: "M8.5 7 3.5 12l5 5M15.5 7l5 5-5 5",
  boxes: "M4 9V6a2 2 0 0 1 2-2h3M15 4h3a2 2 0 0 1 2 2v3M20 15v3a2 2 0 0 1-2 2h-3M9 20H6a2 2 0 0 1-2-2v-3",
  scores: "M5 20V11M12 20V4M19 20v-6",
  fullscreen: "M9 4H4v5M15 4h5v5M20 15v5h-5M4 15v5h5M4 4l6 6M20 4l-6 6M20 20l-6-6M4 20l6-6",
  chrome:
    "M3 3l18 18M9.9 5.2A9.6 9.6 0 0 1 12 5c5 0 8.5 4.5 9.5 7a13 13 0 0 1-2.6 3.7M6.2 6.8A13.5 13.5 0 0 0 2.5 12c1 2.5 4.5 7 9.5 7 1.7 0 3.2-.5 4.5-1.2M10 10a2.9 2.9 0 0 0 4 4",
  details: "M4 5h16v14H4zM14.5 5v14M17 9h.5M17 12.5h.5",
  back: "M19 12H5M11 6l-6 6 6 6",
  previous: "M14.5 6 8.5 12l6 6",
  next: "M9.5 6l6 6-6 6",
  snapshot: "M12 4v11M7 10.5l5 5 5-5M4.5 20h15",
  share:
    "M10 14a4.2 4.2 0 0 0 6 0l3.5-3.5a4.243 4.243 0 0 0-6-6L12 6M14 10a4.2 4.2 0 0 0-6 0l-3.5 3.5a4.243 4.243 0 0 0 6 6L12 18",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  close: "M6 6l12 12M18 6 6 18",
  help: "M9.2 9.2a2.9 2.9 0 1 1 4.3 2.6c-.9.5-1.5 1.1-1.5 2.2M12 17.4v.1M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z",
  auto: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 3v18M12 8h6.5M12 12h8M12 16h6.5",
  light:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  offline:
    "M3 3l18 18M16 12.5v-2l5-3v9l-1.5-.9M9 5h5.5A1.5 1.5 0 0 1 16 6.5V9M4 5.2A1.5 1.5 0 0 0 3 6.5v11A1.5 1.5 0 0 0 4.5 19h10a1.5 1.5 0 0 0 1.4-1",
  locked: "M6 11h12v9H6zM8.5 11V7.5a3.5 3.5 0 0 1 7 0V11",
  waiting: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.5V12l3 2",
  drift: "M3 16.5c2.2 0 2.4-5 4.5-5s2 3.5 4 3.5 2.3-9 4.5-9 2 4 5 4M3 20.5h18",
  review: "M4 7V5.5A1.5 1.5 0 0 1 5.5 4H7M17 4h1.5A1.5 1.5 0 0 1 20 5.5V7M20 17v1.5a1.5 1.5 0 0 1-1.5 1.5H17M7 20H5.5A1.5 1.5 0 0 1 4 18.5V17M8 12.5l2.8 2.8 5.2-6",
  system: "M4 5h16v6H4zM4 13h16v6H4zM7.5 8h.1M7.5 16h.1M11 8h5.5M11 16h5.5",
  models: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
  alert: "M12 3.5a6 6 0 0 0-6 6c0 5.5-2 7-2 7h16s-2-1.5-2-7a6 6 0 0 0-6-6M10 19.5a2 2 0 0 0 4 0",
  learning: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.5V12l3 2",
  watching: "M5 12.5 10 17.5 19.5 7",
  drifting: "M12 4 2.8 19.5h18.4zM12 10v4.5M12 17v.1",
  silent: "M5 12h14",
  wrong: "M12 4 2.8 19.5h18.4zM12 10v4.5M12 17v.1",
};

/**
 * Make an element.
 *
 * @param {string} tag
 * @param {Record<string, any>} [properties] `onclick` and the like are listeners, `dataset` is an object, null and
 *   false leave an attribute out, true writes it empty; everything else is an attribute.
 * @param {...(Node | string | null)} children
 * @returns {any}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * Draw one path as an image that assistive technology skips: what it means stands beside it as text.
 *
 * @param {string} path
 * @param {number} size side of the path's grid
 * @param {number} weight of the line on that grid
 */
export function drawing(path, size, weight) {
  const svg = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "path");
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${size} ${size}`, "aria-hidden": "true" }))
    svg.setAttribute(name, value);
  const stroke = { d: path, fill: "none", stroke: "currentColor", "stroke-width": String(weight) };
  for (const [name, value] of Object.entries({ ...stroke, "stroke-linecap": "round", "stroke-linejoin": "round" }))
    line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  return drawing(ICONS[name], 24, 1.75);
}

/** Write a text only where it differs, so that nothing is laid out again for nothing. */
export function setText(/** @type {Node} */ node, /** @type {string} */ text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Put other children in the place of those that are there. What had the focus keeps it; if it is gone, then what has the
 * same `data-keep`, the first control, or the place itself has it: nobody is thrown back to the page's start.
 *
 * @param {HTMLElement} place @param {...(Node | string)} children
 */
export function replaceKeeping(place, ...children) {
  const focused = document.activeElement;
  const within = focused instanceof HTMLElement && focused !== place && place.contains(focused);
  place.replaceChildren(...children);
  if (!within) return;
  const { keep } = focused.dataset;
  const same = place.contains(focused) ? focused : keep === undefined ? null : place.querySelector(`[data-keep="${keep}"]`);
  const next = same ?? place.querySelector("a, button") ?? place;
  /** @type {HTMLElement} */ (next).focus();
}
