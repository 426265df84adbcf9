// A table of figures that is written anew only where something changed; on a phone each row is a card.

import { h, setText } from "../../element.js";

/** @typedef {{key: unknown[], bad: boolean, cells: (Node | string)[]}} Row */

export class Table {
  /** @param {string} name @param {string[]} columns the first names the row */
  constructor(name, columns) {
    this.columns = columns;
    this.body = h("tbody");
    this.nothing = h("p", { class: "quiet", hidden: true });
    this.more = h("p", { class: "quiet", hidden: true });
    this.table = h(
      "table",
      { class: "figures-table" },
      h("caption", { class: "sr-only" }, name),
      h("thead", {}, h("tr", {}, ...columns.map((column) => h("th", { scope: "col" }, column)))),
      this.body,
    );
    this.element = h(
      "section",
      { class: "block", "aria-label": name },
      h("h2", {}, name),
      h("div", { class: "table-place" }, this.table),
      this.nothing,
      this.more,
    );
  }

  /** @param {Row[]} rows @param {string} nothing what is said without any @param {number} [now] times in it depend on */
  fill(rows, nothing, now = 0) {
    this.table.hidden = rows.length === 0;
    this.nothing.hidden = rows.length > 0;
    setText(this.nothing, nothing);
    const key = JSON.stringify([rows.map((row) => row.key), Math.floor(now / 60_000)]);
    if (this.body.dataset.key === key) return;
    this.body.dataset.key = key;
    // A row that has the focus keeps its link: nobody is thrown back to the page's start by a figure that changed.
    const focused = [...this.body.children].findIndex((row) => row.contains(document.activeElement));
    this.body.replaceChildren(...rows.map((row) => this.#row(row)));
    this.body.children[focused]?.querySelector("a")?.focus();
  }

  /** @param {string} text below the table; nothing when empty */
  note(text) {
    this.more.hidden = text === "";
    setText(this.more, text);
  }

  /** @param {Row} row */
  #row({ bad, cells: [first, ...rest] }) {
    return h(
      "tr",
      { dataset: { bad } },
      h("th", { scope: "row" }, first),
      ...rest.map((cell, at) => h("td", { dataset: { column: this.columns[at + 1] } }, cell)),
    );
  }
}
