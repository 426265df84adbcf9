"""The story of an episode in a real Chromium: its evidence, what labels say of it, and the one next step."""

import re

import msgspec
from playwright.sync_api import expect

from maskwatch.drift_messages import Confirmation
from tests.browser.conftest import Open
from tests.browser.test_drift_page import STORY
from tests.support import drifting
from tests.support.console_server import ConsoleServer


def test_an_episode_is_told_with_its_evidence(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page(STORY)
    expect(page.locator(".story h2")).to_contain_text("door-2 became darker and flatter")
    expect(page.locator(".story-head .lane-state")).to_have_text("Open")
    for name in ("before", "after"):
        expect(page.get_by_role("img", name=f"The camera's picture {name} the change")).to_be_visible()
    expect(page.locator(".frame time").first).to_have_attribute("title", re.compile(r"\d{4}"))
    shifts = page.locator(".shift")
    expect(shifts).to_have_count(3)
    first = page.get_by_role("region", name="Brightness", exact=True)
    expect(first).to_contain_text("0.46")
    expect(first).to_contain_text("0.16")
    expect(first).to_contain_text("D 0.97 of 1")
    expect(first).to_contain_text("less than 1 in a million")
    expect(first.get_by_role("img", name="Brightness: before around 0.46, now around 0.16")).to_be_visible()
    expect(first.locator("canvas")).to_be_visible()
    first.get_by_text("Table").click()
    expect(first.locator("tbody tr")).to_have_count(drifting.BARS)
    # The figures go on, and what was opened stays open and at hand.
    episode = drifted.drift.table.episode("door-2:s1:812:drift")
    weaker = tuple(msgspec.structs.replace(shift, effect=0.91) for shift in episode.shifts)
    drifted.drift.tell(msgspec.structs.replace(episode, shifts=weaker))
    expect(first).to_contain_text("D 0.91 of 1")
    expect(first.locator("tbody tr").first).to_be_visible()
    expect(first.locator("summary")).to_be_focused()


def test_an_episode_says_what_labels_say_of_it(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page(STORY)
    said = page.locator(".story-labels")
    expect(said).to_contain_text("Nobody has labelled a frame of it yet.")
    expect(said.get_by_role("link", name="Label frames")).to_have_attribute("href", "/review")
    episode = drifted.drift.table.episode("door-2:s1:812:drift")
    text = "confirmed by 34 labels: quality 0.81 → 0.62 (drop ≥0.11)"
    told = Confirmation(34, confirmed=True, text=text, before=0.81, after=0.62, drop=0.11)
    drifted.drift.tell(msgspec.structs.replace(episode, confirmation=told))
    expect(said).to_have_text(f"Confirmed by{text.removeprefix('confirmed by')}.", timeout=15_000)
    expect(said).to_have_attribute("data-confirmed", "true")
    mark = said.locator("svg").bounding_box()
    assert mark is not None
    assert mark["width"] < 24


def test_the_one_next_step_is_to_acknowledge_and_then_to_look(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page(STORY)
    expect(page.locator("a.alerts")).to_contain_text("1 open alert")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("Acknowledged: the alert is off for everybody")).to_be_visible()
    expect(page.locator(".story-head .lane-state")).to_have_text("Acknowledged")
    expect(page.locator(".story-facts")).to_contain_text("local acknowledged it")
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    expect(page.get_by_role("link", name="Look at the camera now")).to_have_attribute("href", "/live/door-2")
    expect(page.get_by_role("link", name="Look at the camera now")).to_be_focused()
    expect(page.locator("a.alerts")).to_be_hidden()


def test_an_episode_that_has_ended_says_why_and_asks_for_nothing(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page("/drift/door-2:s1:400:drift")
    expect(page.locator(".story-head .lane-state")).to_have_text("Ended")
    expect(page.locator(".story-facts")).to_contain_text("everything is as it used to be")
    expect(page.locator(".next")).to_contain_text("Nothing to do.")
    expect(page.locator(".shift")).to_contain_text("back by now")


def test_a_picture_that_is_gone_says_so(open_page: Open, drifted: ConsoleServer) -> None:
    drifted.drift.before = None
    page = open_page(STORY, troubled=True)
    expect(page.locator(".frame").first).to_contain_text("Nothing of that moment is recorded any more")
    expect(page.get_by_role("img", name="The camera's picture after the change")).to_be_visible()


def test_curves_come_though_what_draws_them_did_not_come_at_once(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page("/system", troubled=True)
    page.route("**/uPlot*.js", lambda route: route.abort(), times=1)
    page.goto(f"{drifted.url}{STORY}")
    expect(page.locator(".shift .histogram")).to_have_count(3)
    expect(page.locator(".shift-curve canvas")).to_have_count(3)
