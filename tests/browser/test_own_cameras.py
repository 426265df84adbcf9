"""One's own cameras, whole: a real Chromium whose webcam shows photographs, and a real RTSP camera.

`maskwatch up --lan` runs, and the browser is a phone's: it comes from the network, over HTTPS, by the code on the
terminal.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocketRoute, expect, sync_playwright

from maskwatch.embedded.lan import nearby_addresses
from maskwatch.messages import Detection, decode
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support.chromium import find_chromium, launch
from tests.support.console_page import LAPTOP, PATIENT
from tests.support.qr import read_code
from tests.support.rtsp import PASSWORD, USER, rtsp_camera
from tests.support.topic import read_all
from tests.support.up import Up, prepared_home

GOLDEN = Settings().detector.model / "golden.jpg"
BUSY_MS = 120_000
CARRIED_MS = 700
"""So long a slow line takes for a picture."""


def as_y4m(picture: Path, clip: Path) -> None:
    """Write a picture as a second of video that Chromium takes for a webcam."""
    image = cv2.imread(str(picture))
    assert image is not None
    height, width = image.shape[:2]
    planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)).tobytes()
    clip.write_bytes(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode() + (b"FRAME\n" + planes) * 10)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    if not nearby_addresses():
        pytest.skip("this machine is in no network")
    local = {"MASKWATCH_CAPTURE__ALLOWED_NETWORKS": '["127.0.0.0/8"]'}
    with Up.running(prepared_home(tmp_path_factory.mktemp("up")), "--no-demo", "--lan", **local) as up:
        up.wait_for("ready in ")
        up.wait_for("Ctrl-C stops everything")
        yield up


@pytest.fixture(scope="module")
def code(running: Up) -> str:
    """What a phone reads from the terminal."""
    return read_code(running.lines)


def phone(browser: Browser, code: str, **options: Any) -> BrowserContext:  # noqa: ANN401  # the browser's own
    """One whose user has told it to go on, though nobody has signed the certificate."""
    address = urlsplit(code)
    return browser.new_context(base_url=f"{address.scheme}://{address.netloc}", ignore_https_errors=True, **options)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if find_chromium() is None and "CI" not in os.environ:
        pytest.skip("Chromium is not installed: apt-get install chromium, or name one in MASKWATCH_TEST_CHROMIUM")
    clip = tmp_path_factory.mktemp("webcam") / "webcam.y4m"
    as_y4m(GOLDEN, clip)
    flags = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={clip}")
    with sync_playwright() as playwright, launch(playwright, *flags) as started:
        yield started


def seen(up: Up, camera: str) -> int:
    # Playwright has an event loop in this thread.
    with ThreadPoolExecutor(1) as thread:
        records = thread.submit(lambda: asyncio.run(read_all(up.settings, Name.DETECTIONS))).result()
    found = [decode(record.value, Detection) for record in records if record.key == camera.encode()]
    return max((len(detection.objects) for detection in found), default=0)


@pytest.fixture
def page(code: str, browser: Browser) -> Iterator[Page]:
    """A page that must be silent in the developer console."""
    context = phone(browser, code, viewport={"width": LAPTOP[0], "height": LAPTOP[1]}, permissions=["camera"])
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.set_default_timeout(PATIENT)
    opened.goto(code)
    opened.wait_for_url("**/live")
    yield opened
    assert [text for text in said if "Failed to load resource" not in text] == []
    context.close()


def test_who_has_the_code_enters_and_nobody_else(running: Up, browser: Browser, code: str) -> None:
    assert urlsplit(code).hostname in nearby_addresses()
    assert any(line.endswith(code) for line in running.lines)
    context = phone(browser, code)
    page = context.new_page()
    page.set_default_timeout(PATIENT)
    page.goto("/live")
    expect(page.get_by_role("heading", name="This server asks for its token")).to_be_visible()
    page.goto(code)
    expect(page.get_by_role("button", name="Use this device's camera")).to_be_visible()
    assert "token" not in page.url
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Strict", True)
    context.close()


def test_a_network_camera_is_tried_added_changed_paused_and_removed(page: Page) -> None:
    with rtsp_camera(locked=True) as camera:
        page.keyboard.press("a")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Address", exact=True).fill(camera.address())
        dialog.get_by_label("Id (made").fill("gate")
        dialog.get_by_role("button", name="Test").click()
        expect(dialog.get_by_role("alert")).to_contain_text("refuses user or password", timeout=BUSY_MS)
        login = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@"
        dialog.get_by_label("Address", exact=True).fill(camera.address().replace("rtsp://", f"rtsp://{login}"))
        dialog.get_by_role("button", name="Test").click()
        expect(dialog.get_by_role("img", name="What the camera shows now")).to_be_visible(timeout=BUSY_MS)
        dialog.get_by_role("button", name="Add camera").click()
        expect(dialog).not_to_be_visible()
        page.goto("/live/gate")
        expect(page.get_by_text(re.compile("640 . 360"))).to_be_visible(timeout=BUSY_MS)
        page.get_by_role("button", name="Change…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_label("Address", exact=True)).to_have_value(camera.address())
        dialog.get_by_label("Name", exact=True).fill("The gate")
        dialog.get_by_label("Frames a second at most").fill("2")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name="The gate").first).to_be_visible(timeout=BUSY_MS)
        page.get_by_role("button", name="Pause", exact=True).click()
        expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=BUSY_MS)
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible(timeout=BUSY_MS)
        page.get_by_role("button", name="Remove…").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(page.get_by_text("There is no camera «gate»")).to_be_visible(timeout=BUSY_MS)


class Line:
    """The line from a page to the server; while it is slow, a picture stays on it until it is carried on."""

    def __init__(self) -> None:
        self.slow = False
        self.pictures = 0
        self.words: list[str] = []
        self.under_way: list[bytes] = []
        self._server: WebSocketRoute | None = None

    def lay(self, page: WebSocketRoute) -> None:
        """Take the place of a connection."""
        self._server = page.connect_to_server()
        page.on_message(self._take)

    def carry(self) -> None:
        """Let the server have what is under way."""
        assert self._server is not None  # laid
        while self.under_way:
            self._server.send(self.under_way.pop(0))

    def _take(self, message: str | bytes) -> None:
        assert self._server is not None  # laid
        if isinstance(message, str):
            self.words.append(message)
            self._server.send(message)
            return
        self.pictures += 1
        self.under_way.append(message)
        if not self.slow:
            self.carry()


def test_a_visitors_camera_follows_a_slow_line_and_pauses(page: Page) -> None:
    line = Line()
    page.route_web_socket("**/broadcast/**", line.lay)
    page.reload()
    page.get_by_role("button", name="Use this device's camera").click()
    status = page.get_by_role("dialog").get_by_role("status")
    expect(status).to_contain_text("pictures a second", timeout=BUSY_MS)

    line.slow = True
    few = re.compile("Sending [01] pictures a second")
    # What is told is of the last two seconds.
    for _ in range(10):
        while not line.under_way:
            page.wait_for_timeout(20)
        page.wait_for_timeout(CARRIED_MS)
        assert len(line.under_way) == 1, "the next waits until this one has arrived"
        line.carry()
        if few.fullmatch(status.inner_text()):
            break
    expect(status).to_have_text(few)
    line.slow = False
    line.carry()
    expect(status).to_have_text(re.compile(r"Sending ([2-9]|10) pictures a second"), timeout=BUSY_MS)

    page.get_by_role("button", name="Pause").click()
    expect(status).to_have_text("Paused")
    while "paused" not in line.words:
        page.wait_for_timeout(20)
    sent = line.pictures
    page.wait_for_timeout(CARRIED_MS)
    assert line.pictures == sent
    page.get_by_role("button", name="Go on").click()
    expect(status).to_contain_text("pictures a second", timeout=BUSY_MS)
    assert line.pictures > sent
    page.get_by_role("dialog").get_by_role("button", name="Close").click()


def test_a_visitors_camera_becomes_a_camera_with_boxes_and_ends_with_the_page(running: Up, page: Page) -> None:
    page.get_by_role("button", name="Use this device's camera").click()
    expect(page.get_by_text("pictures a second")).to_be_visible(timeout=BUSY_MS)
    page.get_by_role("button", name="Show it large").click()
    page.wait_for_url("**/live/browser-*")
    camera = page.url.rpartition("/")[2]
    expect(page.get_by_role("heading", name="This device").first).to_be_visible(timeout=BUSY_MS)
    expect(page.locator(".legend, .faces").first).to_be_attached()
    for _ in range(60):
        if seen(running, camera) >= 3:
            break
        page.wait_for_timeout(1000)
    assert seen(running, camera) >= 3
    page.get_by_role("button", name="Stop sending").click()
    expect(page.get_by_text(f"There is no camera «{camera}»")).to_be_visible(timeout=BUSY_MS)


def test_who_forbids_the_camera_is_told_how_to_allow_it(browser: Browser, code: str) -> None:
    context = phone(browser, code)
    page = context.new_page()
    page.set_default_timeout(PATIENT)
    page.goto(code)
    page.get_by_role("button", name="Use this device's camera").click()
    expect(page.get_by_text("not allowed to use the camera")).to_be_visible(timeout=BUSY_MS)
    page.get_by_role("button", name="Close").click()
    context.close()
