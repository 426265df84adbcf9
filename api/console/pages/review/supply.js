// Frames to label: taken so that nobody else has them, with their pictures loaded ahead, and given back at the end.

import { ApiError, change, picture } from "../../api.js";

/** @typedef {import("./marks.js").Mark} Mark */
/** @typedef {{
 *   frame: string, camera: string, captured: string, width: number, height: number, why: string, text: string,
 *   episode: string | null, objects: Mark[],
 * }} ToLabel */

/** Frames that are held: the one that is shown and those that come next. */
const HELD = 5;
/** Leases are prolonged that often, in milliseconds; they last two minutes. */
const PROLONG = 30_000;
/** While nothing waits, it is asked again that often. */
const AGAIN = 4000;
const THUMBNAIL = { width: 192, height: 108 };

/** A frame with its picture. */
export class Sheet {
  /** @type {Blob | null} */
  blob = null;
  /** @type {ImageBitmap | null} while it is shown or comes next */
  bitmap = null;
  thumbnail = Object.assign(document.createElement("canvas"), THUMBNAIL);
  /** @type {ApiError | null} why there is no picture */
  error = null;
  /** @type {Promise<void> | null} */
  #loading = null;

  /** @param {ToLabel} about */
  constructor(about) {
    this.about = about;
    /** @type {Mark[]} what is marked: first as the model proposes */
    this.faces = about.objects.map(({ label, box, score }) => ({ label, box, score }));
    /** @type {"" | "labelled" | "skipped"} what was said */
    this.said = "";
  }

  get frame() {
    return this.about.frame;
  }

  /** Whether there will never be a picture: it is gone, or none at all. */
  get gone() {
    return this.error !== null && [404, 410, 422].includes(this.error.status);
  }

  /** Load the picture, once; decoded off the main thread. */
  load() {
    if (this.bitmap !== null) return Promise.resolve();
    this.#loading ??= this.#load().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #load() {
    try {
      this.blob ??= (await picture(`/labels/pictures/${encodeURIComponent(this.frame)}`)).blob;
      this.bitmap = await createImageBitmap(this.blob);
      this.error = null;
      this.#draw(this.bitmap);
    } catch (error) {
      this.error = error instanceof ApiError ? error : new ApiError("The picture cannot be decoded.", 422);
    }
  }

  /** Let go of the pixels; the picture's bytes stay for a step back. */
  rest() {
    this.bitmap?.close();
    this.bitmap = null;
  }

  /** @param {ImageBitmap} bitmap */
  #draw(bitmap) {
    const { width, height } = this.thumbnail;
    const scale = Math.max(width / bitmap.width, height / bitmap.height);
    const [across, down] = [bitmap.width * scale, bitmap.height * scale];
    this.thumbnail.getContext("2d")?.drawImage(bitmap, (width - across) / 2, (height - down) / 2, across, down);
  }
}

/** Tells «change» after every answer and every failure. */
export class Supply extends EventTarget {
  /** @type {Sheet[]} the first is shown */
  sheets = [];
  /** @type {ApiError | null} */
  error = null;
  /** Whether the server has answered at all. */
  heard = false;
  holder = crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16)).join("");
  /** @type {string[]} to be given back with the next request */
  #unwanted = [];
  #busy = false;
  #again = false;
  /** Frames that were done with while a request is under way: its answer may still name them. @type {Set<string>} */
  #left = new Set();
  #timer = 0;
  #stopped = new AbortController();

  /** @param {() => string[]} underWay frames that were said something about, which the server may not know yet */
  constructor(underWay) {
    super();
    this.underWay = underWay;
    window.addEventListener("pagehide", () => this.#giveBack(), { signal: this.#stopped.signal });
    document.addEventListener(
      "visibilitychange",
      () => {
        if (!document.hidden) this.refill();
      },
      { signal: this.#stopped.signal },
    );
  }

  get current() {
    return this.sheets[0] ?? null;
  }

  /** Take the frame that is shown away. */
  next() {
    const [sheet] = this.sheets.splice(0, 1);
    sheet?.rest();
    if (sheet && this.#busy) this.#left.add(sheet.frame);
    this.refill();
    return sheet;
  }

  /** Show a frame again. @param {Sheet} sheet */
  back(sheet) {
    this.#load(sheet);
    this.#left.delete(sheet.frame);
    for (const other of this.sheets) if (other.frame === sheet.frame && other !== sheet) other.rest();
    this.sheets = [sheet, ...this.sheets.filter(({ frame }) => frame !== sheet.frame)];
    for (const far of this.sheets.splice(HELD + 1)) {
      far.rest();
      this.#unwanted.push(far.frame);
    }
  }

  /** Take as many as are missing, and prolong the rest. */
  async refill() {
    if (this.#stopped.signal.aborted) return;
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    this.#left.clear();
    clearTimeout(this.#timer);
    const given = this.#unwanted.splice(0);
    const passing = this.underWay();
    const asked = {
      holder: this.holder,
      count: Math.min(20, HELD + passing.length),
      keep: this.sheets.filter(({ said }) => said === "").map(({ frame }) => frame),
      give_back: given,
    };
    try {
      const { frames } = await change("POST", "/labels/queue", asked);
      if (this.#stopped.signal.aborted) return;
      this.#take(frames);
      this.error = null;
      this.heard = true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
      this.#unwanted.push(...given);
    } finally {
      this.#busy = false;
    }
    const wait = this.error !== null || this.sheets.length < HELD ? AGAIN : PROLONG;
    this.#refillIn(wait);
    this.dispatchEvent(new Event("change"));
    if (this.#again) {
      this.#again = false;
      this.refill();
    }
  }

  stop() {
    this.#giveBack();
    this.#stopped.abort();
    clearTimeout(this.#timer);
    for (const sheet of this.sheets) sheet.rest();
  }

  /** @param {ToLabel[]} frames that are ours now */
  #take(frames) {
    const passing = new Set(this.underWay());
    const ours = new Set(frames.map(({ frame }) => frame));
    // One that is ours no more is somebody else's by now, or has a label; the one that is shown stays, and is refused
    // when it is saved if it must be.
    this.sheets = this.sheets.filter(({ frame, said }, index) => index === 0 || said !== "" || ours.has(frame));
    const there = new Set(this.sheets.map(({ frame }) => frame));
    for (const about of frames) {
      if (there.has(about.frame) || passing.has(about.frame) || this.#left.has(about.frame) || this.sheets.length >= HELD) continue;
      this.sheets.push(new Sheet(about));
    }
    for (const sheet of this.sheets) this.#load(sheet);
  }

  /** @param {Sheet} sheet */
  async #load(sheet) {
    if (sheet.bitmap !== null) return;
    await sheet.load();
    // A refill tries every missing picture again; the next one that is due may be far.
    if (sheet.error !== null && !sheet.gone && this.sheets.includes(sheet)) this.#refillIn(AGAIN);
    this.dispatchEvent(new Event("change"));
  }

  /** @param {number} wait in milliseconds */
  #refillIn(wait) {
    clearTimeout(this.#timer);
    if (!document.hidden && !this.#stopped.signal.aborted) this.#timer = window.setTimeout(() => this.refill(), wait);
  }

  #giveBack() {
    const frames = this.sheets.map(({ frame }) => frame);
    if (frames.length === 0) return;
    const body = JSON.stringify({ holder: this.holder, count: 0, give_back: frames.slice(0, 20) });
    // The page is going: nobody waits for the answer, and without it the leases end by themselves.
    fetch("/labels/queue", { method: "POST", headers: { "content-type": "application/json" }, body, keepalive: true }).catch(
      () => {},
    );
  }
}
