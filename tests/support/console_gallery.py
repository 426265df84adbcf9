"""Screenshots of the console in every state, for a person's eye: `python -m tests.support.console_gallery FOLDER`.

Each state is photographed at phone, laptop and wall-screen size, light and dark. With `--pictures DIR`, a folder in
Pascal VOC's layout (`images/`, `annotations/`), its photographs stand in for the drawn pictures.
"""

import argparse
import hashlib
import random
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from maskwatch.label_messages import FrameLabel
from maskwatch.messages import DetectedFace
from tests.support import judged
from tests.support.chromium import launch
from tests.support.console_drift import DriftStandIn, evening
from tests.support.console_labels import LabelStandIn
from tests.support.console_models import ModelStandIn, lately
from tests.support.console_server import LABELS, ConsoleServer, Picture, Script, draw_pictures
from tests.support.console_system import broken

SIZES = {"phone": (390, 844), "laptop": (1440, 900), "wall": (2560, 1440)}
THEMES = ("light", "dark")

Prepare = Callable[[ConsoleServer, Page], None]


def read_voc(folder: Path, count: int, *, seed: int = 3) -> list[Picture]:
    """Read photographs with several faces, cut to 16:9, and their annotations with made-up scores."""
    chance = random.Random(seed)
    pictures: list[Picture] = []
    for annotation in sorted((folder / "annotations").glob("*.xml"), key=lambda path: chance.random()):
        faces = [
            (
                str(each.findtext("name")),
                [float(str(each.findtext(f"bndbox/{side}"))) for side in ("xmin", "ymin", "xmax", "ymax")],
            )
            for each in ET.parse(annotation).findall("object")  # noqa: S314  # our own files
        ]
        image = cv2.imread(str(next((folder / "images").glob(f"{annotation.stem}.*"))))
        if image is None or image.shape[1] < image.shape[0] or not 3 <= len(faces) <= 14:
            continue
        height, width = image.shape[:2]
        cut = min(height, round(width * 9 / 16))
        top = (height - cut) // 3
        objects = [
            {
                "label": label if label in LABELS else LABELS[2],
                "score": round(chance.uniform(0.55, 0.98), 3),
                "box": [x1 / width, max(0.0, (y1 - top) / cut), x2 / width, min(1.0, (y2 - top) / cut)],
            }
            for label, (x1, y1, x2, y2) in faces
            if y1 >= top and y2 <= top + cut
        ]
        scaled = cv2.resize(image[top : top + cut], (1280, 720), interpolation=cv2.INTER_CUBIC)
        _, jpeg = cv2.imencode(".jpg", scaled)
        pictures.append(Picture(jpeg.tobytes(), 1280, 720, objects))
        if len(pictures) == count:
            break
    return pictures


def wall(pictures: list[Picture], count: int, *, troubles: bool = True) -> list[Script]:
    """Write the scripts of a wall, some of whose cameras are in trouble."""
    names = ("Front door", "Reception", "Ward 3", "Loading bay", "Canteen", "Lift B", "Stairs", "Car park", "Lab 2")
    scripts = [
        Script(
            f"cam-{index + 1}",
            pictures[index % len(pictures) :][:1],
            names[index % len(names)],
            f"webcam:{index}",
            rate=4.0,
        )
        for index in range(count)
    ]
    now = datetime.now(UTC)
    if troubles and count > 3:
        scripts[1].behaviour, scripts[1].age = "stale", 12.0
        scripts[2].behaviour, scripts[2].age, scripts[2].state = "stale", 260.0, "offline"
        scripts[2].since, scripts[2].reason = now - timedelta(minutes=4), "The webcam was unplugged."
        scripts[3].behaviour, scripts[3].state = "silent", "unknown"
        scripts[0].dropped = 1204
    return scripts


@contextmanager
def page_on(browser: Browser, server: ConsoleServer, size: str, theme: str, path: str) -> Iterator[Page]:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        device_scale_factor=2 if size == "phone" else 1,
        has_touch=size == "phone",
        is_mobile=size == "phone",
    )
    page = context.new_page()
    page.goto(f"{server.url}{path}")
    yield page
    context.close()


def wait(milliseconds: int) -> Prepare:
    """Wait for what comes by itself."""
    return lambda _server, page: page.wait_for_timeout(milliseconds)


def press(key: str) -> Prepare:
    """Press a key once pictures are there."""

    def prepare(_server: ConsoleServer, page: Page) -> None:
        page.wait_for_timeout(1500)
        page.keyboard.press(key)
        page.wait_for_timeout(700)

    return prepare


def click(name: str) -> Prepare:
    """Press a button once pictures are there."""

    def prepare(_server: ConsoleServer, page: Page) -> None:
        page.wait_for_timeout(1500)
        page.get_by_role("button", name=name).click()
        page.wait_for_timeout(400)

    return prepare


