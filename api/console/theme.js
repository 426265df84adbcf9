// Light, dark, or what the system says.

import { keep, recall } from "./stored.js";

/** @typedef {"auto" | "light" | "dark"} Theme */

/** @type {Theme[]} */
const THEMES = ["auto", "light", "dark"];

/** @returns {Theme} */
export function chosenTheme() {
  const theme = recall("theme", /** @type {Theme} */ ("auto"));
  return THEMES.includes(theme) ? theme : "auto";
}

/** Go to the next theme and keep it; `auto` is nothing pinned. @returns {Theme} */
export function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(chosenTheme()) + 1) % THEMES.length];
  keep("theme", theme);
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  return theme;
}
