// The server's time as seen from here, so that ages are right on a device whose own clock is wrong.

/** After so long a clock that was set in between is believed again. */
const TRUSTED = 10 * 60_000;

let offset = 0;
let heard = -Infinity;

/**
 * Learn from a time that the server has just sent. Messages come late and never early, so the greatest difference is
 * the truest.
 *
 * @param {string} time RFC 3339
 */
export function hearServerTime(time) {
  const difference = Date.parse(time) - Date.now();
  const since = performance.now() - heard;
  if (Number.isNaN(difference) || (difference <= offset && since < TRUSTED)) return;
  offset = difference;
  heard = performance.now();
}

/** The server's time, in milliseconds since 1970. */
export function serverNow() {
  return Date.now() + offset;
}