def reload_with(**trouble: object) -> Prepare:
    """Load the page anew while something is wrong with the server."""

    def prepare(server: ConsoleServer, page: Page) -> None:
        for name, value in trouble.items():
            setattr(server, name, value)
        page.reload()
        page.wait_for_timeout(1500)

    return prepare


def lose_connection(server: ConsoleServer, page: Page, wait_ms: int = 7500) -> None:
    """Stop the server until the pictures are old."""
    page.wait_for_timeout(1500)
    server.stop()
    page.wait_for_timeout(wait_ms)


def tell(*, hang: bool = False, failing: bool = False, away: bool = False) -> Prepare:
    """Load the page anew with trouble in what is known of drift, of labels and of the system."""

    def prepare(server: ConsoleServer, page: Page) -> None:
        page.wait_for_timeout(1500)
        server.drift.hang = server.system.hang = server.labels.hang = server.models.hang = hang
        server.drift.failing = server.system.failing = server.labels.away = server.models.failing = failing
        server.drift.away = away
        if not away:
            page.reload()
        page.wait_for_timeout(6000 if away else 1500)

    return prepare


def at_three(server: ConsoleServer, page: Page) -> None:
    """Let something be broken."""
    server.system.status = broken
    page.reload()
    page.wait_for_timeout(1500)


