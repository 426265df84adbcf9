// Boxes and label chips over a picture. Where a chip goes is pure geometry; drawing comes after it.

import { STATES } from "./states.js";

/** @typedef {import("./live-socket.js").Face} Face */
/** @typedef {{x: number, y: number, width: number, height: number}} Rect in CSS pixels of the picture */
/** @typedef {{width: number, height: number}} Size */
/** @typedef {{colours: Record<string, string>, ink: string, halo: string, font: string, scale: number}} Brush */

const GAP = 2;
/** Narrower pictures have room for marks only, and for smaller ones; the legend says what they mean. */
const NARROW = 300;

/** @param {Rect} a @param {Rect} b */
function overlaps(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/**
 * Where a chip may stand beside its face, best place first: above, below, right, left; each aligned to either end and
 * pushed inside the picture along its free axis.
 *
 * @param {Rect} face @param {Size} chip @param {Size} picture @param {number} gap
 * @returns {Rect[]}
 */
function places(face, chip, picture, gap) {
  const across = [face.x, face.x + face.width - chip.width].map((x) =>
    Math.max(0, Math.min(x, picture.width - chip.width)),
  );
  const down = [face.y, face.y + face.height - chip.height].map((y) =>
    Math.max(0, Math.min(y, picture.height - chip.height)),
  );
  const spots = [
    ...across.map((x) => ({ x, y: face.y - gap - chip.height })),
    ...across.map((x) => ({ x, y: face.y + face.height + gap })),
    ...down.map((y) => ({ x: face.x + face.width + gap, y })),
    ...down.map((y) => ({ x: face.x - gap - chip.width, y })),
  ];
  return spots
    .map((spot) => ({ ...spot, ...chip }))
    .filter(
      (spot) =>
        spot.x >= 0 && spot.y >= 0 && spot.x + spot.width <= picture.width && spot.y + spot.height <= picture.height,
    );
}

/**
 * Find a place for every face's chip outside all faces and clear of the other chips. A face without room for its
 * longest chip gets the next shorter one, and in a dense crowd none: the box itself still shows the state.
 *
 * @param {Rect[]} faces
 * @param {Size[][]} chips the chips of each face, the one to prefer first
 * @param {Size} picture
 * @param {{gap?: number, first?: number}} [options] `first` is the face that is served first, if any
 * @returns {({chip: number} & Rect | null)[]} which chip stands where, for each face
 */
export function placeChips(faces, chips, picture, { gap = GAP, first = -1 } = {}) {
  const taken = [...faces];
  const placed = faces.map(() => /** @type {({chip: number} & Rect) | null} */ (null));
  const area = (/** @type {number} */ index) => faces[index].width * faces[index].height;
  const order = faces
    .map((_, index) => index)
    .sort((a, b) => Number(b === first) - Number(a === first) || area(b) - area(a));
  for (const index of order) {
    for (const [chip, size] of chips[index].entries()) {
      const free = places(faces[index], size, picture, gap).find(
        (spot) => !taken.some((other) => overlaps(spot, other)),
      );
      if (free === undefined) continue;
      placed[index] = { chip, ...free };
      taken.push(free);
      break;
    }
  }
  return placed;
}

/** @param {Face} face @param {Size} picture @returns {Rect} */
function rectOf({ box: [x1, y1, x2, y2] }, picture) {
  return {
    x: x1 * picture.width,
    y: y1 * picture.height,
    width: (x2 - x1) * picture.width,
    height: (y2 - y1) * picture.height,
  };
}

/**
 * Which face lies under a point: the smallest one, if several do.
 *
 * @param {Face[]} faces @param {{x: number, y: number} | null} point in 0..1 of the picture
 * @returns {number} -1 if there is none
 */
export function faceAt(faces, point) {
  if (point === null) return -1;
  const area = (/** @type {Face} */ { box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);
  const under = (/** @type {Face} */ { box: [x1, y1, x2, y2] }) =>
    x1 <= point.x && point.x <= x2 && y1 <= point.y && point.y <= y2;
  return faces.reduce(
    (found, face, index) => (under(face) && (found < 0 || area(face) < area(faces[found])) ? index : found),
    -1,
  );
}

/**
 * Draw boxes and chips. The context's unit must be the CSS pixel: lines then weigh the same at any zoom.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Face[]} faces
 * @param {Size} picture
 * @param {Brush} brush
 * @param {{scores: boolean, hovered: number}} options
 */
export function drawFaces(context, faces, picture, brush, { scores, hovered }) {
  const rects = faces.map((face) => rectOf(face, picture));
  for (const [index, face] of faces.entries()) drawBox(context, rects[index], face, brush, index === hovered);
  context.font = brush.font;
  const narrow = picture.width < NARROW * brush.scale;
  const chips = faces.map((face, index) =>
    chipsOf(face, rects[index], brush, { scores, hovered: index === hovered, narrow }, context),
  );
  const outer = rects.map((rect, index) => grown(rect, STATES[faces[index].label].weight * brush.scale));
  const spots = placeChips(outer, chips, picture, { gap: GAP * brush.scale, first: hovered });
  for (const [index, spot] of spots.entries()) {
    if (spot !== null) drawChip(context, spot, chips[index][spot.chip], faces[index], brush);
  }
}

/** @param {Rect} rect @param {number} by @returns {Rect} */
function grown({ x, y, width, height }, by) {
  return { x: x - by, y: y - by, width: width + 2 * by, height: height + 2 * by };
}

/** @param {CanvasRenderingContext2D} context @param {Rect} rect @param {Face} face @param {Brush} brush @param {boolean} hovered */
function drawBox(context, rect, face, brush, hovered) {
  const { weight, dash } = STATES[face.label];
  const line = (weight + (hovered ? 1 : 0)) * brush.scale;
  // Around the face, not over it.
  const outline = () => {
    context.beginPath();
    const { x, y, width, height } = grown(rect, line / 2);
    context.roundRect(x, y, width, height, 3 * brush.scale);
    context.stroke();
  };
  context.setLineDash([]);
  context.lineWidth = line + 2 * brush.scale;
  context.strokeStyle = brush.halo;
  outline();
  context.setLineDash(dash.map((part) => part * brush.scale));
  context.lineWidth = line;
  context.strokeStyle = brush.colours[face.label];
  outline();
  context.setLineDash([]);
}

/** @typedef {Size & {text: string, mark: number, padding: number}} Chip */

/**
 * What a face's chip may be, longest first. Faces far smaller than words get the mark alone, unless pointed at.
 *
 * @param {Face} face @param {Rect} rect @param {Brush} brush
 * @param {{scores: boolean, hovered: boolean, narrow: boolean}} options
 * @param {CanvasRenderingContext2D} context
 * @returns {Chip[]}
 */
function chipsOf(face, rect, brush, { scores, hovered, narrow }, context) {
  const name = STATES[face.label].name;
  const score = face.score.toFixed(2);
  const words = scores || hovered ? [`${name} ${score}`, score] : [name];
  const side = 20 * brush.scale;
  const [mark, padding] = [14 * brush.scale, 5 * brush.scale];
  const written = words.map((text) => ({
    text,
    mark,
    padding,
    width: mark + 3 * padding + context.measureText(text).width,
    height: side,
  }));
  const alone = narrow ? { mark: 10 * brush.scale, padding: 2.5 * brush.scale } : { mark, padding: 3 * brush.scale };
  const bare = { ...alone, text: "", width: alone.mark + 2 * alone.padding, height: alone.mark + 2 * alone.padding };
  const fits = written.filter(
    ({ width }) => hovered || (!narrow && width <= Math.max(2 * rect.width, 64 * brush.scale)),
  );
  return [...fits, bare];
}

/** @param {CanvasRenderingContext2D} context @param {Rect} spot @param {Chip} chip @param {Face} face @param {Brush} brush */
function drawChip(context, spot, { text, mark, padding }, face, brush) {
  context.fillStyle = brush.colours[face.label];
  context.beginPath();
  context.roundRect(spot.x, spot.y, spot.width, spot.height, 4 * brush.scale);
  context.fill();
  context.fillStyle = brush.ink;
  context.textBaseline = "middle";
  context.fillText(text, spot.x + mark + 2 * padding, spot.y + spot.height / 2 + 0.5 * brush.scale);
  context.save();
  context.translate(spot.x + padding, spot.y + (spot.height - mark) / 2);
  context.scale(mark / 16, mark / 16);
  context.lineWidth = 2.25;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = brush.ink;
  context.stroke(new Path2D(STATES[face.label].glyph));
  context.restore();
}

/**
 * Read colours and type from the tokens.
 *
 * @param {number} scale 1 is the size on a screen whose root font is 16 px
 * @returns {Brush}
 */
export function brushFromTokens(scale) {
  const tokens = getComputedStyle(document.documentElement);
  const token = (/** @type {string} */ name) => tokens.getPropertyValue(name).trim();
  const colours = Object.fromEntries(Object.entries(STATES).map(([label, look]) => [label, token(look.token)]));
  const font = `600 ${12 * scale}px ${token("--font")}`;
  return { colours, ink: token("--state-ink"), halo: token("--halo"), font, scale };
}
