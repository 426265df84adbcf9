// This device's camera as a camera of its own: asked for, shown, sent, paused, and ended with the page.

import { openDialog } from "../../dialogs.js";
import { h, icon, setText } from "../../element.js";
import { keep, recall } from "../../stored.js";

const LONGEST_SIDE = 1280;
const QUALITY = 0.8;
/** Pictures a second at most; a slow line has fewer, since one is under way at a time. */
const RATE = 10;
const ANSWER_TIMEOUT = 10_000;
const KEEP_ALIVE = 20_000;
/** A line that was lost is tried again after so long, in milliseconds. */
const AGAIN = 3000;
const [TAKEN, NO_PICTURE] = [4409, 4415];
const CLOSED = /** @type {Record<number, string>} */ ({
  [TAKEN]: "Another page shows this device already.",
  [NO_PICTURE]: "The server could not read the pictures.",
  4408: "Nothing was sent for a while.",
  1013: "The server takes no more pictures now.",
});

/** The id that this browser's camera keeps. @returns {string} */
function ownId() {
  const known = recall("device", "");
  if (/^browser-[a-z0-9]{6}$/.test(known)) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  const made = `browser-${Array.from(bytes, (byte) => (byte % 36).toString(36)).join("")}`;
  keep("device", made);
  return made;
}

/** What kept the browser from giving its camera, for people. @param {unknown} error */
function whyNot(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") return "The browser was not allowed to use the camera. Allow it in the address bar.";
  if (name === "NotFoundError") return "This device has no camera.";
  if (name === "NotReadableError") return "Another program uses the camera.";
  return "The camera cannot be used here.";
}

/**
 * Open the dialog that shows this device's camera and sends it.
 *
 * @param {import("./manage.js").Around} around
 * @param {(path: string) => void} go to an address of the console
 */
export function openBroadcast({ toast, changed }, go) {
  const video = h("video", { class: "own-camera", muted: true, playsinline: true });
  video.muted = true;
  const told = h("p", { role: "status" }, "Asking for the camera…");
  const pause = h("button", { class: "button outlined", type: "button", hidden: true }, "Pause");
  const watch = h("button", { class: "button primary", type: "button", hidden: true }, "Show it large");
  const dialog = openDialog(
    "This device's camera",
    video,
    told,
    h(
      "p",
      { class: "quiet" },
      "Its pictures are sent to this server while this is open, and kept as those of any camera are.",
    ),
    h("div", { class: "actions" }, watch, pause),
  );
  const sender = new Sender(video, (text) => setText(told, text));
  pause.addEventListener("click", () => {
    sender.pause(!sender.paused);
    setText(pause, sender.paused ? "Go on" : "Pause");
  });
  // The picture goes on beside the wall: a dialog would cover what it shows.
  watch.addEventListener("click", () => {
    dialog.dataset.kept = "true";
    // Moved before the dialog goes: a video that is in no document stops.
    document.body.append(badge(sender, { toast, changed }));
    dialog.close();
    go(`/live/${sender.id}`);
  });
  sender.addEventListener("end", () => {
    pause.hidden = watch.hidden = true;
  });
  dialog.addEventListener("close", () => {
    if (dialog.dataset.kept !== "true") sender.stop();
    changed();
  });
  sender.start().then((started) => {
    pause.hidden = watch.hidden = !started;
    if (started) setTimeout(changed, 1500);
  });
}

/** @param {Sender} sender @param {import("./manage.js").Around} around */
function badge(sender, { toast, changed }) {
  const stop = h("button", { class: "button", type: "button" }, icon("close"), "Stop sending");
  const element = h("div", { class: "sending", role: "group", "aria-label": "This device's camera is being sent" }, sender.video, stop);
  stop.addEventListener("click", () => sender.stop());
  sender.addEventListener("end", () => {
    element.remove();
    if (sender.refusal !== "") toast(sender.refusal);
    changed();
  });
  return element;
}

/** Sends what a video element shows; one picture is under way at a time. */
class Sender extends EventTarget {
  id = ownId();
  paused = false;
  /** Why the server takes nothing from here, once it has ended for that. */
  refusal = "";
  /** @type {MediaStream | null} */
  #stream = null;
  /** Whether it was stopped: it does not begin again. */
  #ended = false;
  /** @type {WebSocket | null} */
  #socket = null;
  #canvas = document.createElement("canvas");
  #timer = 0;
  #sent = 0;
  #since = 0;
  #sentAt = 0;
  /** Whether an answer is due. */
  #asked = false;
  /** Whether the server has ever taken a picture. */
  #taken = false;

