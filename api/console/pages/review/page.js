// Review: one frame after the other, what the model proposes on it, and a person who knows better.

import { Feed, UNAUTHORIZED } from "../../api.js";
import { failed, locked, putCard } from "../../cards.js";
import { h, icon, setText } from "../../element.js";
import { Desk } from "./desk.js";
import { outbox } from "./outbox.js";
import { Panel } from "./panel.js";
import { Strip } from "./strip.js";
import { Sheet, Supply } from "./supply.js";

/** @typedef {import("./outbox.js").Said} Said */
/** @typedef {import("../../states.js").Label} Label */

const PROGRESS_EVERY = 10_000;
/** Frames that one can go back to. */
const STEPS_BACK = 20;
const CLASSES = /** @type {Record<string, Label>} */ ({ 1: "with_mask", 2: "without_mask", 3: "mask_weared_incorrect" });
const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];

export class ReviewPage {
  /** @type {Sheet | null} on the desk */
  #shown = null;
  /** @type {Sheet[]} the newest last */
  #done = [];
  /** @type {number[]} when each was said, in milliseconds */
  #times = [];
  /** @type {(() => void)[]} */
  #unbind = [];

  /** @param {HTMLElement} root @param {any} app */
  constructor(root, { shell, keys }) {
    this.shell = shell;
    this.outbox = outbox;
    this.supply = new Supply(() => this.outbox.frames);
    this.progress = new Feed("/labels/progress", { every: PROGRESS_EVERY });
    this.desk = new Desk(() => this.#updated());
    this.strip = new Strip();
    this.panel = new Panel({
      confirm: () => this.#say("labelled"),
      noFace: () => this.#noFace(),
      skip: () => this.#say("skipped"),
      undo: () => this.#undo(),
      draw: () => this.#draw(),
      remove: () => this.#remove(),
      zoom: () => this.desk.zoom(),
      label: (label) => this.#label(label),
      select: (index) => this.desk.select(index),
      retry: () => this.outbox.retry(),
      takeRefused: () => this.#takeRefused(),
    });
    this.message = h("div", { class: "message", hidden: true });
    this.status = h("p", { class: "sr-only", role: "status" });
    this.work = h("div", { class: "review-work" }, this.desk.element, this.strip.element);
    this.element = h("div", { class: "review" }, this.message, this.work, this.panel.element, this.status);
    root.append(this.element);
    this.supply.addEventListener("change", () => this.#heard());
    this.sent = () => this.#sent();
    this.outbox.addEventListener("change", this.sent);
    this.progress.addEventListener("change", () => this.panel.showProgress(this.progress.data));
    this.#bind(keys);
    this.supply.refill();
    this.progress.refresh();
    this.#heard();
  }

  show() {
    this.shell.setTitle("Review");
  }

  unmount() {
    for (const unbind of this.#unbind) unbind();
    this.outbox.removeEventListener("change", this.sent);
    this.supply.stop();
    this.progress.stop();
    this.desk.dispose();
  }

  /** @param {import("../../keys.js").Keys} keys */
  #bind(keys) {
    const bind = (
      /** @type {string | string[]} */ pressed,
      /** @type {string} */ shown,
      /** @type {string} */ label,
      /** @type {(key: string, event: KeyboardEvent) => void} */ run,
      options = {},
    ) => this.#unbind.push(keys.bind(pressed, shown, label, run, options));
    bind(" ", "Space", "Confirm, and on to the next", () => this.#say("labelled"));
    bind(Object.keys(CLASSES), "1 2 3", "Class of the chosen face: with mask, without, incorrect", (key) => this.#label(CLASSES[key]));
    bind([], "Tab", "Next face", () => {});
    bind(ARROWS, "← ↑ ↓ →", "Move the chosen face; with Shift, its lower right corner", (key, event) => this.#nudge(key, event), { repeat: true });
    bind(["n", "N"], "n", "Draw a face", () => this.#draw());
    bind(["Delete", "Backspace"], "Del", "Delete the chosen face", () => this.#remove());
    bind(["e", "E"], "e", "No face on it, and on to the next", () => this.#noFace());
    bind(["s", "S"], "s", "Skip: nothing can be said", () => this.#say("skipped"));
    bind(["z", "Z"], "z", "One step back", () => this.#undo());
    bind(["i", "I"], "i", "Look at the chosen face closely", () => this.desk.zoom());
    bind("Enter", "Enter", "While drawing: a box in the middle", () => {
      if (this.desk.drawing) this.desk.drawMiddle();
    });
    bind("Escape", "Esc", "Let go of the face; end drawing", () => {
      this.desk.setDrawing(false);
      this.desk.select(-1);
    });
  }

  #stroke = 0;

  /** @param {string} key @param {KeyboardEvent} event */
  #nudge(key, event) {
    // Holding a key down is one step back; pressing it again is another.
    if (!event.repeat) this.#stroke += 1;
    this.desk.nudge(key, event.shiftKey, `key ${this.#stroke}`);
  }

  #draw() {
    if (this.#shown === null) return;
    this.desk.setDrawing(!this.desk.drawing);
    this.desk.focus();
    this.#updated();
  }

  /** @param {Label} label */
  #label(label) {
    this.desk.label = label;
    this.desk.marks.selectAny();
    this.desk.marks.label(label);
    this.desk.update();
  }

  #remove() {
    this.desk.marks.selectAny();
    this.desk.marks.remove();
    this.desk.update();
  }

  #noFace() {
    if (this.#shown === null) return;
    this.desk.marks.clear();
    this.#say("labelled");
  }

  /** @param {"labelled" | "skipped"} state */
  #say(state) {
    const sheet = this.#shown;
    if (sheet === null) return;
    sheet.faces = this.desk.marks.faces;
    sheet.said = state;
    const faces = state === "skipped" ? [] : sheet.faces.map(({ label, box }) => ({ label, box }));
    this.#shown = null;
    this.#done.push(sheet);
    this.#done.splice(0, this.#done.length - STEPS_BACK);
    this.#times.push(performance.now());
    this.outbox.put({ frame: sheet.frame, state, faces, holder: this.supply.holder, about: sheet.about });
    this.supply.next();
    const what = state === "skipped" ? "Skipped" : faces.length === 0 ? "Saved: no face" : `Saved: ${faces.length} ${faces.length === 1 ? "face" : "faces"}`;
    setText(this.status, `${what}. ${this.supply.current?.about.text ?? ""}`);
    this.#heard();
  }

  /** Undo what was changed on this frame; then go back to the one before. */
  #undo() {
    if (this.desk.marks.undo()) {
      this.desk.update();
      return;
    }
    const sheet = this.#done.pop();
    if (sheet === undefined) return;
    if (this.#shown !== null) this.#shown.faces = this.desk.marks.faces;
    this.#shown = null;
    this.#times.pop();
    this.supply.back(sheet);
    setText(this.status, "One frame back. What was saved stands until you save it again.");
    this.#heard();
  }

  /** A label that was refused comes back to the desk, as it was. */
  #takeRefused() {
    const refused = this.outbox.takeRefused();
    if (refused?.said.about === undefined) return;
    const { said } = refused;
    const at = this.#done.findIndex(({ frame }) => frame === said.frame);
    // It may have been said in an earlier visit.
    const sheet = at < 0 ? sheetOf(said) : this.#done.splice(at, 1)[0];
    if (this.#shown !== null) this.#shown.faces = this.desk.marks.faces;
    this.#shown = null;
    this.supply.back(sheet);
    this.#heard();
  }

  /** Something came, failed or was decoded. */
  #heard() {
    const sheet = this.supply.current;
    if (sheet !== this.#shown && sheet?.bitmap) this.#put(sheet);
    if (sheet === null) this.#shown = null;
    // A frame whose picture is gone is nobody's to label.
    if (sheet !== null && sheet !== this.#shown && sheet.gone) {
      this.supply.next();
      return;
    }
    const card = this.#card();
    putCard(this.message, card);
    this.work.hidden = card !== null;
    this.strip.show(this.#done, this.supply.sheets);
    this.#updated();
  }

  /** @param {Sheet} sheet */
  #put(sheet) {
    this.#shown = sheet;
    const hadFocus = this.element.contains(document.activeElement) || document.activeElement === document.body;
    this.work.hidden = false;
    this.desk.show(/** @type {ImageBitmap} */ (sheet.bitmap), sheet.faces);
    this.panel.showFrame(sheet);
    if (hadFocus) this.desk.focus();
  }

  #updated() {
    // Called by the desk before everything else is made, too.
    if (this.panel === undefined) return;
    this.panel.update({
      desk: this.desk,
      there: this.#shown !== null,
      canGoBack: this.desk.marks.canUndo || this.#done.length > 0,
      times: this.#times,
      outbox: this.outbox,
    });
  }

  #sent() {
    this.progress.refresh();
    if (this.supply.sheets.length === 0) this.supply.refill();
    this.#heard();
  }

  /** What stands in place of the frame; same id, same card. @returns {{id: string, element: HTMLElement} | null} */
  #card() {
    const { error, heard, current } = this.supply;
    if (error?.status === UNAUTHORIZED) return { id: "token", element: locked() };
    if (current !== null && this.#shown === current) return null;
    const again = { refresh: () => this.supply.refill() };
    if (error !== null && current === null)
      return { id: `error ${error.message}`, element: failed("The frames to label cannot be read", error, again) };
    if (current !== null && current.error !== null)
      return { id: `picture ${current.error.message}`, element: failed("The frame's picture cannot be fetched", current.error, again) };
    if (!heard || current !== null) return { id: "loading", element: skeleton() };
    const finished = this.outbox.saved > 0;
    return { id: `empty ${finished}`, element: nothing(finished) };
  }
}

/** A frame with what was said about it. @param {Said} said @returns {Sheet} */
function sheetOf({ about, state, faces }) {
  const sheet = new Sheet(about);
  sheet.said = state;
  if (state === "labelled") sheet.faces = /** @type {Sheet["faces"]} */ (faces);
  return sheet;
}

function skeleton() {
  return h(
    "div",
    { class: "review-skeleton" },
    h("p", { class: "sr-only" }, "Asking for frames to label"),
    h("div", { class: "skeleton-picture" }),
  );
}

/** @param {boolean} finished */
function nothing(finished) {
  return h(
    "section",
    { class: "card" },
    icon("review"),
    h("h2", {}, finished ? "All done for now" : "No frame waits for you"),
    h(
      "p",
      {},
      "Frames come here by themselves: those on which the model is unsure, that show what is rare, or that a camera in drift gave. ",
      "A camera that has run for some minutes has some; they appear without a reload.",
    ),
    h("div", { class: "actions" }, h("a", { class: "button primary", href: "/live" }, "Look at the cameras"), h("a", { class: "button", href: "/drift" }, "Look at the drift")),
  );
}
