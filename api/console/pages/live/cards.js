// What stands in place of the wall while there is nothing to show: loading, no camera, no such camera, no answer.

import { UNAUTHORIZED } from "../../api.js";
import { failed, locked } from "../../cards.js";
import { CAMERA_COMMANDS, commandList } from "../../dialogs.js";
import { h, icon } from "../../element.js";
import { LABELS, stateChip } from "../../states.js";
import { recall } from "../../stored.js";

/**
 * @param {import("../../api.js").Feed} feed of the cameras
 * @param {string | null} single the camera that the address names
 * @param {(message: string) => void} toast
 * @param {{broadcast: () => void, add: () => void}} offers this device's camera, and another one
 * @returns {{id: string, element: HTMLElement} | null} null when the cameras can be shown; same id, same content
 */
export function cardFor(feed, single, toast, { broadcast, add }) {
  const { data, error } = feed;
  if (error?.status === UNAUTHORIZED) return { id: "token", element: locked() };
  if (data === null && error !== null) return { id: `error ${error.message}`, element: failed("The cameras cannot be listed", error, feed) };
  if (data === null)
    return { id: "loading", element: skeleton(single === null ? Math.min(12, Math.max(1, recall("wall", 1))) : 1) };
  if (single !== null && !data.cameras.some((/** @type {{id: string}} */ { id }) => id === single))
    return { id: `unknown ${single}`, element: unknown(single) };
  if (data.cameras.length === 0) return { id: "empty", element: empty(toast, broadcast, add) };
  return null;
}

/** @param {number} count */
function skeleton(count) {
  const tiles = Array.from({ length: count }, () =>
    h("div", { class: "skeleton" }, h("div", { class: "skeleton-picture" }), h("div", { class: "skeleton-line" })),
  );
  const columns = Math.ceil(Math.sqrt(count));
  const wall = h(
    "div",
    { class: "skeletons" },
    h("p", { class: "sr-only" }, "Asking which cameras there are"),
    ...tiles,
  );
  wall.style.setProperty("--columns", String(columns));
  return wall;
}

/** @param {string} camera */
function unknown(camera) {
  return h(
    "section",
    { class: "card" },
    icon("offline"),
    h("h2", {}, `There is no camera «${camera}»`),
    h("p", {}, "It was removed, or its name is another. When a camera of that name is started, it appears here."),
    h("div", { class: "actions" }, h("a", { class: "button primary", href: "/live" }, "All cameras")),
  );
}

/** @param {(message: string) => void} toast @param {() => void} broadcast @param {() => void} add */
function empty(toast, broadcast, add) {
  return h(
    "section",
    { class: "card" },
    icon("live"),
    h("h2", {}, "No cameras yet"),
    h("p", {}, "Moving pictures appear here, with a box around every face:"),
    h("ul", { class: "legend" }, ...LABELS.map((label) => h("li", {}, stateChip(label)))),
    h(
      "div",
      { class: "actions" },
      h("button", { class: "button primary", type: "button", onclick: broadcast }, "Use this device's camera"),
      h("button", { class: "button outlined", type: "button", onclick: add }, "Add your camera"),
    ),
    h("p", {}, "Or start a camera where Maskwatch is installed:"),
    commandList(CAMERA_COMMANDS, toast),
  );
}
