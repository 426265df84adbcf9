// The server's time as seen from here, so that ages are right on a device whose own clock is wrong.

/** After so long a clock that was set in between is believed again. */
const TRUSTED = 10 * 60_000;

let offset = 0;
let heard = -Infinity;

/**
 * Learn from a time that the server has just sent. Messages come late and never early, so the greatest difference is
 * the truest.
 *
 * @param {string} time RFC 3339, or as HTTP writes it; anything else tells nothing
 * @param {number} [coarse] milliseconds by which it may be behind: what agrees with it so far is left as it is
 */
export function hearServerTime(time, coarse = 0) {
  const difference = Date.parse(time) - Date.now();
  const since = performance.now() - heard;
  const agrees = difference <= offset && (since < TRUSTED || offset <= difference + coarse);
  if (Number.isNaN(difference) || agrees) return;
  offset = difference;
  heard = performance.now();
}

/** The server's time, in milliseconds since 1970. */
export function serverNow() {
  return Date.now() + offset;
}
