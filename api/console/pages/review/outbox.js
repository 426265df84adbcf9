// What was said and is not acknowledged yet: sent in the background, whichever page is looked at, and kept in this
// browser until the server has it.

import { ApiError, backoff, change } from "../../api.js";
import { keep, recall } from "../../stored.js";

/**
 * What is sent, and the frame as it was offered: by it a label that is refused can be looked at again.
 * @typedef {{
 *   frame: string, state: "labelled" | "skipped", faces: {label: string, box: number[]}[], holder: string | null,
 *   about: import("./supply.js").ToLabel,
 * }} Said
 */

const WAITING = "outbox";
const REFUSED = "outbox-refused";

/** @param {BeforeUnloadEvent} event */
const hold = (event) => event.preventDefault();

/** Tells «change» whenever something was sent, failed or was refused. */
export class Outbox extends EventTarget {
  /** @type {Map<string, Said>} by frame: a later one takes the place of an earlier one */
  #waiting;
  /** @type {{said: Said, message: string}[]} what the server will never take as it is */
  refused = recall(REFUSED, []);
  /** Why the last try failed; empty while all goes well. */
  problem = "";
  /** How many were acknowledged since this was made. */
  saved = 0;
  #busy = false;
  #failures = 0;
  #timer = 0;

  constructor() {
    super();
    this.#waiting = new Map(recall(WAITING, /** @type {Said[]} */ ([])).map((said) => [said.frame, said]));
    this.#guard();
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
    this.refused = this.refused.filter((other) => other.said.frame !== said.frame);
    this.#store();
    this.#send();
  }

  /** Take the oldest refusal away, and return it. */
  takeRefused() {
    const first = this.refused.shift();
    this.#store();
    this.#tell();
    return first;
  }

  retry() {
    this.#send();
  }

  async #send() {
    if (this.#busy) return;
    this.#busy = true;
    clearTimeout(this.#timer);
    while (this.#waiting.size > 0) {
      const [said] = this.#waiting.values();
      const { about: _, ...label } = said;
      try {
        await change("POST", "/labels", label);
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
    keep(WAITING, [...this.#waiting.values()]);
    keep(REFUSED, this.refused);
    this.#guard();
  }

  /** Nobody leaves Maskwatch unasked while something waits. */
  #guard() {
    if (this.#waiting.size > 0) window.addEventListener("beforeunload", hold);
    else window.removeEventListener("beforeunload", hold);
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

/** The one that all visits to the page share: it goes on sending while another page is looked at. */
export const outbox = new Outbox();
