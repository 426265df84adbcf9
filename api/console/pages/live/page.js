// Live: a wall of cameras that fills the window, or one of them large. Both are the same tiles, so that going from
// one to the other never interrupts a picture.

import { brushFromTokens } from "../../boxes.js";
import { h } from "../../element.js";
import { layoutWall } from "../../layout.js";
import { countStates } from "../../states.js";
import { keep, recall } from "../../stored.js";
import { openBroadcast } from "./broadcast.js";
import { putCard } from "../../cards.js";
import { cardFor } from "./cards.js";
import { cameraActions, openAddCamera } from "./manage.js";
import { Panel } from "./panel.js";
import { labelFrame, saveSnapshot, shareLink } from "./sharing.js";
import { Tile } from "./tile.js";
import { Toolbar } from "./toolbar.js";

/** @typedef {import("./tile.js").Camera} Camera */

const TICK = 500;
/** Where the stylesheets turn the rail into a bar: the page scrolls there, and pictures are as wide as the screen. */
const COMPACT = "(max-width: 819px)";
const USUAL_ASPECT = 16 / 9;

export class LivePage {
  /** @type {Map<string, Tile>} in the cameras' order */
  tiles = new Map();
  /** @type {string | null} the one camera that is shown large */
  single = null;
  /** @type {(() => void)[]} */
  #undo = [];
  /** @type {WeakMap<Tile, number | null>} the aspect that the wall was laid out for */
  #aspects = new WeakMap();
  #shown = false;

