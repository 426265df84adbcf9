// One camera's live stream: opens the socket, unpacks its messages, answers them, and comes back when it breaks.

import { backoff } from "./api.js";
import { hearServerTime } from "./clock.js";

/** @typedef {import("./states.js").Label} Label */
/** @typedef {{label: Label, score: number, box: [number, number, number, number]}} Face */
/**
 * What comes beside a picture, as the server's LiveFrame says.
 * @typedef {{
 *   frame: {id: string, camera: string, session: string, sequence: number, captured: string, width: number, height: number},
 *   model: {name: string, version: string, sha256: string},
 *   detected: string, objects: Face[], published: string, rate: number, dropped: number,
 * }} LiveFrame
 */
/**
 * @typedef {{
 *   onFrame: (live: LiveFrame, jpeg: Blob, done: () => void) => void,
 *   onStale: (stale: {last_seen: string | null, reason: string}) => void,
 *   onChange: () => void,
 * }} Handlers `done` must be called for every frame, drawn or not: it is the viewer's credit for the next one.
 */

/** A connection that says nothing for this long is taken for dead: a laptop that slept gets no close. */
const SILENCE = 20_000;
/** The server's close code for a camera that nobody wishes for; it may be wished for later. */
const UNKNOWN_CAMERA = 4404;

/**
 * Take a message apart: four bytes of length, big-endian, then JSON, then the JPEG.
 *
 * @param {ArrayBuffer} message
 * @returns {{live: LiveFrame, jpeg: Blob}}
 * @throws {RangeError | SyntaxError} if it is no such message
 */
export function unpack(message) {
  const length = new DataView(message).getUint32(0);
  const live = JSON.parse(new TextDecoder().decode(new Uint8Array(message, 4, length)));
  return { live, jpeg: new Blob([new Uint8Array(message, 4 + length)], { type: "image/jpeg" }) };
}

export class LiveSocket {
  /** @type {number | null} when the next try is due, in milliseconds since 1970; null while connected or closed */
  retryAt = null;
  /** Why the last connection ended, for people. */
  reason = "";
  /** @type {WebSocket | null} */
  #socket = null;
  #attempt = 0;
  #retry = 0;
  #watchdog = 0;

  /** @param {string} camera @param {Handlers} handlers */
  constructor(camera, handlers) {
    this.url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live/${camera}`;
    this.handlers = handlers;
  }

  /** Try again now, if it is waiting to. */
  hurry() {
    if (this.retryAt !== null) this.open();
  }

  open() {
    if (this.#socket !== null) return;
    clearTimeout(this.#retry);
    this.retryAt = null;
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => {
      // Closed while it was connecting: closing earlier would make the browser complain in its console.
      if (socket !== this.#socket) socket.close();
    });
    socket.addEventListener("message", (event) => {
      if (socket === this.#socket) this.#receive(socket, event.data);
    });
    socket.addEventListener("close", (event) => {
      if (socket === this.#socket) this.#lost(event);
    });
    this.#watch();
  }

  close() {
    const socket = this.#socket;
    this.#socket = null;
    this.retryAt = null;
    this.#attempt = 0;
    clearTimeout(this.#retry);
    clearTimeout(this.#watchdog);
    if (socket?.readyState === WebSocket.OPEN) socket.close(1000);
  }

  /** @param {WebSocket} socket @param {ArrayBuffer | string} data */
  #receive(socket, data) {
    this.#watch();
    if (typeof data === "string") {
      this.#note(data);
      return;
    }
    const done = () => {
      if (socket.readyState === WebSocket.OPEN) socket.send("ack");
    };
    let message;
    try {
      message = unpack(data);
    } catch {
      done();
      return;
    }
    this.#works();
    this.handlers.onFrame(message.live, message.jpeg, done);
  }

  /** @param {string} text */
  #note(text) {
    let note;
    try {
      note = JSON.parse(text);
    } catch {
      return;
    }
    if (note.event === "hello") {
      hearServerTime(note.now);
      this.handlers.onChange();
    } else if (note.event === "stale") {
      this.#works();
      this.handlers.onStale(note);
    }
  }

  /** Only something useful ends the waiting: a server that greets and closes must not be hammered. */
  #works() {
    this.#attempt = 0;
    this.reason = "";
  }

  /** @param {{code: number, reason: string}} event */
  #lost({ code, reason }) {
    clearTimeout(this.#watchdog);
    this.#socket = null;
    this.reason = reason || (code === UNKNOWN_CAMERA ? "The server does not know this camera." : "");
    const wait = backoff(code === UNKNOWN_CAMERA ? 16 : this.#attempt++, { base: 500 });
    this.retryAt = Date.now() + wait;
    this.#retry = window.setTimeout(() => this.open(), wait);
    this.handlers.onChange();
  }

  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = window.setTimeout(() => {
      const socket = this.#socket;
      this.#lost({ code: 0, reason: "" });
      socket?.close();
    }, SILENCE);
  }
}
