"""The main job, whole: `maskwatch up`, a camera, and a browser that sees boxes on faces, whatever dies meanwhile."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from maskwatch.boxes import iou
from maskwatch.messages import Box, DetectedFace, FrameInfo, MarkedFace, read_frame_headers
from maskwatch.settings import PROJECT, Settings
from maskwatch.topics import Name
from tests.support.console_page import LAPTOP
from tests.support.topic import read_all
from tests.support.up import Up, prepared_home
from training.datasets.importing import read
from training.datasets.manifest import build

PHOTOGRAPHS = [PROJECT.parent / "shared" / "data" / name for name in ("facemask-voc", "portraits")]
CAMERAS = """
[[camera]]
id = "drawn"
source = "scene"
rate = 5
seed = 4242
"""
CAST = """
[[camera]]
id = "photographed"
source = "scene"
rate = 5
seed = 4243
cast = "{cast}"
"""
LOOKS, PAUSE_MS = 12, 3000
BUSY_S = 120
"""Seconds. Two busy cores take their time."""


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return a cameras.toml and its ids: drawn people, and the photographs that no training saw."""
    folder = tmp_path_factory.mktemp("cameras")
    file = folder / "cameras.toml"
    if not all(path.exists() for path in PHOTOGRAPHS):
        assert "CI" not in os.environ, f"CI must have the photographs: {PHOTOGRAPHS}"
        file.write_text(CAMERAS)
        return file, ["drawn"]
    cast = folder / "cast"
    for name in ("images", "annotations"):
        (cast / name).mkdir(parents=True)
    for entry in build(read(PHOTOGRAPHS).pictures).part("test"):
        path = Path(entry.path)
        (cast / "images" / path.name).symlink_to(path)
        shutil.copy(path.parents[1] / "annotations" / f"{path.stem}.xml", cast / "annotations")
    file.write_text(CAMERAS + CAST.format(cast=cast))
    return file, ["drawn", "photographed"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, cameras: tuple[Path, list[str]]) -> Iterator[Up]:
    with Up.running(prepared_home(tmp_path_factory.mktemp("up")), "--cameras", str(cameras[0])) as up:
        up.wait_for("ready in ")
        yield up


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": LAPTOP[0], "height": LAPTOP[1]})
    page = context.new_page()
    page.set_default_timeout(BUSY_S * 1000)
    yield page
    context.close()


def drawn_frames(page: Page, camera: str, count: int) -> dict[str, list[DetectedFace]]:
    """Return what the browser drew on so many frames, by frame id."""
    seen: dict[str, list[DetectedFace]] = {}
    deadline = time.monotonic() + BUSY_S
    while len(seen) < count:
        assert time.monotonic() < deadline, f"{len(seen)} of {count} frames of {camera} in {BUSY_S} s"
        # Asked again and again from outside: the page's own policy forbids it to evaluate text.
        drawn = page.evaluate(
            "id => { const c = document.querySelector(`canvas[data-camera=${id}]`); "
            "return c?.dataset.frame ? [c.dataset.frame, c.dataset.objects] : null }",
            camera,
        )
        if drawn is not None:
            seen[drawn[0]] = [
                DetectedFace(face["label"], face["score"], tuple(face["box"])) for face in json.loads(drawn[1])
            ]
        page.wait_for_timeout(50)
    return seen


def in_a_thread(settings: Settings) -> list[FrameInfo]:
    """Read the live topic; Playwright has this thread's event loop."""
    with ThreadPoolExecutor(1) as thread:
        records = thread.submit(asyncio.run, read_all(settings, Name.FRAMES_LIVE)).result()
    return [read_frame_headers(record.headers) for record in records]


def found(truth: tuple[MarkedFace, ...], seen: list[DetectedFace]) -> int:
    return sum(any(face.label == true.label and iou(face.box, true.box) >= 0.5 for face in seen) for true in truth)


def centre(box: Box) -> float:
    return (box[0] + box[2]) / 2


@pytest.mark.timeout(400)
def test_boxes_sit_on_the_faces_they_speak_of_and_move_with_them(
    running: Up, cameras: tuple[Path, list[str]], page: Page
) -> None:
    page.goto(running.url)
    seen: dict[str, dict[str, list[DetectedFace]]] = {camera: {} for camera in cameras[1]}
    truth: dict[str, tuple[MarkedFace, ...]] = {}
    # Over most of a minute, so that many people pass; the live topic keeps what is true of them for about as long.
    for _ in range(LOOKS):
        for camera, frames in seen.items():
            frames.update(drawn_frames(page, camera, 4))
        truth |= {info.id: info.truth or () for info in in_a_thread(running.settings)}
        page.wait_for_timeout(PAUSE_MS)
    for camera, frames in seen.items():
        assert set(frames) <= set(truth)
        faces = sum(len(truth[frame]) for frame in frames)
        right = sum(found(truth[frame], boxes) for frame, boxes in frames.items())
        assert faces >= len(frames) >= 4 * LOOKS
        assert right / faces >= 0.8, f"{camera}: {right} of {faces} faces"
        # The people moved, and what was drawn with them.
        assert len({round(centre(face.box), 2) for frame in frames for face in truth[frame]}) > 10
        assert len({round(centre(face.box), 2) for boxes in frames.values() for face in boxes}) > 10


@pytest.mark.timeout(400)
@pytest.mark.parametrize("victim", ["detector", "valkey", "live", "camera", "api", "kafka"])
def test_the_picture_returns_after_a_kill(running: Up, page: Page, victim: str) -> None:
    page.goto(f"{running.url}/live/drawn")
    before = drawn_frames(page, "drawn", 2)
    killed = running.children()[victim]
    killed.kill()
    running.wait_for(f"{victim}", "is up again")
    assert running.children()[victim].pid != killed.pid
    # The page is not loaded again: it comes back by itself, with newer frames of the same camera.
    assert len(set(drawn_frames(page, "drawn", 6 + len(before))) - set(before)) >= 5


def test_the_api_knows_what_runs(running: Up, cameras: tuple[Path, list[str]], page: Page) -> None:
    answers: Mapping[str, object] = {
        path: page.request.get(f"{running.url}{path}").text() for path in ("/metrics", "/cameras", "/ready", "/health")
    }
    assert 'maskwatch_frames_detected_total{lane="live"}' in str(answers["/metrics"])
    assert "maskwatch_frames_joined_total" in str(answers["/metrics"])
    listed = {camera["id"]: camera["state"] for camera in json.loads(str(answers["/cameras"]))["cameras"]}
    assert listed == dict.fromkeys(cameras[1], "online")
    assert json.loads(str(answers["/ready"]))["status"] == "ready"
