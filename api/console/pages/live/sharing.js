// What can be done with the picture of one camera: save it, share its address, have it labelled.

import { ApiError, change } from "../../api.js";
import { copyText } from "../../dialogs.js";
import { h } from "../../element.js";

/** @typedef {import("./tile.js").Tile} Tile */
/** @typedef {(text: string) => void} Toast */

/** @param {Tile | undefined} tile @param {Toast} toast */
export async function saveSnapshot(tile, toast) {
  const snapshot = await tile?.picture.snapshot();
  if (!snapshot) {
    toast("There is no picture to save yet");
    return;
  }
  const link = h("a", { href: URL.createObjectURL(snapshot.blob), download: snapshot.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  toast(`Saved ${snapshot.name}`);
}

/** @param {Toast} toast */
export async function shareLink(toast) {
  toast((await copyText(location.href)) ? "Link copied" : "Copying is not allowed here: take it from the address bar");
}

/**
 * Put the frame that is shown into the queue, and go there.
 *
 * @param {Tile | undefined} tile @param {Toast} toast @param {(path: string) => void} go
 */
export async function labelFrame(tile, toast, go) {
  const live = tile?.picture.live;
  if (!live) {
    toast("There is no picture to label yet");
    return;
  }
  const { frame, model, objects } = live;
  try {
    await change("POST", "/labels/requests", { frame, model, objects });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    toast(error.message);
    return;
  }
  go("/review");
}
