// The console's start: what all pages share.

import { Feed, getJson, signIn } from "./api.js";
import { Keys } from "./keys.js";
import { PAGES } from "./pages.js";
import { lost } from "./pages/lost.js";
import { Router } from "./router.js";
import { Shell } from "./shell.js";

const keys = new Keys();
const cameras = new Feed("/cameras", { every: 5000 });
const ready = new Feed("/ready", { every: 15_000, accept: [503] });
const alerts = new Feed("/alerts?only_open=true", { every: 10_000 });
const service = new Feed("/models?limit=0", { every: 5000 });
const shell = new Shell(PAGES, keys, cameras, alerts, service);
const router = new Router(PAGES, lost, /** @type {HTMLElement} */ (document.querySelector("main")), (page) =>
  shell.markPage(page),
);

ready.addEventListener("change", () => {
  const failing = (ready.data?.checks ?? []).filter((/** @type {{ok: boolean}} */ check) => !check.ok);
  const heard = ready.error === null && failing.length > 0;
  const text = failing
    .map((/** @type {{name: string, reason: string}} */ { name, reason }) => (reason ? `${name}: ${reason}` : name))
    .join("; ");
  shell.banner(heard ? { title: "Not everything is running.", text: `${text}. It is tried again by itself.` } : null);
});

/** The version and the source link do not change while the page is open: asked until answered once. */
async function askAbout() {
  try {
    shell.setAbout(await getJson("/health"));
    cameras.removeEventListener("change", askAbout);
  } catch {
    // The header says that the connection is lost; the next answer of the cameras asks again.
  }
}

/** A code that was scanned holds the token behind «#»: it is given to the server once, and taken out of the address. */
async function enterByCode() {
  const token = /^#token=([A-Za-z0-9_-]+)$/.exec(location.hash)?.[1];
  if (token === undefined) return;
  history.replaceState(null, "", location.pathname);
  try {
    await signIn(token);
  } catch {
    // The page asks for the token itself.
  }
}

await enterByCode();
router.start({ shell, keys, router, cameras, alerts });
cameras.addEventListener("change", askAbout);
cameras.refresh();
ready.refresh();
alerts.refresh();
service.refresh();
