// Beside one camera: every face of the drawn frame as a table, and what is known of the camera.

import { h, replaceKeeping, setText } from "../../element.js";
import { countStates, sayCounts, stateChip } from "../../states.js";

/** How often a screen reader may be told what changed, in milliseconds. */
const TELL_EVERY = 8000;

/** @param {number} rate */
function perSecond(rate) {
  return `${rate} ${rate === 1 ? "frame" : "frames"}/s`;
}

export class Panel {
  #told = "";
  #toldAt = 0;

  /** @param {(camera: import("./tile.js").Camera) => HTMLElement[]} actionsOf a camera */
  constructor(actionsOf) {
    this.actionsOf = actionsOf;
    this.actions = h("div", { class: "actions" });
    this.rows = h("tbody");
    this.none = h("p", { class: "quiet" });
    this.facts = h("dl", { class: "facts" });
    this.status = h("p", { class: "sr-only", role: "status" });
    this.table = h(
      "table",
      { class: "faces" },
      h("caption", { class: "sr-only" }, "Faces in the picture, from left to right"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Face"), h("th", { scope: "col" }, "Score"))),
      this.rows,
    );
    this.element = h(
      "aside",
      { class: "panel", "aria-label": "What is seen" },
      h("h2", {}, "Seen now"),
      this.table,
      this.none,
      h("h2", {}, "Camera"),
      this.facts,
      this.actions,
    );
  }

  /** @param {import("./tile.js").Tile} tile @param {number} now */
  update(tile, now) {
    const faces = [...tile.faces].sort((a, b) => a.box[0] - b.box[0]);
    const key = JSON.stringify(faces.map(({ label, score }) => [label, score.toFixed(2)]));
    if (this.rows.dataset.key !== key) {
      this.rows.dataset.key = key;
      this.rows.replaceChildren(
        ...faces.map(({ label, score }) =>
          h("tr", {}, h("td", {}, stateChip(label)), h("td", { class: "number" }, score.toFixed(2))),
        ),
      );
    }
    this.table.hidden = faces.length === 0;
    this.none.hidden = faces.length > 0;
    setText(this.none, tile.state === "live" ? "No faces in the picture." : "Nothing: there is no fresh picture.");
    this.#showFacts(tile);
    if (tile.state === "live") this.#tell(`${tile.title}: ${sayCounts(countStates(tile.faces))}`, now);
    else if (tile.state !== "loading") this.#tell(`${tile.title}: ${tile.state}`, now);
  }

  /** @param {import("./tile.js").Tile} tile */
  #showFacts({ camera, picture: { live } }) {
    const facts = {
      Source: camera.source,
      Limit: perSecond(camera.rate),
      Recorded: camera.recorded > 0 ? perSecond(camera.recorded) : "nothing",
      ...(live === null
        ? {}
        : { Picture: `${live.frame.width} × ${live.frame.height}`, Model: `${live.model.name} ${live.model.version}` }),
    };
    const can = JSON.stringify([camera.id, camera.name, camera.state, camera.paused, camera.managed]);
    if (this.actions.dataset.key !== can) {
      this.actions.dataset.key = can;
      replaceKeeping(this.actions, ...this.actionsOf(camera));
    }
    const key = JSON.stringify(facts);
    if (this.facts.dataset.key === key) return;
    this.facts.dataset.key = key;
    this.facts.replaceChildren(
      ...Object.entries(facts).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    );
  }

  /** @param {string} text @param {number} now */
  #tell(text, now) {
    if (text === this.#told || now - this.#toldAt < TELL_EVERY) return;
    this.#told = text;
    this.#toldAt = now;
    setText(this.status, text);
  }
}
