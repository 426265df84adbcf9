// The Review page's entry among the pages; the page itself is fetched when somebody looks at it.

import { lazy } from "../../lazy.js";

/** @type {import("../../router.js").Page} */
export const review = {
  id: "review",
  name: "Review",
  icon: "review",
  home: "/review",
  path: /^\/review\/?$/,
  mount: lazy(async () => {
    const { ReviewPage } = await import("./page.js");
    return (root, app) => new ReviewPage(root, app);
  }),
};