def evening_of(pictures: list[Picture]) -> DriftStandIn:
    """Return what is known of drift on an evening, with pictures as evidence."""
    told = evening(datetime.now(UTC))
    image = cv2.imdecode(np.frombuffer(pictures[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    told.before = pictures[0].jpeg
    told.after = cv2.imencode(".jpg", (np.asarray(image) * 0.33).astype(np.uint8))[1].tobytes()
    return told


def drift_states(pictures: list[Picture]) -> Iterator[tuple[str, list[Script], str, Prepare]]:
    """Every state of the pages Drift and System."""
    demo = [Script("demo", pictures[:1], "Demo scene", rate=5.0)]
    story, ended = "/drift/door-2:s1:812:drift", "/drift/door-2:s1:400:drift"
    yield "drift", demo, "/drift", wait(2500)
    yield "drift-table", demo, "/drift", click("Table")
    yield "drift-loading", demo, "/drift", tell(hang=True)
    yield "drift-error", demo, "/drift", tell(failing=True)
    yield "drift-stale", demo, "/drift", tell(away=True)
    yield "story", demo, story, wait(2500)
    yield "story-ended", demo, ended, wait(2500)
    yield "story-loading", demo, story, tell(hang=True)
    yield "story-unknown", demo, "/drift/nothing", wait(1000)
    yield "system", demo, "/system", wait(1500)
    yield "system-broken", demo, "/system", at_three
    yield "system-loading", demo, "/system", tell(hang=True)
    yield "system-error", demo, "/system", tell(failing=True)
    yield "system-stale", demo, "/system", lambda server, page: lose_connection(server, page, 17_000)


def asked_for(pictures: list[Picture]) -> LabelStandIn:
    """Return frames that wait for a label, each for another reason."""
    asked = LabelStandIn()
    reasons = (
        "score 0.48, near the threshold",
        "the camera is in drift",
        "without mask is rare here",
        "chosen by chance",
    )
    for number, picture in enumerate(pictures):
        faces = [DetectedFace(each["label"], each["score"], tuple(each["box"])) for each in picture.objects]
        asked.ask(picture.jpeg, (picture.width, picture.height), faces, reasons[number % len(reasons)])
    return asked


def presses(*keys: str) -> Prepare:
    """Press keys one after the other once pictures are there."""

    def prepare(_server: ConsoleServer, page: Page) -> None:
        page.wait_for_timeout(1500)
        for key in keys:
            page.keyboard.press(key)
            page.wait_for_timeout(300)

    return prepare


def unsaved(server: ConsoleServer, page: Page) -> None:
    """Let labels not be saved."""
    server.labels.failing = True
    presses("Space", "Space")(server, page)
    page.wait_for_timeout(700)


def refused(server: ConsoleServer, page: Page) -> None:
    """Let a label be refused."""
    server.labels.refusal = "Faces 1 and 2 are one face, marked twice."
    presses("Space")(server, page)
    page.wait_for_timeout(700)


def review_states(pictures: list[Picture]) -> Iterator[tuple[str, list[Script], str, Prepare]]:
    """Every state of the page Review."""
    demo = [Script("demo", pictures[:1], "Demo scene", rate=5.0)]
    yield "review", demo, "/review", wait(1500)
    yield "review-chosen", demo, "/review", presses("Space", "s", "Tab")
    yield "review-closer", demo, "/review", presses("Tab", "i")
    yield "review-drawing", demo, "/review", presses("n")
    yield "review-back", demo, "/review", presses("Space", "z")
    yield "review-unsaved", demo, "/review", unsaved
    yield "review-refused", demo, "/review", refused
    yield "review-keys", demo, "/review", presses("?")
    yield "review-loading", demo, "/review", tell(hang=True)
    yield "review-error", demo, "/review", tell(failing=True)
    yield "review-empty", demo, "/review", wait(1000)


def training(server: ConsoleServer, page: Page) -> None:
    """Let a round be under way."""
    server.models.tell(judged.run("r4", "running", done=4, labels=350, at=datetime.now(UTC)))
    page.wait_for_timeout(4500)


def models_states(pictures: list[Picture]) -> Iterator[tuple[str, list[Script], str, Prepare]]:
    """Every state of the page Models."""
    demo = [Script("demo", pictures[:1], "Demo scene", rate=5.0)]
    yield "models", demo, "/models", wait(2000)
    yield "models-training", demo, "/models", training
    yield "models-back", demo, "/models", click("Roll back to v3")
    yield "models-version", demo, "/models/20261101", wait(2500)
    yield "models-refused", demo, "/models/20261025", wait(2000)
    yield "models-unknown", demo, "/models/7", wait(1000)
    yield "models-loading", demo, "/models", tell(hang=True)
    yield "models-error", demo, "/models", tell(failing=True)
    yield "models-stale", demo, "/models", lambda server, page: lose_connection(server, page, 15_000)
    yield "models-empty", demo, "/models", wait(1000)


def judging(pictures: list[Picture]) -> dict[str, bytes]:
    """Return the pictures that have judged a model, by hash."""
    return {hashlib.sha256(picture.jpeg).hexdigest(): picture.jpeg for picture in pictures}


def states(pictures: list[Picture]) -> Iterator[tuple[str, list[Script], str, Prepare]]:
    """Every state: its name, the cameras, the address, and what is done before the picture is taken."""
    demo = [Script("demo", pictures[:1], "Demo scene", rate=5.0)]
    well = wall(pictures, 4, troubles=False)
    refused = [{"name": "kafka", "ok": False, "reason": "127.0.0.1:9092 refuses connections"}]
    yield "demo", demo, "/live", wait(2000)
    yield "demo-add", demo, "/live", click("Add your camera")
    yield "wall-4-troubles", wall(pictures, 4), "/live", wait(6500)
    yield "wall-6", wall(pictures, 6, troubles=False), "/live", wait(2500)
    yield "wall-9-scores", wall(pictures, 9), "/live", press("s")
    yield "wall-20", wall(pictures, 20, troubles=False), "/live", wait(4000)
    yield "wall-4-hidden", well, "/live", press("h")
    yield "single", well, "/live/cam-1", wait(2000)
    yield "single-bare", well, "/live/cam-1", press("d")
    yield "single-scores", well, "/live/cam-2", press("s")
    yield "single-offline", wall(pictures, 4), "/live/cam-3", wait(2000)
    yield "single-unknown", well, "/live/cam-77", wait(800)
    yield "lost-connection", well[:2], "/live", lose_connection
    yield "keys", demo, "/live", press("?")
    yield "toast", well, "/live/cam-1", click("Snapshot")
    yield "banner", well[:2], "/live", reload_with(checks=refused)
    yield "empty", [], "/live", wait(800)
    yield "error", demo, "/live", reload_with(cameras_status=503)
    yield "token", demo, "/live", reload_with(token="secret")  # noqa: S106  # the stand-in's own
    yield "loading", well, "/live", reload_with(cameras_hang=True)
    yield "no-such-page", demo, "/no/such/page", wait(800)
    yield "drift-empty", demo, "/drift", wait(1000)
    yield from drift_states(pictures)
    yield from review_states(pictures)
    yield from models_states(pictures)


def main() -> None:
    """Take the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=Path, help="photographs in Pascal VOC's layout")
    parser.add_argument("--only", default="", help="states whose name begins so")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--themes", nargs="+", default=list(THEMES), choices=THEMES)
    chosen = parser.parse_args()
    pictures = read_voc(chosen.pictures, 9) if chosen.pictures else draw_pictures(9, size=(1280, 720))
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, launch(playwright) as browser:
        for name, scripts, path, prepare in states(pictures):
            if not name.startswith(chosen.only):
                continue
            for size in chosen.sizes:
                for theme in chosen.themes:
                    drift = DriftStandIn() if name.endswith("empty") else evening_of(pictures)
                    labels = LabelStandIn() if name.endswith("empty") else asked_for(pictures)
                    judges = judging(pictures)
                    labels.judging = judges
                    if not name.endswith("empty"):
                        labels.table.take_label(FrameLabel("seen", "labelled", datetime.now(UTC), "ann"))
                    models = ModelStandIn() if name.endswith("empty") else lately(datetime.now(UTC), list(judges))
                    with (
                        ConsoleServer(scripts, drift=drift, labels=labels, models=models) as server,
                        page_on(browser, server, size, theme, path) as page,
                    ):
                        prepare(server, page)
                        page.screenshot(path=chosen.folder / f"{name}-{size}-{theme}.png")
                        server.cameras_hang = server.drift.hang = server.system.hang = server.labels.hang = False
                        server.models.hang = False


if __name__ == "__main__":
    main()
