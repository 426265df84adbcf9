// Cameras are added, tried, paused, woken and removed here; what a process of its own has started is left to it.

import { ApiError, change, still } from "../../api.js";
import { attempt } from "../../attempt.js";
import { CAMERA_COMMANDS, askOnce, commandList, openDialog } from "../../dialogs.js";
import { h, setText } from "../../element.js";

/** @typedef {import("./tile.js").Camera} Camera */
/** @typedef {{toast: (message: string) => void, changed: () => void}} Around */

/**
 * Offer to add a network camera, with a still to see that the address is right.
 *
 * @param {Around} around
 */
export function openAddCamera({ toast, changed }) {
  const source = h("input", {
    id: "camera-source",
    name: "source",
    type: "text",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "rtsp://user:password@10.0.0.7/stream1",
  });
  const identity = h("input", {
    id: "camera-id",
    name: "id",
    type: "text",
    autocomplete: "off",
    pattern: "[a-z0-9][a-z0-9\\-]{0,62}",
    title: "a–z, 0–9 and hyphens",
    placeholder: "door",
  });
  const answer = h("p", { class: "answer", role: "alert" });
  const picture = h("img", { class: "still", alt: "What the camera shows now", hidden: true });
  const test = h("button", { class: "button outlined", type: "button" }, "Test");
  const add = h("button", { class: "button primary", type: "submit" }, "Add camera");
  const form = h(
    "form",
    { class: "dialog-body" },
    h("div", { class: "field" }, h("label", { for: source.id }, "Address"), source),
    h("div", { class: "field" }, h("label", { for: identity.id }, "Id (made from the address if empty)"), identity),
    answer,
    picture,
    h("div", { class: "actions" }, add, test),
  );
  const dialog = openDialog(
    "Add your camera",
    form,
    h("details", {}, h("summary", {}, "A camera of this computer, a clip, or the demo scene"), commandList(CAMERA_COMMANDS, toast)),
  );
  const busy = async (/** @type {string} */ doing, /** @type {() => Promise<void>} */ work) => {
    test.disabled = add.disabled = true;
    setText(answer, doing);
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setText(answer, error.message);
    } finally {
      test.disabled = add.disabled = false;
    }
  };
  test.addEventListener("click", () => {
    if (!source.reportValidity()) return;
    picture.hidden = true;
    busy("Asking the camera for a picture…", async () => {
      const blob = await still(source.value.trim());
      URL.revokeObjectURL(picture.src);
      picture.src = URL.createObjectURL(blob);
      picture.hidden = false;
      setText(answer, "");
    });
  });
  form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    busy("Adding it…", async () => {
      const wanted = { source: source.value.trim(), ...(identity.value === "" ? {} : { id: identity.value }) };
      const added = await change("POST", "/cameras", wanted);
      dialog.close();
      toast(`Camera «${added.name}» is added`);
      setTimeout(changed, 1000);
    });
  });
  dialog.addEventListener("close", () => URL.revokeObjectURL(picture.src));
}

/** @param {Camera} camera @param {Around} around */
function openChangeCamera(camera, { toast, changed }) {
  const name = h("input", { id: "camera-name", type: "text", autocomplete: "off", maxlength: "100", value: camera.name });
  const source = h("input", {
    id: "camera-source",
    type: "text",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    value: camera.source,
  });
  const rate = h("input", {
    id: "camera-rate",
    type: "number",
    required: true,
    min: "0.1",
    max: "60",
    step: "any",
    value: String(camera.rate),
  });
  const answer = h("p", { class: "answer", role: "alert" });
  const save = h("button", { class: "button primary", type: "submit" }, "Save");
  const form = h(
    "form",
    { class: "dialog-body" },
    h("div", { class: "field" }, h("label", { for: name.id }, "Name"), name),
    h("div", { class: "field" }, h("label", { for: source.id }, "Address"), source),
    h("p", { class: "quiet" }, "User and password are kept as long as the address leads to the same host and port."),
    h("div", { class: "field" }, h("label", { for: rate.id }, "Frames a second at most"), rate),
    answer,
    h("div", { class: "actions" }, save),
  );
  const dialog = openDialog(`Change «${camera.name || camera.id}»`, form);
  form.addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const wanted = {
      ...(name.value === camera.name ? {} : { name: name.value }),
      ...(source.value.trim() === camera.source ? {} : { source: source.value.trim() }),
      ...(Number(rate.value) === camera.rate ? {} : { rate: Number(rate.value) }),
    };
    save.disabled = true;
    try {
      if (Object.keys(wanted).length > 0) await change("PATCH", `/cameras/${camera.id}`, wanted);
      dialog.close();
      toast(`Camera «${name.value || camera.id}» is changed`);
      setTimeout(changed, 500);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setText(answer, error.message);
    } finally {
      save.disabled = false;
    }
  });
}

/**
 * What can be done with one camera. One that belongs to a process is changed there, and removed once that has ended.
 *
 * @param {Camera} camera @param {Around} around
 * @returns {HTMLElement[]}
 */
export function cameraActions(camera, { toast, changed }) {
  if (!camera.managed && camera.state !== "offline") return [];
  // What was asked for takes a moment to be seen.
  const around = { toast, acted: () => setTimeout(changed, 500) };
  const act = (/** @type {() => Promise<unknown>} */ work, /** @type {string} */ done) => () =>
    attempt(around, async () => {
      await work();
      return done;
    });
  const path = `/cameras/${camera.id}`;
  const name = camera.name || camera.id;
  const remove = button("remove", "Remove…", () =>
    askOnce(
      `Remove «${name}»?`,
      camera.managed
        ? "It is not captured any more. What was recorded of it stays for its time. It can be added again."
        : "Its process has ended. What was recorded of it stays for its time. It is back when its process is started again.",
      "Remove",
      act(() => change("DELETE", path), `«${name}» is removed`),
    ),
  );
  if (!camera.managed) return [remove];
  const buttons = [button("change", "Change…", () => openChangeCamera(camera, { toast, changed }))];
  if (camera.state === "offline" && !camera.paused)
    buttons.push(button("wake", "Try again now", act(() => change("PATCH", path, {}), `«${name}» is tried again`)));
  buttons.push(
    // One and the same button to whoever presses it twice.
    camera.paused
      ? button("pause", "Resume", act(() => change("PATCH", path, { paused: false }), `«${name}» goes on`))
      : button("pause", "Pause", act(() => change("PATCH", path, { paused: true }), `«${name}» is paused`)),
    remove,
  );
  return buttons;
}

/** @param {string} keep what it is called as long as it does the same @param {string} text @param {() => void} run */
function button(keep, text, run) {
  return h("button", { class: "button outlined", type: "button", dataset: { keep }, onclick: run }, text);
}
