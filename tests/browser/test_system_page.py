"""The System page in a real Chromium: the operator's four questions, the figures, and every state."""

import re
from datetime import datetime
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.test_console_shell import AXE, serious
from tests.support.console_page import LAPTOP, PHONE
from tests.support.console_server import ConsoleServer
from tests.support.console_system import broken, well


def test_when_all_is_well_that_comes_first(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/system")
    expect(page).to_have_title("System · Maskwatch")
    expect(page.locator(".verdict")).to_have_text("Nothing is broken")
    expect(page.locator(".troubles")).to_be_hidden()
    expect(page.locator(".figure-tile")).to_have_count(5)


def test_at_three_in_the_morning_four_questions_are_answered_in_their_order(
    open_page: Open, server: ConsoleServer
) -> None:
    server.system.status = broken
    page = open_page("/system")
    expect(page.locator(".verdict")).to_have_text("1 thing is broken")
    first = page.locator(".trouble").first
    expect(first.locator("h3")).to_have_text("Camera «Ward 3» is offline: the camera does not answer")
    expect(first.locator("dt")).to_have_text(["Since", "What is being done", "What to do"])
    expect(first.locator("time")).to_have_text("47 min ago")
    expect(first.locator("time")).to_have_attribute("title", re.compile(r"\d{4}"))
    expect(page.locator(".trouble").nth(1)).to_have_attribute("data-severity", "watch")
    first.get_by_role("link", name="Show it").click()
    expect(page).to_have_url(re.compile(r"/live/cam-3"))


def test_it_is_seen_when_something_breaks_and_when_it_is_well_again(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/system")
    expect(page.locator(".verdict")).to_have_attribute("data-state", "well")
    server.system.status = broken
    expect(page.locator(".verdict")).to_have_attribute("data-state", "broken")
    server.system.status = well
    expect(page.locator(".verdict")).to_have_attribute("data-state", "well")


def row(page: Page, table: str, name: str) -> list[str]:
    return (
        page.get_by_role("region", name=table).get_by_role("row", name=re.compile(name)).locator("td").all_inner_texts()
    )


def test_cameras_workers_topics_and_the_disk_have_their_figures(open_page: Open, server: ConsoleServer) -> None:
    server.system.status = broken
    page = open_page("/system")
    expect(page.get_by_role("region", name="Cameras").locator("tbody tr")).to_have_count(4)
    assert row(page, "Cameras", "Front door")[1:] == ["9.7 of 10", "60 ms", "3 · newest wins", "unacknowledged 4.5/min"]
    assert "Offline since" in row(page, "Cameras", "Ward 3")[0]
    assert row(page, "Workers", "^detector") == ["4102", "38.2", "1.6", "17 ms", "243 MB", "yolov8n-facemask 1"]
    recording = row(page, "Topics", "frames.recording")
    assert recording[1:4] == ["25 GB", "23 h ago", "1 d, byte cap"]
    assert row(page, "Topics", "frames.live.v1")[-1] == "detector-live 2, live 1"
    tiles = page.locator(".figure-tile")
    expect(tiles.nth(2)).to_contain_text("95 % under 112 ms")
    expect(tiles.nth(3)).to_contain_text("replaced 12/min")
    expect(tiles.nth(4)).to_contain_text("full in 6 h at this pace")
    expect(page.get_by_role("region", name="Versions")).to_contain_text("0.1.0")


def test_what_is_not_known_yet_says_when_it_will_be(open_page: Open, server: ConsoleServer) -> None:
    def young(now: datetime) -> dict[str, object]:
        pipeline: dict[str, object] = {
            "seconds": 0.0,
            "detected": None,
            "age_p50_s": None,
            "age_p95_s": None,
            "skipped": [],
        }
        disk = {"free": 9_000_000_000, "total": 10_000_000_000, "full_in_s": None, "seen_s": 90.0}
        return well(now) | {"pipeline": pipeline, "disk": disk, "workers": [], "topics": []}

    server.system.status = young
    page = open_page("/system")
    tiles = page.locator(".figure-tile")
    expect(tiles.nth(1)).to_contain_text("known in 10 s")
    expect(tiles.nth(4)).to_contain_text("pace known in 9 min")
    expect(page.get_by_text("Kafka does not say what it holds.")).to_be_visible()
    expect(page.get_by_text("No process of this machine tells its figures")).to_be_visible()


def test_without_kafka_and_without_cameras_the_page_says_so(open_page: Open, server: ConsoleServer) -> None:
    server.system.status = lambda now: well(now) | {"disk": None, "topics": [], "cameras": []}
    page = open_page("/system")
    expect(page.locator(".figure-tile").nth(4)).to_contain_text("Kafka does not say")
    expect(page.get_by_text("No camera is wished for.")).to_be_visible()


def test_while_it_loads_there_is_a_skeleton(open_page: Open, server: ConsoleServer) -> None:
    server.system.hang = True
    page = open_page("/system")
    expect(page.locator(".system-skeleton")).to_be_visible()
    server.system.hang = False
    expect(page.locator(".verdict")).to_be_visible()


def test_a_failure_says_what_failed_and_can_be_tried_again(open_page: Open, server: ConsoleServer) -> None:
    server.system.failing = True
    page = open_page("/system", troubled=True)
    expect(page.get_by_role("heading", name="How the system does cannot be read")).to_be_visible()
    # Pressed while it still fails: it comes back by itself too, and takes the button away.
    page.get_by_role("button", name="Try again now").click()
    server.system.failing = False
    expect(page.locator(".verdict")).to_be_visible()


def test_what_is_old_is_dimmed_and_says_how_old(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/system", troubled=True)
    expect(page.locator(".verdict")).to_be_visible()
    server.stop()
    expect(page.locator(".stale-note")).to_have_text(re.compile(r"1\d s old"))
    expect(page.locator(".system-page")).to_have_attribute("data-stale", "true")
    server.start()
    expect(page.locator(".stale-note")).to_be_hidden()


def test_a_figure_that_changes_takes_no_focus_away(open_page: Open, server: ConsoleServer) -> None:
    rates = iter(range(1, 100))

    def changing(now: datetime) -> dict[str, object]:
        status = well(now)
        status["cameras"][0]["rate"] = float(next(rates))
        return status

    server.system.status = changing
    page = open_page("/system")
    link = page.get_by_role("link", name="Front door")
    link.focus()
    before = row(page, "Cameras", "Front door")[1]
    page.wait_for_function(
        "(before) => document.querySelector('.figures-table tbody td:nth-of-type(2)').textContent !== before",
        arg=before,
    )
    expect(link).to_be_focused()


@pytest.mark.parametrize("size", [LAPTOP, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    open_page: Open, server: ConsoleServer, size: tuple[int, int], theme: Literal["light", "dark"]
) -> None:
    server.system.status = broken
    page = open_page("/system", size, color_scheme=theme, bypass_csp=True)
    page.add_script_tag(path=AXE)
    expect(page.locator(".trouble")).to_have_count(2)
    assert serious(page) == []
    assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")
