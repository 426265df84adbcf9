// System: is anything broken, since when, what is done about it, what should I do; and the figures behind the answer.

import { Feed, UNAUTHORIZED } from "../../api.js";
import { failed, locked, putCard } from "../../cards.js";
import { h, icon, setText } from "../../element.js";
import { PageFeeds, sayAge } from "../../page-feeds.js";
import { age, ago, clock, span, timeElement } from "../../time.js";
import { Table } from "./table.js";
import { bytes, count, perMinute, perSecond } from "./units.js";

const EVERY = 5000;

/** Offline and unknown cameras stand out by their mark and their word. */
const CAMERA_STATES = /** @type {Record<string, [string, string]>} */ ({
  online: ["watching", "Online"],
  offline: ["offline", "Offline"],
  paused: ["silent", "Paused"],
  unknown: ["waiting", "Not started"],
});

export class SystemPage {
  /** @param {HTMLElement} root @param {any} app */
  constructor(root, { shell }) {
    this.shell = shell;
    this.feed = new Feed("/status", { every: EVERY });
    this.feeds = new PageFeeds(() => this.#heard());
    this.message = h("div", { class: "message", hidden: true });
    this.stale = h("p", { class: "stale-note", hidden: true });
    this.verdict = h("div", { class: "verdict", role: "status" });
    this.troubles = h("ol", { class: "troubles", "aria-label": "What is wrong, the worst first" });
    this.cameras = new Table("Cameras", ["Camera", "State", "Frames/s", "Age", "Dropped", "Lost before Kafka"]);
    this.workers = new Table("Workers on this machine", ["Stage", "Process", "Frames/s", "A batch", "A frame", "Memory", "Model"]);
    this.topics = new Table("Topics", ["Topic", "Records", "Bytes", "Oldest", "Kept", "Behind"]);
    this.tiles = h("dl", { class: "figures-row" });
    this.versions = h("dl", { class: "versions" });
    this.content = h(
      "div",
      { class: "system", hidden: true },
      this.verdict,
      this.troubles,
      this.tiles,
      this.cameras.element,
      this.workers.element,
      this.topics.element,
      h("section", { class: "block", "aria-label": "Versions" }, h("h2", {}, "Versions"), this.versions),
    );
    this.element = h("div", { class: "system-page" }, this.stale, this.message, this.content);
    root.append(this.element);
    this.feeds.ask([this.feed]);
    this.timer = setInterval(() => this.#tick(), 1000);
  }

  show() {
    this.shell.setTitle("System");
    this.feeds.refresh();
    this.#heard();
  }

  unmount() {
    clearInterval(this.timer);
    this.feeds.stop();
  }

  #heard() {
    const card = this.#card();
    putCard(this.message, card);
    this.content.hidden = card !== null;
    if (card === null) this.#show(this.feed.data);
    this.#tick();
  }

  /** @returns {{id: string, element: HTMLElement} | null} */
  #card() {
    const { data, error } = this.feed;
    if (error?.status === UNAUTHORIZED) return { id: "token", element: locked() };
    if (data === null && error !== null)
      return { id: `error ${error.message}`, element: failed("How the system does cannot be read", error, this.feed) };
    if (data === null) return { id: "loading", element: skeleton() };
    return null;
  }

