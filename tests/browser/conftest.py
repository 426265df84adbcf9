"""Chromium, a stand-in for the API, and pages whose developer console must stay silent."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from maskwatch.messages import DetectedFace
from tests.support.chromium import find_chromium, launch
from tests.support.console_drift import evening
from tests.support.console_page import LAPTOP, PATIENT
from tests.support.console_server import ConsoleServer, Picture, Script, draw_pictures

PROBES = Path(__file__).parents[1] / "support" / "console_probes.js"
NETWORK_TROUBLE = re.compile(r"Failed to load resource|WebSocket connection to")
"""What Chromium itself writes when a server is away; no page can keep it silent."""

expect.set_options(timeout=PATIENT)


class Open(Protocol):
    """Opens a page of the console; `troubled` ones may tell of the network, `script` runs first."""

    def __call__(
        self,
        path: str = "/live",
        size: tuple[int, int] = LAPTOP,
        *,
        troubled: bool = False,
        script: str = "",
        **options: Any,  # noqa: ANN401  # the browser's own
    ) -> Page: ...


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if find_chromium() is None and "CI" not in os.environ:
        pytest.skip("Chromium is not installed: apt-get install chromium, or name one in MASKWATCH_TEST_CHROMIUM")
    with sync_playwright() as playwright, launch(playwright) as browser:
        yield browser


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return draw_pictures()


@pytest.fixture
def server(pictures: list[Picture]) -> Iterator[ConsoleServer]:
    with ConsoleServer([Script("demo", pictures, "Demo scene")]) as server:
        yield server


@pytest.fixture
def open_page(browser: Browser, server: ConsoleServer) -> Iterator[Open]:
    contexts: list[BrowserContext] = []
    said: list[str] = []

    def open_one(
        path: str = "/live",
        size: tuple[int, int] = LAPTOP,
        *,
        troubled: bool = False,
        script: str = "",
        **options: Any,  # noqa: ANN401
    ) -> Page:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENT)

        def note(text: str) -> None:
            if not (troubled and NETWORK_TROUBLE.search(text)):
                said.append(text)

        page.on("console", lambda message: note(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: note(f"uncaught: {error}"))
        page.add_init_script(PROBES.read_text() + script)
        page.goto(f"{server.url}{path}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert said == [], "the developer console is not silent"


@pytest.fixture
def asked(server: ConsoleServer, pictures: list[Picture]) -> ConsoleServer:
    """Return the server, with eight frames to label: three faces each, as they truly are."""
    for picture in pictures[:8]:
        faces = [DetectedFace(each["label"], each["score"], tuple(each["box"])) for each in picture.objects]
        server.labels.ask(picture.jpeg, (picture.width, picture.height), faces)
    return server


@pytest.fixture
def drifted(server: ConsoleServer, pictures: list[Picture]) -> ConsoleServer:
    """Return the server, told of an evening on which a light has failed."""
    now = datetime.now(UTC)
    told = evening(now)
    light = cv2.imdecode(np.frombuffer(pictures[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert light is not None
    told.before = pictures[0].jpeg
    told.after = cv2.imencode(".jpg", (light * 0.33).astype(np.uint8))[1].tobytes()
    server.stop()
    server.drift = told
    server.start()
    return server
