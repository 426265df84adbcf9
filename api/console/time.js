// Times for people: how long ago, with the exact time on hover. Now is always an argument.

import { h } from "./element.js";

const STEPS = /** @type {[number, string][]} */ ([
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1000, "s"],
]);

/**
 * Say a duration by its largest unit: «12 s», «4 min», «3 h», «2 d».
 *
 * @param {number} milliseconds
 */
export function span(milliseconds) {
  const [length, unit] = STEPS.find(([step]) => milliseconds >= step) ?? [1000, "s"];
  return `${Math.max(0, Math.floor(milliseconds / length))} ${unit}`;
}

/** @param {number} then @param {number} now both in milliseconds since 1970 */
export function ago(then, now) {
  return now - then < 1000 ? "just now" : `${span(now - then)} ago`;
}

/** Say an age as milliseconds while it is short. @param {number} milliseconds */
export function age(milliseconds) {
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  return milliseconds < 10_000 ? `${(milliseconds / 1000).toFixed(1)} s` : span(milliseconds);
}

/** The exact local time, with its zone. @param {number} then */
export function exact(then) {
  return new Date(then).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
}

/** The time of day, with the date unless it is today's. @param {number} then @param {Date} [today] */
export function clock(then, today = new Date()) {
  const date = new Date(then);
  const time = { hour: "2-digit", minute: "2-digit" };
  return date.toLocaleString(
    undefined,
    /** @type {Intl.DateTimeFormatOptions} */ (
      date.toDateString() === today.toDateString() ? time : { ...time, day: "numeric", month: "short" }
    ),
  );
}

/** A time element: what is said, with the exact time on hover. @param {string} time RFC 3339 @param {string} text */
export function timeElement(time, text) {
  return h("time", { datetime: time, title: exact(Date.parse(time)) }, text);
}
