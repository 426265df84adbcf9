// What is shown for an address that no page has.

import { h } from "../element.js";

/** @type {import("../router.js").Page} */
export const lost = {
  id: "lost",
  name: "Not found",
  icon: "wrong",
  home: "/",
  path: /.*/,
  mount(root, { shell }) {
    return {
      show() {
        shell.setTitle("Not found");
        root.replaceChildren(
          h(
            "div",
            { class: "message" },
            h(
              "section",
              { class: "card" },
              h("h2", {}, "There is no such page"),
              h("p", {}, `Nothing is shown at ${location.pathname}.`),
              h("div", { class: "actions" }, h("a", { class: "button primary", href: "/live" }, "Go to Live")),
            ),
          ),
        );
      },
      unmount() {},
    };
  },
};
