// What pages there are. Each one's modules are fetched when somebody looks at it: every page's script stays small.

import { lazy } from "./lazy.js";

/** @type {import("./router.js").Page[]} in the order of the rail */
export const PAGES = [
  page("live", "Live", /^\/live(?:\/([^/]+))?\/?$/, async () => (await import("./pages/live/page.js")).LivePage),
  page("review", "Review", /^\/review\/?$/, async () => (await import("./pages/review/page.js")).ReviewPage),
  page("drift", "Drift", /^\/drift(?:\/([^/]+))?\/?$/, async () => (await import("./pages/drift/page.js")).DriftPage),
  page("models", "Models", /^\/models(?:\/([^/]+))?\/?$/, async () => (await import("./pages/models/page.js")).ModelsPage),
  page("system", "System", /^\/system\/?$/, async () => (await import("./pages/system/page.js")).SystemPage),
];

/**
 * @param {string} id its address too, and the name of its icon
 * @param {string} name
 * @param {RegExp} path
 * @param {() => Promise<new (root: HTMLElement, app: any) => import("./router.js").View>} load
 * @returns {import("./router.js").Page}
 */
function page(id, name, path, load) {
  return { id, name, icon: id, home: `/${id}`, path, mount: lazy(load) };
}
