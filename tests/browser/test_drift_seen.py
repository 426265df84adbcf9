"""Drift, whole: `maskwatch up`, whose demo scene gets dark and light again, seen in a real Chromium."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.console_page import LAPTOP, PATIENT
from tests.support.quick import QUICK
from tests.support.up import Up, prepared_home

MINUTE_MS = 60_000


@pytest.fixture(
    params=[
        pytest.param((QUICK, 4 * MINUTE_MS), id="quick", marks=pytest.mark.timeout(900)),
        pytest.param(({}, 20 * MINUTE_MS), id="production", marks=[pytest.mark.long, pytest.mark.timeout(4800)]),
    ]
)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Up, int]]:
    variables, patience_ms = request.param
    settings: Mapping[str, str] = variables
    with Up.running(prepared_home(tmp_path), **settings) as up:
        up.wait_for("ready in ")
        yield up, patience_ms


@pytest.fixture
def page(running: tuple[Up, int], browser: Browser) -> Iterator[Page]:
    """A page that must be silent in the developer console."""
    context = browser.new_context(viewport={"width": LAPTOP[0], "height": LAPTOP[1]}, base_url=running[0].url)
    opened = context.new_page()
    opened.set_default_timeout(PATIENT)
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    assert [text for text in said if "Failed to load resource" not in text] == []
    context.close()


def turn(up: Up, knob: str) -> None:
    subprocess.run([sys.executable, "-m", "maskwatch", "scene", "set", knob], env=up.env, check=True, timeout=120)


def test_an_episode_appears_while_the_light_is_turned_down_and_ends_when_it_is_turned_back(
    running: tuple[Up, int], page: Page
) -> None:
    up, patience_ms = running
    page.goto("/drift")
    lane = page.locator("[data-camera=demo]")
    expect(lane).to_be_visible()
    expect(lane.locator(".lane-state")).to_have_text("As usual", timeout=patience_ms)
    expect(lane.locator("[data-signal=brightness] canvas")).to_be_visible(timeout=patience_ms)
    turn(up, "light=0.3")
    expect(lane.locator(".lane-state")).to_have_text("Drifting", timeout=patience_ms)
    expect(lane.locator("[data-signal=brightness]")).to_have_attribute("data-shifted", "true", timeout=patience_ms)
    expect(page.locator("a.alerts")).to_be_visible(timeout=patience_ms)
    lane.locator(".lane-sentence a").click()
    expect(page.locator(".story h2")).to_contain_text("darker")
    expect(page.locator(".story-facts")).to_contain_text("A change of the picture")
    for name in ("before", "after"):
        expect(page.get_by_role("img", name=f"The camera's picture {name} the change")).to_be_visible()
    expect(page.get_by_role("region", name="Brightness", exact=True).locator("canvas")).to_be_visible()
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".story-head .lane-state")).to_have_text("Acknowledged")
    expect(page.locator("a.alerts")).to_be_hidden()
    turn(up, "light=1")
    expect(page.locator(".story-head .lane-state")).to_have_text("Ended", timeout=patience_ms)
    expect(page.locator(".story-facts")).to_contain_text("everything is as it used to be")
    page.get_by_role("link", name="Drift").first.click()
    expect(lane.locator(".lane-state")).to_have_text("As usual", timeout=patience_ms)
    expect(lane.locator(".track-episode")).to_have_count(1)
    page.goto("/system")
    expect(page.locator(".verdict")).to_have_text(re.compile("^Nothing is broken"))
    expect(page.get_by_role("region", name="Workers").get_by_role("row", name=re.compile("^drift"))).to_be_visible()
    label_a_frame(up, page, patience_ms)


def label_a_frame(up: Up, page: Page, patience_ms: int) -> None:
    """Confirm one of the frames that were chosen meanwhile, and find it in the store."""
    page.goto("/review")
    expect(page.get_by_role("button", name="Confirm")).to_be_enabled(timeout=patience_ms)
    page.keyboard.press("Space")
    expect(page.locator(".goal")).to_have_text("1 of 100 until a retrain may start", timeout=patience_ms)
    store = up.home / "store"
    assert len([*store.glob("pictures/*/*.jpg")]) == 1
    # The stage that keeps labels has it a moment later.
    deadline = time.monotonic() + patience_ms / 1000
    while not [*store.glob("labels/*/*.json")]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
