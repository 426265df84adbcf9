// Dialogs: the list of keys, and how to add a camera; with the commands that can be copied from them.

import { h, icon } from "./element.js";

/** @typedef {{note: string, command: string}} Command */

/** How a camera is started; shown wherever there is none. @type {Command[]} */
export const CAMERA_COMMANDS = [
  { note: "A network camera", command: "maskwatch cameras add rtsp://user:password@10.0.0.7/stream1 --id door" },
  { note: "A webcam of this computer", command: "maskwatch camera webcam:0 --id desk" },
  { note: "A video file, in a loop", command: "maskwatch camera door.mp4 --id door" },
  { note: "The demo scene", command: "maskwatch camera scene --id demo" },
];

/**
 * Open a modal dialog; Esc, its button and a click beside it close it and give the focus back.
 *
 * @param {string} title
 * @param {...Node} body
 */
export function openDialog(title, ...body) {
  const heading = h("h2", { id: "dialog-title" }, title);
  const close = h("button", { class: "button only-icon", type: "button", "aria-label": "Close" }, icon("close"));
  const dialog = h(
    "dialog",
    { "aria-labelledby": heading.id },
    h("div", { class: "dialog-head" }, heading, close),
    h("div", { class: "dialog-body" }, ...body),
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    if (event.target === dialog && event.detail > 0 && outside(dialog, event)) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** @param {HTMLElement} element @param {MouseEvent} event */
function outside(element, event) {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom;
}

/**
 * Ask once before something is done.
 *
 * @param {string} title @param {string} text what will happen @param {string} act the button that does it
 * @param {() => Promise<void>} run
 */
export function askOnce(title, text, act, run) {
  const go = h("button", { class: "button primary", type: "button" }, act);
  const leave = h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Leave it as it is");
  const dialog = openDialog(title, h("p", {}, text), h("div", { class: "actions" }, go, leave));
  go.addEventListener("click", async () => {
    go.disabled = true;
    try {
      await run();
    } finally {
      dialog.close();
    }
  });
}

/** @param {import("./keys.js").Keys} keys @param {{version: string, source: string}} about */
export function openKeys(keys, about) {
  const list = h("dl", { class: "key-list" });
  for (const { shown, label } of keys.bindings) {
    list.append(h("dt", {}, ...shown.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, label));
  }
  const toggle = h("input", { type: "checkbox", id: "single-keys" });
  toggle.checked = keys.enabled;
  toggle.addEventListener("change", () => {
    keys.enabled = toggle.checked;
  });
  const note = h(
    "p",
    {},
    `Maskwatch ${about.version} is free software under the AGPL, version 3 or later. `,
    h("a", { href: about.source, target: "_blank", rel: "noopener" }, "Source code"),
  );
  openDialog(
    "Keys",
    list,
    h("div", { class: "switch" }, toggle, h("label", { for: toggle.id }, "Single-key shortcuts")),
    note,
  );
}

/** @param {Command[]} commands @param {(message: string) => void} toast */
export function commandList(commands, toast) {
  return h("div", { class: "commands" }, ...commands.map(({ note, command }) => commandLine(note, command, toast)));
}

/** @param {string} note @param {string} command @param {(message: string) => void} toast */
function commandLine(note, command, toast) {
  const copy = h(
    "button",
    { class: "button only-icon", type: "button", "aria-label": `Copy «${command}»`, title: "Copy" },
    icon("copy"),
  );
  copy.addEventListener("click", async () =>
    toast((await copyText(command)) ? "Command copied" : "Copying is not allowed here: select the text instead"),
  );
  return h(
    "div",
    {},
    h("p", { class: "command-note" }, note),
    h("div", { class: "command" }, h("code", {}, command), copy),
  );
}

/**
 * Put a text on the clipboard; plain-HTTP pages on other hosts have only the old way.
 *
 * @param {string} text
 * @returns {Promise<boolean>} whether it is there
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { class: "sr-only", "aria-hidden": "true" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}
