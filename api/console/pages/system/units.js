// Figures with their units.

const SIZES = /** @type {[number, string][]} */ ([
  [1e12, "TB"],
  [1e9, "GB"],
  [1e6, "MB"],
  [1e3, "kB"],
]);

/** @param {number} size */
export function bytes(size) {
  const [length, unit] = SIZES.find(([step]) => size >= step) ?? [1, "B"];
  const value = size / length;
  return `${value.toFixed(length > 1 && value < 10 ? 1 : 0)} ${unit}`;
}

/** @param {number} rate */
export function perSecond(rate) {
  return `${rate.toFixed(rate < 10 ? 1 : 0)} frames/s`;
}

/** @param {number} rate */
export function perMinute(rate) {
  return `${rate.toFixed(rate > 0 && rate < 10 ? 1 : 0)}/min`;
}

/** @param {number} number @param {string} thing */
export function count(number, thing) {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}
