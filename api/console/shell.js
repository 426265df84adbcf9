// What surrounds every page: the rail, the header with its connection, theme and help, banners and toasts.

import { openKeys } from "./dialogs.js";
import { h, icon, setText } from "./element.js";
import { span } from "./time.js";
import { chosenTheme, nextTheme } from "./theme.js";

const TOAST = 4000;
const AWAKE = 2500;

/** @template {HTMLElement} T @param {string} selector @returns {T} */
const find = (selector) => /** @type {T} */ (document.querySelector(selector));

export class Shell {
  about = { version: "", source: /** @type {HTMLAnchorElement} */ (find(".source")).href };
  #awake = 0;

  /**
   * @param {import("./router.js").Page[]} pages
   * @param {import("./keys.js").Keys} keys
   * @param {import("./api.js").Feed} feed whose answers tell whether the server is there
   * @param {import("./api.js").Feed} alerts that somebody should look at
   * @param {import("./api.js").Feed} service which model serves
   */
  constructor(pages, keys, feed, alerts, service) {
    this.feed = feed;
    find(".alerts").prepend(icon("alert"));
    alerts.addEventListener("change", () => this.#showAlerts(alerts.data?.alerts ?? []));
    service.addEventListener("change", () => this.#showModel(service.data?.champion ?? service.data?.own ?? null));
    find(".source .rail-icon").append(icon("source"));
    find(".rail-pages").append(...pages.map((page) => this.#link(page)));
    find(".header-tools").append(this.#themeButton(), this.#helpButton(keys));
    this.restore = h(
      "button",
      { class: "button outlined restore", type: "button", hidden: true, onclick: () => this.showChrome(true) },
      "Show controls",
      h("kbd", { class: "hint", "aria-hidden": "true" }, "h"),
    );
    document.body.append(this.restore);
    for (const event of ["pointermove", "pointerdown"]) document.addEventListener(event, () => this.#wake());
    keys.bind("?", "?", "Show all keys", () => openKeys(keys, this.about));
    feed.addEventListener("change", () => this.#connection());
    setInterval(() => this.#connection(), 1000);
  }

  /** @param {import("./router.js").Page} page */
  #link(page) {
    const mark = h("span", { class: "rail-icon" }, icon(/** @type {any} */ (page.icon)));
    return h(
      "li",
      {},
      h("a", { class: "rail-link", href: page.home, dataset: { page: page.id } }, mark, h("span", {}, page.name)),
    );
  }

  #themeButton() {
    const button = h("button", { class: "button only-icon theme", type: "button" });
    const describe = (/** @type {import("./theme.js").Theme} */ theme) => {
      button.replaceChildren(icon(theme));
      button.setAttribute("aria-label", `Theme: ${theme}`);
      button.title = `Theme: ${theme}`;
    };
    button.addEventListener("click", () => describe(nextTheme()));
    describe(chosenTheme());
    return button;
  }

  /** @param {import("./keys.js").Keys} keys */
  #helpButton(keys) {
    const open = () => openKeys(keys, this.about);
    return h(
      "button",
      {
        class: "button only-icon",
        type: "button",
        "aria-label": "All keys",
        "aria-keyshortcuts": "?",
        title: "All keys (?)",
        onclick: open,
      },
      icon("help"),
    );
  }

  /** @param {import("./router.js").Page} page */
  markPage(page) {
    for (const link of document.querySelectorAll(".rail-link[data-page]")) {
      if (link instanceof HTMLElement && link.dataset.page === page.id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /**
   * Name what is shown, in the header and in the browser's tab.
   *
   * @param {string} page
   * @param {{home: string, name: string} | null} [within] the thing on the page, which then links back to the page
   */
  setTitle(page, within = null) {
    document.title = `${within === null ? "" : `${within.name} · `}${page} · Maskwatch`;
    if (within === null) find(".title").replaceChildren(page);
    else
      find(".title").replaceChildren(
        h("a", { href: within.home }, page),
        h("span", { class: "slash", "aria-hidden": "true" }, "/"),
        h("span", { "aria-current": "page" }, within.name),
      );
  }

  /** Tell a screen reader where it is now. */
  focusTitle() {
    find(".title").focus();
  }

  /** @param {{name: string, version: string, sha256?: string} | null} model in service, null while none was heard of */
  #showModel(model) {
    const element = find(".model-in-service");
    element.hidden = model === null;
    if (model === null) return;
    const name = `${model.name} ${model.version}`;
    setText(element, name);
    element.title = `The model in service: ${name}, ${model.sha256 ? `SHA-256 ${model.sha256}` : "the workers' own"}`;
  }

  /** @param {{id: string, text: string}[]} open */
  #showAlerts(open) {
    const link = /** @type {HTMLAnchorElement} */ (find(".alerts"));
    link.hidden = open.length === 0;
    if (open.length === 0) return;
    link.href = open.length === 1 ? `/drift/${encodeURIComponent(open[0].id)}` : "/drift";
    link.title = open.map(({ text }) => text).join("\n");
    setText(find(".alerts-count"), String(open.length));
    setText(find(".alerts-word"), open.length === 1 ? "open alert" : "open alerts");
  }

  /** @param {{version: string, source: string}} about an empty source leaves the project's own */
  setAbout({ version, source }) {
    const link = /** @type {HTMLAnchorElement} */ (find(".source"));
    if (source) link.href = source;
    this.about = { version, source: link.href };
    find(".version").textContent = version;
  }

  /** Say what the system has to say; null when there is nothing. @param {{title: string, text: string} | null} message */
  banner(message) {
    const place = find(".banner-place");
    const said = message === null ? "" : `${message.title} ${message.text}`;
    if (place.textContent === said) return;
    place.replaceChildren();
    if (message !== null)
      place.append(
        h("div", { class: "banner" }, icon("wrong"), h("p", {}, h("strong", {}, message.title), ` ${message.text}`)),
      );
  }

  /** Confirm what a person did. */
  toast = (/** @type {string} */ text) => {
    const toast = h("p", { class: "toast" }, text);
    find(".toasts").replaceChildren(toast);
    setTimeout(() => toast.remove(), TOAST);
  };

  get chromeShown() {
    return document.body.dataset.chrome !== "hidden";
  }

  /** @param {boolean} shown */
  showChrome(shown) {
    if (shown) delete document.body.dataset.chrome;
    else document.body.dataset.chrome = "hidden";
    this.restore.hidden = shown;
    if (!shown) this.#wake();
    window.dispatchEvent(new Event("resize"));
  }

  #wake() {
    if (this.chromeShown) return;
    this.restore.classList.add("awake");
    clearTimeout(this.#awake);
    this.#awake = window.setTimeout(() => this.restore.classList.remove("awake"), AWAKE);
  }

  #connection() {
    const { state, retryAt } = this.feed;
    const wait = retryAt === null ? 0 : retryAt - Date.now();
    const text = {
      connecting: "Connecting",
      live: "Live",
      lost: wait > 0 ? `Reconnecting in ${span(wait + 999)}` : "Reconnecting",
    }[state];
    setText(find(".connection-text"), text);
    const changed = find(".connection").dataset.state !== state;
    find(".connection").dataset.state = state;
    if (changed && state !== "connecting")
      setText(find(".header-status [role=status]"), state === "lost" ? "Connection lost, reconnecting" : "Connected");
  }
}
