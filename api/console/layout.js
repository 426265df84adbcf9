// The wall's geometry: how many columns make the pictures largest. Pure arithmetic on CSS pixels.

/**
 * @typedef {{columns: number, width: number, height: number}} Wall
 *   width and height are those of one picture, the width in whole pixels; a tile is `caption(width)` higher.
 */

/**
 * Lay equal pictures out so that they are as large as the space allows. Where that would make them smaller than
 * `minimum` they stop shrinking, and the wall scrolls instead.
 *
 * @param {object} space
 * @param {number} space.width of the wall
 * @param {number} space.height of the wall
 * @param {number} space.count of pictures, at least 1
 * @param {number} space.aspect width of a picture by its height
 * @param {number} space.gap between tiles
 * @param {number} space.minimum width of a picture; more than the wall's is the wall's
 * @param {(width: number) => number} space.caption height of what stands under a picture of that width
 * @returns {Wall}
 */
export function layoutWall({ width, height, count, aspect, gap, minimum, caption }) {
  let best = { columns: 1, width: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const across = (width - gap * (columns - 1)) / columns;
    const size = Math.min(across, fitting((height - gap * (rows - 1)) / rows, across, aspect, caption));
    if (size > best.width) best = { columns, width: size };
  }
  const least = Math.min(minimum, width);
  if (best.width < least) {
    const columns = Math.max(1, Math.min(count, Math.floor((width + gap) / (least + gap))));
    const across = (width - gap * (columns - 1)) / columns;
    // One picture is never higher than the window: it would have to be scrolled to be seen.
    best = {
      columns,
      width: Math.min(across, Math.max(fitting(height, across, aspect, caption), Math.min(least, across / 2))),
    };
  }
  const whole = Math.max(1, Math.floor(best.width));
  return { columns: best.columns, width: whole, height: whole / aspect };
}

/**
 * The widest picture that fits a tile's height. The caption depends on the width, so the width is found in two steps.
 *
 * @param {number} height @param {number} across @param {number} aspect @param {(width: number) => number} caption
 */
function fitting(height, across, aspect, caption) {
  const first = Math.min(across, Math.max(0, height - caption(across)) * aspect);
  return Math.min(across, Math.max(0, height - caption(first)) * aspect);
}
