// Doing something for a person: it is said what came of it, and the page asks anew.

import { ApiError } from "./api.js";

/** @typedef {{toast: (text: string) => void, acted: () => void}} Around */

/** Do something, and say what came of it. @param {Around} around @param {() => Promise<string>} act returns what is said */
export async function attempt(around, act) {
  try {
    around.toast(await act());
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    around.toast(error.message);
  }
  around.acted();
}