  #tick() {
    sayAge(this.element, this.stale, this.content.hidden ? null : this.feeds.old);
  }

  /** @param {any} status */
  #show(status) {
    const now = Date.parse(status.now);
    this.#judge(status.troubles, now);
    this.#sum(status);
    this.#listCameras(status.cameras, now);
    this.#listWorkers(status.workers, status.readers);
    this.#listTopics(status.topics, now);
    const key = JSON.stringify(status.versions);
    if (this.versions.dataset.key === key) return;
    this.versions.dataset.key = key;
    this.versions.replaceChildren(
      ...status.versions.flatMap((/** @type {{name: string, version: string}} */ { name, version }) => [
        h("dt", {}, name),
        h("dd", {}, version),
      ]),
    );
  }

  /** @param {any[]} troubles @param {number} now */
  #judge(troubles, now) {
    const broken = troubles.filter(({ severity }) => severity === "broken").length;
    const said =
      troubles.length === 0
        ? "Nothing is broken"
        : broken === 0
          ? `Nothing is broken; ${count(troubles.length, "thing")} to keep an eye on`
          : `${count(broken, "thing")} ${broken === 1 ? "is" : "are"} broken`;
    const state = broken > 0 ? "broken" : troubles.length > 0 ? "watch" : "well";
    if (this.verdict.dataset.said !== said) {
      this.verdict.dataset.said = said;
      this.verdict.dataset.state = state;
      this.verdict.replaceChildren(icon(state === "well" ? "watching" : "wrong"), h("h2", {}, said));
    }
    const key = JSON.stringify(troubles.map(({ what, since }) => [what, since]));
    if (this.troubles.dataset.key !== key) {
      this.troubles.dataset.key = key;
      this.troubles.replaceChildren(...troubles.map((one) => trouble(one, now)));
    }
    this.troubles.hidden = troubles.length === 0;
    for (const element of this.troubles.querySelectorAll("time")) setText(element, ago(Date.parse(element.dateTime), now));
  }

  /** @param {any} status @param {number} now */
  #sum({ pipeline, disk, cameras }) {
    const online = cameras.filter((/** @type {{state: string}} */ { state }) => state === "online").length;
    const skipped = pipeline.skipped.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.per_minute, 0);
    const reasons = pipeline.skipped.map((/** @type {any} */ one) => `${one.reason} ${perMinute(one.per_minute)}`).join(", ");
    const over = `over ${Math.round(pipeline.seconds)} s`;
    const full =
      disk === null
        ? "Kafka does not say"
        : disk.full_in_s !== null
          ? `full in ${span(disk.full_in_s * 1000)} at this pace`
          : disk.seen_s < 600
            ? `pace known in ${Math.ceil((600 - disk.seen_s) / 60)} min`
            : `not filling, over ${span(disk.seen_s * 1000)}`;
    const tiles = [
      ["Cameras online", `${online} of ${cameras.length}`, ""],
      ["Detected", pipeline.detected === null ? "–" : perSecond(pipeline.detected), pipeline.detected === null ? "known in 10 s" : over],
      [
        "Age",
        pipeline.age_p50_s === null ? "–" : age(pipeline.age_p50_s * 1000),
        pipeline.age_p95_s === null ? "nothing detected lately" : `95 % under ${age(pipeline.age_p95_s * 1000)}`,
      ],
      ["Skipped", perMinute(skipped), reasons || "newest wins; none lately"],
      ["Disk left", disk === null ? "–" : bytes(disk.free), full],
    ];
    const key = JSON.stringify(tiles);
    if (this.tiles.dataset.key === key) return;
    this.tiles.dataset.key = key;
    this.tiles.replaceChildren(
      ...tiles.map(([name, value, note]) =>
        h("div", { class: "figure-tile" }, h("dt", {}, name), h("dd", { class: "figure-value" }, value), h("dd", { class: "quiet" }, note)),
      ),
    );
  }

  /** @param {any[]} cameras @param {number} now */
  #listCameras(cameras, now) {
    this.cameras.fill(
      cameras.map(({ id, name, state, since, reason, wished, rate, age_s: old, dropped, lost }) => {
        const [mark, word] = CAMERA_STATES[state];
        const when = since !== null && state === "offline" ? [" since ", timeElement(since, clock(Date.parse(since)))] : [];
        return {
          key: [id, state, since, reason, rate, old, dropped, lost],
          bad: state === "offline",
          cells: [
            h("a", { href: `/live/${id}` }, name),
            h("span", { class: "icon-word" }, icon(/** @type {any} */ (mark)), h("span", {}, word, ...when, reason && state === "offline" ? `: ${reason}` : "")),
            rate === null ? "–" : `${rate.toFixed(1)} of ${wished}`,
            old === null ? "–" : age(old * 1000),
            dropped === null ? "–" : `${dropped} · newest wins`,
            lost.map((/** @type {any} */ one) => `${one.reason} ${perMinute(one.per_minute)}`).join(", ") || "none",
          ],
        };
      }),
      "No camera is wished for. «maskwatch cameras add …» adds one, and so does Live.",
      now,
    );
  }

  /** @param {any[]} workers @param {any[]} readers */
  #listWorkers(workers, readers) {
    const elsewhere = readers
      .filter(({ hosts }) => hosts.length > 0)
      .map(({ group, hosts }) => `${group}: ${hosts.length}`)
      .join(" · ");
    this.workers.fill(
      workers.map(({ stage, pid, rate, batch, detect_s: took, memory, model }) => ({
        key: [stage, pid, rate, batch, took, memory, model],
        bad: false,
        cells: [
          stage,
          String(pid),
          rate === null ? "" : rate.toFixed(1),
          batch === null ? "" : batch.toFixed(1),
          took === null ? "" : age(took * 1000),
          bytes(memory),
          model,
        ],
      })),
      "No process of this machine tells its figures: each stage serves its own at metrics.port.",
    );
    this.workers.note(elsewhere ? `Members of the consumer groups, on all machines: ${elsewhere}` : "");
  }

  /** @param {any[]} topics @param {number} now */
  #listTopics(topics, now) {
    this.topics.fill(
      topics.map(({ name, records, bytes: size, oldest, kept, lag }) => ({
        key: [name, records, size, oldest, lag],
        bad: false,
        cells: [
          h("code", {}, name),
          records.toLocaleString(),
          bytes(size),
          oldest === null ? "empty" : timeElement(oldest, ago(Date.parse(oldest), now)),
          kept,
          lag.map((/** @type {any} */ one) => `${one.group} ${one.records}`).join(", ") || "–",
        ],
      })),
      "Kafka does not say what it holds.",
    );
  }
}

/** @param {any} one @param {number} now */
function trouble({ severity, what, since, doing, todo, link }, now) {
  const answer = (/** @type {string} */ question, /** @type {...(Node | string)} */ ...said) => [h("dt", {}, question), h("dd", {}, ...said)];
  return h(
    "li",
    { class: "trouble", dataset: { severity } },
    h("h3", {}, icon(severity === "broken" ? "wrong" : "waiting"), h("span", {}, what)),
    h(
      "dl",
      {},
      ...answer("Since", timeElement(since, ago(Date.parse(since), now))),
      ...answer("What is being done", doing),
      ...answer("What to do", todo, ...(link ? [" ", h("a", { href: link }, "Show it")] : [])),
    ),
  );
}

function skeleton() {
  return h(
    "div",
    { class: "system system-skeleton" },
    h("p", { class: "sr-only" }, "Asking how everything does"),
    h("div", { class: "skeleton-line" }),
    h("div", { class: "figures-row" }, ...Array.from({ length: 5 }, () => h("div", { class: "figure-tile skeleton-tile" }))),
    ...Array.from({ length: 2 }, () => h("div", { class: "block skeleton-block" })),
  );
}