  /** @param {HTMLElement} root @param {any} app */
  constructor(root, { shell, keys, router, cameras }) {
    this.shell = shell;
    this.router = router;
    this.feed = cameras;
    this.root = root;
    this.view = {
      boxes: recall("boxes", true),
      scores: recall("scores", false),
      details: recall("details", true),
      brush: brushFromTokens(1),
      lost: false,
    };
    this.toolbar = new Toolbar(this.#actions());
    this.around = { toast: shell.toast, changed: () => this.feed.refresh() };
    this.panel = new Panel((camera) => cameraActions(camera, this.around));
    this.wall = h("div", { class: "wall" });
    this.message = h("div", { class: "message", hidden: true });
    this.hint = h(
      "p",
      { class: "next-step", hidden: true },
      h("span", {}, "This is the demo scene."),
      h(
        "button",
        { class: "button outlined", type: "button", onclick: () => openAddCamera(this.around) },
        "Add your camera",
      ),
      h("button", { class: "button outlined", type: "button", onclick: () => this.#broadcast() }, "Use this device's camera"),
    );
    this.stage = h("div", { class: "stage" }, this.wall, this.panel.element, this.panel.status);
    this.element = h("div", { class: "live" }, this.toolbar.element, this.message, this.stage, this.hint);
    root.append(this.element);
    this.sight = new IntersectionObserver((entries) => this.#sighted(entries), { rootMargin: "200px" });
    const resizes = new ResizeObserver(() => this.#layout());
    for (const element of [root, this.wall]) resizes.observe(element);
    const timer = setInterval(() => this.#tick(), TICK);
    this.#undo.push(
      () => resizes.disconnect(),
      () => this.sight.disconnect(),
      () => clearInterval(timer),
    );
    this.#listen(cameras, "change", () => this.#heard());
    this.#listen(document, "visibilitychange", () => this.#stream());
    this.#listen(document, "fullscreenchange", () => this.#refresh());
    // The zoom, and with it the density of pixels, changes without any element changing its size.
    this.#listen(window, "resize", () => this.#layout());
    this.#bindKeys(keys);
  }

  /** @param {EventTarget} target @param {string} event @param {() => void} listener */
  #listen(target, event, listener) {
    target.addEventListener(event, listener);
    this.#undo.push(() => target.removeEventListener(event, listener));
  }

  /** @param {RegExpMatchArray} match */
  show(match) {
    const from = this.single;
    this.single = match[1] ?? null;
    if (this.#shown) this.#refresh();
    else this.#heard();
    // The focus goes where the eye goes: to the camera's name, and back to the tile that was left.
    if (from === null && this.single !== null && this.#shown) this.shell.focusTitle();
    if (from !== null && this.single === null) this.tiles.get(from)?.link.focus({ focusVisible: false });
    this.#shown = true;
  }

  unmount() {
    for (const undo of this.#undo) undo();
    for (const tile of this.tiles.values()) tile.dispose();
  }

  /** @returns {import("./toolbar.js").Action[]} */
  #actions() {
    const toggle = (/** @type {"boxes" | "scores" | "details"} */ name) => () => {
      this.view[name] = !this.view[name];
      keep(name, this.view[name]);
      for (const tile of this.tiles.values()) tile.picture.redraw();
      this.#refresh();
    };
    return [
      {
        id: "back",
        icon: "back",
        name: "All cameras",
        key: "Escape",
        label: "Back to all cameras",
        when: "single",
        moves: true,
        run: () => this.#back(),
      },
      {
        id: "previous",
        icon: "previous",
        name: "Previous camera",
        key: "ArrowLeft",
        when: "several",
        moves: true,
        slight: true,
        run: () => this.#step(-1),
      },
      {
        id: "next",
        icon: "next",
        name: "Next camera",
        key: "ArrowRight",
        when: "several",
        moves: true,
        slight: true,
        run: () => this.#step(1),
      },
      {
        id: "broadcast",
        icon: "camera",
        name: "This device's camera",
        key: "c",
        label: "Send this device's camera",
        when: "always",
        slight: true,
        run: () => this.#broadcast(),
      },
      {
        id: "add",
        icon: "add",
        name: "Add a camera",
        key: "a",
        when: "always",
        slight: true,
        run: () => openAddCamera(this.around),
      },
      {
        id: "label",
        icon: "review",
        name: "Label this frame",
        key: "l",
        when: "single",
        run: () => labelFrame(this.#tile, this.shell.toast, (path) => this.router.go(path)),
      },
      { id: "snapshot", icon: "snapshot", name: "Snapshot", when: "single", run: () => saveSnapshot(this.#tile, this.shell.toast) },
      { id: "share", icon: "share", name: "Copy link", when: "single", run: () => shareLink(this.shell.toast) },
      {
        id: "details",
        icon: "details",
        name: "Details",
        key: "d",
        label: "Details of one camera on and off",
        when: "single",
        run: toggle("details"),
        pressed: () => this.view.details,
      },
      {
        id: "boxes",
        icon: "boxes",
        name: "Boxes",
        key: "b",
        label: "Boxes on and off",
        when: "always",
        run: toggle("boxes"),
        pressed: () => this.view.boxes,
      },
      {
        id: "scores",
        icon: "scores",
        name: "Scores",
        key: "s",
        label: "Scores on and off",
        when: "always",
        run: toggle("scores"),
        pressed: () => this.view.scores,
      },
      {
        id: "fullscreen",
        icon: "fullscreen",
        name: "Full screen",
        key: "f",
        when: "always",
        run: () => this.#fullscreen(),
        pressed: () => document.fullscreenElement !== null,
      },
      {
        id: "chrome",
        icon: "chrome",
        name: "Hide controls",
        key: "h",
        label: "Hide everything but the pictures",
        when: "always",
        run: () => this.shell.showChrome(!this.shell.chromeShown),
      },
    ];
  }

  /** @param {import("../../keys.js").Keys} keys */
  #bindKeys(keys) {
    const digits = Array.from("123456789");
    this.#undo.push(
      keys.bind(digits, "1–9", "Show one camera", (key) => this.#go([...this.tiles.keys()][Number(key) - 1])),
    );
    const shown = /** @type {Record<string, string>} */ ({ Escape: "Esc", ArrowLeft: "←", ArrowRight: "→" });
    for (const { key, name, label, run } of this.toolbar.actions) {
      if (key !== undefined) this.#undo.push(keys.bind(key, shown[key] ?? key, label ?? name, run));
    }
  }

  /** @param {string | undefined} camera */
  #go(camera) {
    if (camera !== undefined) this.router.go(`/live/${camera}`);
  }

  #back() {
    if (!this.shell.chromeShown) this.shell.showChrome(true);
    else if (this.single !== null) this.router.go("/live");
  }

  /** @param {1 | -1} by */
  #step(by) {
    const ids = [...this.tiles.keys()];
    if (this.single !== null) this.#go(ids[(ids.indexOf(this.single) + by + ids.length) % ids.length]);
  }

  async #fullscreen() {
    try {
      await (document.fullscreenElement === null
        ? document.documentElement.requestFullscreen()
        : document.exitFullscreen());
    } catch {
      this.shell.toast("This browser does not allow full screen here");
    }
  }

  #broadcast() {
    openBroadcast(this.around, (path) => this.router.go(path));
  }

  get #tile() {
    return this.single === null ? undefined : this.tiles.get(this.single);
  }

  /** The cameras' feed answered or failed. */
  #heard() {
    const cameras = /** @type {Camera[]} */ (this.feed.data?.cameras ?? []);
    const ids = new Set(cameras.map(({ id }) => id));
    for (const [id, tile] of this.tiles) {
      if (ids.has(id)) continue;
      this.sight.unobserve(tile.element);
      tile.dispose();
    }
    const before = [...this.tiles.keys()].join();
    this.tiles = new Map(cameras.map((camera) => [camera.id, this.tiles.get(camera.id) ?? this.#newTile(camera)]));
    cameras.forEach((camera, index) => this.tiles.get(camera.id)?.update(camera, index + 1));
    if (before !== [...this.tiles.keys()].join())
      this.wall.append(...[...this.tiles.values()].map(({ element }) => element));
    if (this.feed.data !== null) keep("wall", cameras.length);
    const back = this.view.lost && this.feed.state === "live";
    this.view.lost = this.feed.state === "lost";
    // The server is back: no reason to sit out the sockets' own waits.
    if (back) for (const tile of this.tiles.values()) tile.socket.hurry();
    this.#refresh();
  }

  /** @param {Camera} camera */
  #newTile(camera) {
    const tile = new Tile(camera, this.view, () => this.#drawn(tile));
    this.sight.observe(tile.element);
    return tile;
  }

  /** @param {Tile} tile */
  #drawn(tile) {
    if (tile.picture.aspect !== this.#aspects.get(tile)) {
      this.#aspects.set(tile, tile.picture.aspect);
      this.#layout();
    }
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #sighted(entries) {
    for (const { target, isIntersecting } of entries) {
      if (target instanceof HTMLElement) target.dataset.sight = String(isIntersecting);
    }
    this.#stream();
  }

  /** A tab in the background, and a tile out of sight, need no stream. */
  #stream() {
    for (const tile of this.tiles.values()) tile.setActive(!document.hidden && tile.element.dataset.sight === "true");
  }

  /** Show what fits the address, the answers and the choices. */
  #refresh() {
    const single = this.#tile;
    const card = cardFor(this.feed, this.single, this.shell.toast, {
      broadcast: () => this.#broadcast(),
      add: () => openAddCamera(this.around),
    });
    putCard(this.message, card);
    this.stage.hidden = card !== null;
    this.toolbar.element.hidden = card !== null && card.id !== "loading";
    this.panel.element.hidden = single === undefined || !this.view.details;
    this.element.dataset.view = this.single === null ? "wall" : "single";
    for (const tile of this.tiles.values()) {
      tile.element.hidden = this.single !== null && tile !== single;
      tile.link.hidden = this.single !== null;
    }
    this.hint.hidden = card !== null || [...this.tiles.values()].some(({ camera }) => camera.source !== "scene");
    this.toolbar.update({ single: this.single !== null, several: this.tiles.size > 1 });
    this.shell.setTitle("Live", this.single === null ? null : { home: "/live", name: single?.title ?? this.single });
    this.#layout();
    this.#tick();
  }

  #tick() {
    const shown = [...this.tiles.values()].filter((tile) => !tile.element.hidden);
    for (const tile of shown) tile.tick();
    this.toolbar.count(countStates(shown.flatMap((tile) => tile.faces)));
    const single = this.#tile;
    if (single !== undefined) this.panel.update(single, Date.now());
  }

  #layout() {
    const shown = [...this.tiles.values()].filter((tile) => !tile.element.hidden);
    const compact = matchMedia(COMPACT).matches;
    const style = getComputedStyle(this.wall);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const width = this.wall.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const height = compact
      ? this.root.clientHeight
      : this.wall.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
    if (shown.length === 0 || width <= 0 || height <= 0) return;
    const gap = parseFloat(style.columnGap);
    const oneLine = (/** @type {number} */ picture) => picture >= 34 * rem;
    const wall = layoutWall({
      width,
      height,
      count: shown.length,
      aspect: shown.map(({ picture }) => picture.aspect).find((aspect) => aspect !== null) ?? USUAL_ASPECT,
      gap,
      minimum: compact ? width : 13 * rem,
      caption: (picture) => (oneLine(picture) ? 2.25 : 3.5) * rem,
    });
    this.view.brush = brushFromTokens(rem / 16);
    this.wall.style.gridTemplateColumns = `repeat(${wall.columns}, ${wall.width}px)`;
    this.wall.style.setProperty("--picture-height", `${wall.height}px`);
    this.wall.dataset.captions = oneLine(wall.width) ? "one-line" : "two-lines";
    for (const tile of shown) tile.picture.resize(wall.width, wall.height);
  }
}
