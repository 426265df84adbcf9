// Cards in place of what every page may fail to show: a server that asks for its token, or that has no answer.

import { ApiError, signIn } from "./api.js";
import { h, icon } from "./element.js";

/** What asks for the token; every feed asks again once it was taken. */
export function locked() {
  const field = h("input", {
    id: "token",
    name: "token",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  // Password managers file a token under a name, and browsers ask for one.
  const user = h("input", {
    type: "text",
    name: "username",
    autocomplete: "username",
    value: "maskwatch",
    hidden: true,
    readonly: true,
  });
  const answer = h("p", { class: "answer", role: "alert" });
  const enter = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    answer.textContent = "";
    try {
      await signIn(field.value);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      answer.textContent = error.message;
      field.select();
    }
  };
  return h(
    "form",
    { class: "card", onsubmit: enter },
    icon("locked"),
    h("h2", {}, "This server asks for its token"),
    h("p", {}, "It is the value of api.token in the settings of the installation."),
    user,
    h("div", { class: "field" }, h("label", { for: "token" }, "Token"), field),
    answer,
    h("div", { class: "actions" }, h("button", { class: "button primary", type: "submit" }, "Enter")),
  );
}

/** @param {string} title what failed @param {ApiError} error @param {import("./api.js").Feed} feed */
export function failed(title, { message, page }, feed) {
  return h(
    "section",
    { class: "card wrong" },
    icon("wrong"),
    h("h2", {}, title),
    h("p", {}, `${message} It is tried again by itself.`),
    h(
      "div",
      { class: "actions" },
      h("button", { class: "button primary", type: "button", onclick: () => feed.refresh() }, "Try again now"),
      page ? h("a", { class: "button", href: page }, "What this means") : null,
    ),
  );
}

/**
 * Show a card where it belongs, or nothing; the same id leaves the card alone that stands there.
 *
 * @param {HTMLElement} place
 * @param {{id: string, element: HTMLElement} | null} card
 */
export function putCard(place, card) {
  if (place.dataset.card !== (card?.id ?? "")) {
    place.dataset.card = card?.id ?? "";
    place.replaceChildren(...(card === null ? [] : [card.element]));
  }
  place.hidden = card === null;
}
