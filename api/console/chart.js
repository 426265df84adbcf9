// What charts need: the library that draws them, loaded when the first one is drawn, and the theme's colours.

import { ApiError } from "./api.js";

const LIBRARY = "/console/vendor/uplot/uPlot.iife.min.js";

/** @type {Promise<any> | null} */
let loading = null;

/**
 * Load uPlot once.
 *
 * @returns {Promise<any>} its constructor
 * @throws {ApiError}
 */
export function chartLibrary() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = LIBRARY;
    script.addEventListener("load", () => resolve(/** @type {any} */ (window).uPlot));
    script.addEventListener("error", () => {
      loading = null;
      script.remove();
      reject(new ApiError("The part that draws charts could not be fetched.", 0));
    });
    document.head.append(script);
  });
  return loading;
}

/**
 * What a canvas can draw with: tokens that differ by theme, resolved for the theme of this moment.
 *
 * @param {Record<string, string>} tokens names of custom properties
 * @returns {Record<string, string>}
 */
export function colours(tokens) {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const found = Object.fromEntries(
    Object.entries(tokens).map(([name, token]) => {
      probe.style.color = `var(${token})`;
      return [name, getComputedStyle(probe).color];
    }),
  );
  probe.remove();
  return found;
}

/** Call something whenever the theme changes, until the returned function is called. @param {() => void} change */
export function onThemeChange(change) {
  const chosen = new MutationObserver(change);
  chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", change);
  return () => {
    chosen.disconnect();
    system.removeEventListener("change", change);
  };
}

/**
 * How every chart's axes look; a wall screen's root is larger, and so is what is written on a canvas there.
 *
 * @param {() => string} stroke the colour of what is written
 */
export function axisLook(stroke) {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const font = `${Math.round(rem * 0.6875)}px ${getComputedStyle(document.body).fontFamily}`;
  return { rem, axis: { stroke, font, ticks: { show: false }, gap: 4 } };
}
