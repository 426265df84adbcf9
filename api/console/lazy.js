// A page whose modules are fetched when it is first looked at: each page's script stays small.

import { h } from "./element.js";

/**
 * @param {() => Promise<new (root: HTMLElement, app: any) => import("./router.js").View>} load
 * @returns {(root: HTMLElement, app: any) => import("./router.js").View} what a page's `mount` is
 */
export function lazy(load) {
  return (root, app) => {
    /** @type {import("./router.js").View | null} */
    let view = null;
    /** @type {RegExpMatchArray | null} */
    let shown = null;
    let gone = false;
    load().then(
      (Page) => {
        if (gone) return;
        view = new Page(root, app);
        if (shown !== null) view.show(shown);
      },
      () => {
        if (!gone) root.replaceChildren(unreadable());
      },
    );
    return {
      show(match) {
        shown = match;
        view?.show(match);
      },
      unmount() {
        gone = true;
        view?.unmount();
      },
    };
  };
}

function unreadable() {
  return h(
    "div",
    { class: "message" },
    h(
      "section",
      { class: "card" },
      h("h2", {}, "This page could not be fetched"),
      h("p", {}, "Maskwatch does not answer at the moment, or was updated since this page was opened."),
      h("div", { class: "actions" }, h("button", { class: "button primary", type: "button", onclick: () => location.reload() }, "Try again")),
    ),
  );
}