  /** @param {HTMLVideoElement} video @param {(text: string) => void} tell */
  constructor(video, tell) {
    super();
    this.video = video;
    this.tell = tell;
    this.leave = () => this.stop();
  }

  /** @returns {Promise<boolean>} whether the camera was given, and is still wanted */
  async start() {
    if (navigator.mediaDevices === undefined) {
      this.tell("Browsers give a camera only to pages over HTTPS, or of this very computer: see «make up LAN=1».");
      return false;
    }
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({
        video: { width: { ideal: LONGEST_SIDE }, facingMode: { ideal: "environment" } },
      });
      if (!this.#ended) {
        this.video.srcObject = this.#stream;
        await this.video.play();
      }
    } catch (error) {
      this.tell(whyNot(error));
      this.#letGo();
      return false;
    }
    // People take their time to allow it, and may have closed the dialog meanwhile: nobody would see that it sends.
    if (this.#ended) {
      this.#letGo();
      return false;
    }
    window.addEventListener("pagehide", this.leave);
    this.#connect();
    return true;
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.paused = paused;
    this.tell(paused ? "Paused" : "Sending…");
    if (!this.#asked && this.#socket?.readyState === WebSocket.OPEN) this.#next(0);
  }

  stop() {
    this.#ended = true;
    clearTimeout(this.#timer);
    window.removeEventListener("pagehide", this.leave);
    this.#letGo();
    this.#socket?.close();
    this.dispatchEvent(new Event("end"));
  }

  #letGo() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
  }

  #connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const name = encodeURIComponent("This device");
    this.#socket = new WebSocket(`${scheme}://${location.host}/broadcast/${this.id}?name=${name}`);
    this.#socket.addEventListener("open", () => {
      this.#since = performance.now();
      this.#sent = 0;
      this.#asked = false;
      this.#next(0);
    });
    this.#socket.addEventListener("message", (/** @type {MessageEvent} */ event) => this.#answered(event.data));
    this.#socket.addEventListener("close", (/** @type {CloseEvent} */ event) => this.#closed(event.code));
  }

  /** @param {number} code */
  #closed(code) {
    clearTimeout(this.#timer);
    if (this.#stream === null) return;
    // Once pictures were taken it is this page's own line that is in the way: the server notices late that it is lost.
    const own = code === TAKEN && this.#taken;
    const why = (own ? "" : CLOSED[code]) || "The connection was lost; it is tried again.";
    this.tell(why);
    if (code === NO_PICTURE || (code === TAKEN && !own)) {
      this.refusal = why;
      this.stop();
    } else this.#timer = window.setTimeout(() => this.#connect(), AGAIN);
  }

  /** @param {string} answer */
  #answered(answer) {
    this.#asked = false;
    const now = performance.now();
    if (answer === "ack") {
      this.#sent += 1;
      this.#taken = true;
    }
    if (now - this.#since > 2000) {
      const rate = (1000 * this.#sent) / (now - this.#since);
      this.tell(this.paused ? "Paused" : `Sending ${rate.toFixed(0)} pictures a second`);
      this.#since = now;
      this.#sent = 0;
    }
    this.#next(this.paused ? KEEP_ALIVE : Math.max(0, this.#sentAt + 1000 / RATE - now));
  }

  /** @param {number} wait in milliseconds */
  #next(wait) {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#send(), wait);
  }

  #send() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    this.#sentAt = performance.now();
    if (this.paused) {
      this.#asked = true;
      socket.send("paused");
      return;
    }
    const { videoWidth, videoHeight } = this.video;
    if (videoWidth === 0) {
      this.#next(100);
      return;
    }
    const scale = Math.min(1, LONGEST_SIDE / Math.max(videoWidth, videoHeight));
    this.#canvas.width = Math.round(videoWidth * scale);
    this.#canvas.height = Math.round(videoHeight * scale);
    this.#canvas.getContext("2d")?.drawImage(this.video, 0, 0, this.#canvas.width, this.#canvas.height);
    this.#canvas.toBlob(
      (blob) => {
        if (blob === null || socket.readyState !== WebSocket.OPEN) return;
        this.#asked = true;
        socket.send(blob);
        this.#timer = window.setTimeout(() => socket.close(), ANSWER_TIMEOUT);
      },
      "image/jpeg",
      QUALITY,
    );
  }
}
