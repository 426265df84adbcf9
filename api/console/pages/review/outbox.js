// What was said and is not acknowledged yet: sent in the background, kept in this browser until the server has it.

import { ApiError, backoff, change } from "../../api.js";
import { keep, recall } from "../../stored.js";

/** @typedef {{frame: string, state: "labelled" | "skipped", faces: {label: string, box: number[]}[], holder: string | null}} Said */

const STORED = "outbox";

/** Tells «change» whenever something was sent, failed or was refused. */
export class Outbox extends EventTarget {
  /** @type {Map<string, Said>} by frame: a later one takes the place of an earlier one */
  #waiting;
  /** @type {{said: Said, message: string}[]} what the server will never take as it is */
  refused = [];
  /** Why the last try failed; empty while all goes well. */
  problem = "";
  /** How many were acknowledged since the page was opened. */
  saved = 0;
  #busy = false;
  #failures = 0;
  #timer = 0;
  #stopped = false;

  constructor() {
    super();
    this.#waiting = new Map(recall(STORED, /** @type {Said[]} */ ([])).map((said) => [said.frame, said]));
    this.#send();
  }

  get size() {
    return this.#waiting.size;
  }

  get frames() {
    return [...this.#waiting.keys()];
  }

  /** @param {Said} said */
  put(said) {
    this.#waiting.delete(said.frame);
    this.#waiting.set(said.frame, said);
    this.#store();
    this.#send();
  }

  /** Take the oldest refusal away, and return it. */
  takeRefused() {
    const first = this.refused.shift();
    this.#tell();
    return first;
  }

  retry() {
    clearTimeout(this.#timer);
    this.#send();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #send() {
    if (this.#busy || this.#stopped) return;
    this.#busy = true;
    while (this.#waiting.size > 0 && !this.#stopped) {
      const [said] = this.#waiting.values();
      try {
        await change("POST", "/labels", said);
        this.saved += 1;
        this.problem = "";
        this.#failures = 0;
        this.#drop(said);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (![400, 404, 409, 410, 422].includes(error.status)) {
          this.problem = error.message;
          this.#timer = window.setTimeout(() => this.#send(), backoff(this.#failures++));
          break;
        }
        this.refused.push({ said, message: error.message });
        this.#drop(said);
      }
      this.#tell();
    }
    this.#busy = false;
    this.#tell();
  }

  /** @param {Said} said unless it was replaced while it was under way */
  #drop(said) {
    if (this.#waiting.get(said.frame) === said) this.#waiting.delete(said.frame);
    this.#store();
  }

  #store() {
    keep(STORED, [...this.#waiting.values()]);
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
