// Asks the server: single requests with a time-out, and feeds that ask again and again and come back by themselves.

import { hearServerTime } from "./clock.js";

const TIMEOUT = 5000;
const STILL_TIMEOUT = 30_000;
/** An answer's date is cut to seconds, and servers write it anew once a second. */
const DATE_BEHIND = 2000;
export const UNAUTHORIZED = 401;
const SIGNED_IN = "signed-in";

export class ApiError extends Error {
  /**
   * @param {string} message for people: what failed
   * @param {number} status 0 if the server gave no answer at all
   * @param {string} [page] that explains this kind of problem
   */
  constructor(message, status, page = "") {
    super(message);
    this.status = status;
    this.page = page;
  }
}

/**
 * How long to wait before the next try: doubled each time, never above the cap, and spread so that many viewers do
 * not return in the same moment.
 *
 * @param {number} attempt counted from 0
 * @param {{base?: number, cap?: number, random?: () => number}} [options] in milliseconds
 */
export function backoff(attempt, { base = 1000, cap = 10_000, random = Math.random } = {}) {
  return Math.min(cap, base * 2 ** Math.min(attempt, 16)) * (0.75 + random() / 4);
}

/**
 * GET a JSON answer.
 *
 * @param {string} path
 * @param {number[]} [accept] statuses beside 2xx whose body is an answer too
 * @returns {Promise<any>}
 * @throws {ApiError}
 */
export async function getJson(path, accept = []) {
  const { status, body } = await ask(path, { headers: { accept: "application/json" }, cache: "no-store" }, accept);
  const answer = parse(body);
  if (answer === undefined) throw new ApiError(`The answer to ${path} is not JSON: is a proxy in between?`, status);
  return answer;
}

/**
 * Give the server its token once; the browser keeps a cookie that no script can read.
 *
 * @param {string} token
 * @throws {ApiError}
 */
export async function signIn(token) {
  await ask("/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token }),
  });
  window.dispatchEvent(new Event(SIGNED_IN));
}

/**
 * Ask the server to change something.
 *
 * @param {"POST" | "PATCH" | "DELETE"} method @param {string} path @param {Record<string, unknown>} [what]
 * @returns {Promise<any>} the answer, undefined if it is empty
 * @throws {ApiError}
 */
export async function change(method, path, what) {
  const { body } = await ask(path, requestOf(method, what));
  return parse(body);
}

/**
 * Ask the server for one picture of an address; a camera may take long to answer.
 *
 * @param {string} source @returns {Promise<Blob>} a JPEG
 * @throws {ApiError}
 */
export async function still(source) {
  return (await blobOf("/cameras/test", requestOf("POST", { source }))).blob;
}

/**
 * GET a picture.
 *
 * @param {string} path
 * @returns {Promise<{blob: Blob, captured: string | null}>} and when it was captured, as far as the server knows
 * @throws {ApiError}
 */
export async function picture(path) {
  const { blob, headers } = await blobOf(path);
  return { blob, captured: headers.get("captured") };
}

/**
 * @param {string} path @param {RequestInit} [request]
 * @returns {Promise<{blob: Blob, headers: Headers}>}
 * @throws {ApiError}
 */
async function blobOf(path, request = {}) {
  let response;
  let body;
  try {
    response = await fetch(path, { ...request, signal: AbortSignal.timeout(STILL_TIMEOUT) });
    if (response.ok) return { blob: await response.blob(), headers: response.headers };
    body = await response.text();
  } catch {
    throw new ApiError("The server did not answer.", 0);
  }
  throw refusal(path, response.status, body);
}

/** @param {string} method @param {Record<string, unknown>} [what] @returns {RequestInit} */
function requestOf(method, what) {
  if (what === undefined) return { method };
  return { method, headers: { "content-type": "application/json" }, body: JSON.stringify(what) };
}

/**
 * @param {string} path @param {RequestInit} request @param {number[]} [accept]
 * @returns {Promise<{status: number, body: string}>}
 * @throws {ApiError}
 */
async function ask(path, request, accept = []) {
  let response;
  let body;
  try {
    response = await fetch(path, { ...request, signal: AbortSignal.timeout(TIMEOUT) });
    hearServerTime(response.headers.get("date") ?? "", DATE_BEHIND);
    body = await response.text();
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new ApiError(
      late ? `The server did not answer within ${TIMEOUT / 1000} s.` : "The server cannot be reached.",
      0,
    );
  }
  const { ok, status } = response;
  if (ok || accept.includes(status)) return { status, body };
  throw refusal(path, status, body);
}

/** What a server says that does not do what it was asked for. @param {string} path @param {number} status @param {string} body */
function refusal(path, status, body) {
  const problem = parse(body);
  return new ApiError(problem?.detail ?? problem?.title ?? `The server answered ${path} with ${status}.`, status, problem?.type);
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * One path, asked periodically while the page is in sight. Tells «change» after every answer and every failure; keeps
 * the last answer through failures, because something old, marked as old, beats nothing.
 */
export class Feed extends EventTarget {
  /** @type {any} the last answer, null before the first */
  data = null;
  /** @type {ApiError | null} why the last try failed */
  error = null;
  /** @type {number | null} when the next try after a failure is due, in milliseconds since 1970 */
  retryAt = null;
  /** When the last answer came, in milliseconds since 1970. */
  heardAt = 0;
  #failures = 0;
  #busy = false;
  #timer = 0;
  #stopped = new AbortController();

  /** @param {string} path @param {{every: number, accept?: number[]}} options */
  constructor(path, { every, accept = [] }) {
    super();
    this.path = path;
    this.every = every;
    this.accept = accept;
    const { signal } = this.#stopped;
    document.addEventListener(
      "visibilitychange",
      () => {
        if (document.hidden) clearTimeout(this.#timer);
        else this.refresh();
      },
      { signal },
    );
    window.addEventListener(SIGNED_IN, () => this.refresh(), { signal });
  }

  /** Ask no more: the page that wanted to know is gone. */
  stop() {
    this.#stopped.abort();
    clearTimeout(this.#timer);
  }

  /** "connecting" before the first answer, "lost" while there is none, "live" otherwise. */
  get state() {
    if (this.error?.status === 0) return "lost";
    return this.data === null && this.error === null ? "connecting" : "live";
  }

  async refresh() {
    if (this.#busy || this.#stopped.signal.aborted) return;
    this.#busy = true;
    clearTimeout(this.#timer);
    try {
      this.data = await getJson(this.path, this.accept);
      this.error = null;
      this.retryAt = null;
      this.heardAt = Date.now();
      this.#failures = 0;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
      // Without the token, asking again is of no use until a person has given it.
      this.retryAt = error.status === UNAUTHORIZED ? null : Date.now() + backoff(this.#failures++);
    } finally {
      this.#busy = false;
    }
    if (this.#stopped.signal.aborted) return;
    const wait = this.retryAt === null ? this.every : this.retryAt - Date.now();
    if (!document.hidden && this.error?.status !== UNAUTHORIZED)
      this.#timer = window.setTimeout(() => this.refresh(), wait);
    this.dispatchEvent(new Event("change"));
  }
}
