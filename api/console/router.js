// Real addresses without page loads: links, the back button and go() all end in show().

/**
 * @typedef {{show: (match: RegExpMatchArray) => void, unmount: () => void}} View
 * @typedef {{
 *   id: string, name: string, icon: string, home: string, path: RegExp,
 *   mount: (root: HTMLElement, app: any) => View,
 * }} Page `show` is called after `mount`, and again whenever the address changes within the page.
 */

/**
 * What a part of an address says. One that is badly encoded stands for itself: the page says that it knows no such thing.
 *
 * @param {string} part
 */
export function decodePart(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export class Router {
  /** @type {Page | null} */
  #page = null;
  /** @type {View | null} */
  #view = null;

  /**
   * @param {Page[]} pages
   * @param {Page} lost shown for an address that no page has
   * @param {HTMLElement} root
   * @param {(page: Page) => void} onShow
   */
  constructor(pages, lost, root, onShow) {
    this.pages = pages;
    this.lost = lost;
    this.root = root;
    this.onShow = onShow;
  }

  /** @param {any} app what pages are given */
  start(app) {
    this.app = app;
    window.addEventListener("popstate", () => this.#show());
    document.addEventListener("click", (event) => this.#click(event));
    if (location.pathname === "/") history.replaceState(null, "", this.pages[0].home);
    this.#show();
  }

  /** @param {string} path */
  go(path) {
    if (path !== location.pathname) history.pushState(null, "", path);
    this.#show();
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button !== 0) return;
    if (
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey ||
      link.target ||
      link.hasAttribute("download")
    )
      return;
    const path =
      link.origin === location.origin && !link.hash
        ? link.pathname === "/"
          ? this.pages[0].home
          : link.pathname
        : null;
    if (path === null || !this.pages.some((page) => page.path.test(path))) return;
    event.preventDefault();
    this.go(path);
  }

  #show() {
    const found = this.pages.find((page) => page.path.test(location.pathname)) ?? this.lost;
    if (found !== this.#page) {
      this.#view?.unmount();
      this.root.replaceChildren();
      this.#page = found;
      this.#view = found.mount(this.root, this.app);
    }
    this.onShow(found);
    this.#view?.show(/** @type {RegExpMatchArray} */ (location.pathname.match(found.path)));
  }
}
