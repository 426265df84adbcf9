// What each signal is called, what it means, and how its values are written.

/** @typedef {{name: string, unit: string, what: string, write: (value: number) => string, rare?: boolean}} Signal */

const share = (/** @type {number} */ value) => `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`;
const digits = (/** @type {number} */ count) => (/** @type {number} */ value) => value.toFixed(count);

/** In the order in which they are shown. @type {Record<string, Signal>} */
export const SIGNALS = {
  brightness: {
    name: "Brightness",
    unit: "0 black, 1 white",
    what: "mean luma of the picture",
    write: digits(2),
  },
  contrast: {
    name: "Contrast",
    unit: "0 flat, 0.5 most",
    what: "standard deviation of luma",
    write: digits(3),
  },
  sharpness: {
    name: "Sharpness",
    unit: "edges for the contrast",
    what: "mean Laplacian over the deviation of luma: blur lowers it, noise raises it",
    write: digits(2),
  },
  colour: {
    name: "Colour",
    unit: "−1 blue, 1 red",
    what: "mean red less mean blue over their sum",
    write: digits(2),
  },
  blockiness: {
    name: "Blockiness",
    unit: "1 without compression",
    what: "steps of luma at the borders of the JPEG's blocks over those within them",
    write: digits(2),
  },
  face_size: {
    name: "Face size",
    unit: "of the picture's side",
    what: "root of a face's area, the picture's being 1",
    write: share,
  },
  score: { name: "Score", unit: "0 to 1", what: "how sure the model is of a face, on average", write: digits(2) },
  without_mask: { name: "Without mask", unit: "of faces", what: "share of faces without a mask", write: share },
  incorrect: { name: "Incorrect", unit: "of faces", what: "share of masks worn incorrectly", write: share },
  faces: { name: "Faces", unit: "a frame", what: "faces in a frame, on average", write: digits(1) },
  // Somebody must have labelled a frame: a point now and then, with hours between.
  agreement: {
    name: "Agreement",
    unit: "of labels",
    what: "faces on which people and the model agree (F1), when they labelled them",
    write: share,
    rare: true,
  },
};

/** @param {string} name @returns {Signal} one that this console does not know yet is shown by its own name */
export function signalOf(name) {
  return SIGNALS[name] ?? { name, unit: "", what: "", write: digits(3) };
}

/** What a kind of drift is of. @type {Record<string, string>} */
export const KINDS = {
  input: "the picture",
  output: "what is seen on it",
  quality: "how far people agree",
};
