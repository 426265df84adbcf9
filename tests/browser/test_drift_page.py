"""The Drift page in a real Chromium: lanes of signals, and every state of them and of an episode's story."""

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

import httpx
import msgspec
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from maskwatch.drift_messages import SignalWindow
from tests.browser.conftest import Open
from tests.browser.test_console_shell import AXE, BUDGET, serious
from tests.support import drifting
from tests.support.console_page import LAPTOP, PHONE
from tests.support.console_server import ConsoleServer

STORY = "/drift/door-2:s1:812:drift"
INK = """element => {
  const canvas = element.querySelector("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const probe = document.createElement("canvas").getContext("2d");
  const swatch = document.createElement("span");
  swatch.style.color = "var(--chart-line)";
  document.body.append(swatch);
  probe.fillStyle = getComputedStyle(swatch).color;
  swatch.remove();
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    const off = Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b);
    if (data[at + 3] > 200 && off < 30) count += 1;
  }
  return count;
}"""
"""How many pixels of a chart have the colour of its line."""


def lane(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def chart(page: Page, name: str, signal: str) -> Locator:
    return lane(page, name).locator(f"[data-signal={signal}]")


def drawn(page: Page, name: str = "Back door", signal: str = "brightness") -> Locator:
    """Return a chart once it is drawn."""
    found = chart(page, name, signal)
    expect(found.locator("canvas")).to_be_visible()
    return found


# Lanes


def test_each_camera_has_a_lane_and_what_drifts_comes_first(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page("/drift")
    expect(page).to_have_title("Drift · Maskwatch")
    expect(page.locator(".lane h2")).to_have_text(["Back door", "Desk", "Ward 3"])
    expect(page.locator(".drift-summary")).to_have_text("3 cameras · 1 drifting · 1 learning · 1 as usual")
    expect(lane(page, "Back door").locator(".lane-state")).to_have_text("Drifting")
    expect(lane(page, "Desk").locator(".lane-state")).to_have_text("Learning 75 %")
    expect(lane(page, "Back door").get_by_role("link", name=re.compile("became darker")).first).to_be_visible()
    # Only what drifts is opened by itself.
    assert drawn(page).get_attribute("data-shifted") == "true"
    expect(chart(page, "Back door", "sharpness")).to_have_attribute("data-shifted", "false")
    expect(lane(page, "Back door").locator(".chart")).to_have_count(len(drifting.USUAL))
    expect(lane(page, "Ward 3").locator(".chart")).to_have_count(0)
    lane(page, "Ward 3").get_by_role("button", name="Signals").click()
    drawn(page, "Ward 3")


def test_a_chart_tells_its_value_and_what_is_usual(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page("/drift")
    brightness = drawn(page)
    expect(brightness.locator(".chart-value")).to_have_text(re.compile(r"0\.1\d"))
    expect(brightness.locator(".chart-usual")).to_have_text(re.compile(r"^usually 0\.43.0\.49$"))
    expect(brightness).to_have_attribute("aria-label", re.compile(r"Brightness 0\.1\d, usually 0\.43.0\.49"))


def test_one_hover_reads_every_series(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page("/drift")
    box = drawn(page).locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    # A third of the way it was still light: brightness and score are read at that time, and so is contrast.
    expect(chart(page, "Back door", "brightness").locator(".chart-value")).to_have_text(re.compile(r"0\.4\d"))
    expect(chart(page, "Back door", "score").locator(".chart-value")).to_have_text(re.compile(r"0\.[78]\d"))
    expect(chart(page, "Back door", "contrast").locator(".chart-value")).to_have_text(re.compile(r"0\.2\d\d"))
    expect(page.locator(".drift-hover")).to_have_text(re.compile(r"at .*\d+:\d\d"))  # before midnight: with its day
    page.mouse.move(5, 5)
    expect(chart(page, "Back door", "score").locator(".chart-value")).to_have_text(re.compile(r"0\.6\d"))


def test_a_brush_zooms_every_chart_and_a_double_click_goes_back(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page("/drift")
    box = drawn(page).locator(".u-over").bounding_box()
    assert box is not None
    rows = lane(page, "Back door").locator(".signal-table tbody tr")
    lane(page, "Back door").get_by_role("button", name="Table").click()
    expect(lane(page, "Back door").get_by_text("The newest 60 of 360 windows")).to_be_visible()
    lane(page, "Back door").get_by_role("button", name="Table").click()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30, steps=4)
    page.mouse.up()
    expect(page.get_by_role("button", name="Whole range")).to_be_visible()
    lane(page, "Back door").get_by_role("button", name="Table").click()
    # A tenth of six hours, at a window a minute.
    expect(rows.nth(32)).to_be_visible()
    assert 33 <= rows.count() <= 39
    lane(page, "Back door").get_by_role("button", name="Table").click()
    chart(page, "Back door", "score").locator(".u-over").dblclick()
    expect(page.get_by_role("button", name="Whole range")).to_be_hidden()


def test_how_far_back_can_be_chosen_and_is_remembered(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page("/drift")
    drawn(page)
    page.get_by_role("button", name="1 h", exact=True).click()
    lane(page, "Back door").get_by_role("button", name="Table").click()
    expect(lane(page, "Back door").locator("caption")).to_have_text(re.compile(r"^(59|60) windows"))
    page.reload()
    expect(page.get_by_role("button", name="1 h", exact=True)).to_have_attribute("aria-pressed", "true")


def test_a_range_that_is_chosen_while_signals_are_under_way_is_read_whole(
    open_page: Open, drifted: ConsoleServer
) -> None:
    page = open_page("/drift")
    drawn(page)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/signals/door-2?*", hold, times=1)
    now = datetime.now(UTC)
    newest = drifting.windows("door-2", now, 1, dark=(now, now + timedelta(minutes=1)))
    drifted.drift.watch("door-2", [*drifted.drift.windows["door-2"], *newest], "Back door")
    while not held:
        page.wait_for_timeout(20)
    page.get_by_role("button", name="1 h", exact=True).click()
    held[0].continue_()
    lane(page, "Back door").get_by_role("button", name="Table").click()
    expect(lane(page, "Back door").locator("caption")).to_have_text(re.compile(r"\b(59|60|61) windows"))


def test_the_keyboard_reads_zooms_and_opens_an_episode(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page("/drift")
    score = drawn(page, signal="score")
    score.focus()
    page.keyboard.press("Home")
    expect(score.locator(".chart-value")).to_have_text(re.compile(r"0\.[78]\d"))
    page.keyboard.press("ArrowRight")
    expect(page.locator(".drift-lanes > [role=status]")).to_have_text(re.compile(r"Score 0\.[78]\d"))
    page.keyboard.press("End")
    page.keyboard.press("+")
    expect(page.get_by_role("button", name="Whole range")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Whole range")).to_be_hidden()
    lane(page, "Back door").get_by_role("list", name="Episodes").get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/drift/door-2"))
    expect(page.locator("h1")).to_be_focused()
    page.go_back()
    expect(page.locator(".lane")).to_have_count(3)


def test_a_gap_in_the_signals_is_a_hole_and_not_a_line(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/drift")
    holes = page.evaluate(
        "import('/console/pages/drift/signal-chart.js').then(({ withHoles }) => withHoles([0, 60, 120, 600, 660], 60))"
    )
    assert holes == [0, 1, 2, -1, 3, 4]


def test_what_has_left_the_range_is_let_go(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/drift")
    found = page.evaluate(
        "import('/console/pages/drift/lane.js').then(({ joined }) => {"
        " const series = (times, name) => ({ times, signals: { [name]: { middle: times } } });"
        " return joined(series([1, 2, 3], 'score'), series([4], 'faces'), 2); })"
    )
    assert found["times"] == [2, 3, 4]
    assert [found["signals"][name]["middle"] for name in ("score", "faces")] == [[2, 3, None], [None, None, 4]]


def test_a_signal_that_comes_rarely_is_drawn_where_it_came_and_is_no_trouble_where_it_did_not(
    open_page: Open, drifted: ConsoleServer
) -> None:
    windows = drifted.drift.windows["door-2"]
    labels = SignalWindow(drifting.spread(0.75, 0.1, 4), drifting.spread(0.8, 0.1, 60), 0.2, 1.0)
    # Somebody has labelled frames five and four hours ago.
    for at in (60, 120):
        windows[at] = msgspec.structs.replace(windows[at], signals={**windows[at].signals, "agreement": labels})
    page = open_page("/drift")
    agreement = drawn(page, signal="agreement")
    expect(agreement.locator(".chart-value")).to_have_text("75 %")
    expect(agreement.locator(".chart-usual")).to_have_text(re.compile(r"^usually 67.93 %$"))
    # Two points, and the line between them: something is drawn at each.
    assert agreement.evaluate(INK) > 20
    page.get_by_role("button", name="1 h", exact=True).click()
    expect(chart(page, "Back door", "agreement")).to_have_count(0)
    drawn(page)
    page.get_by_role("button", name="6 h", exact=True).click()
    expect(drawn(page, signal="agreement").locator(".chart-value")).to_have_text("75 %")


def test_new_windows_and_episodes_come_by_themselves(open_page: Open, server: ConsoleServer) -> None:
    now = datetime.now(UTC)
    server.drift.watch("desk", drifting.windows("desk", now, 30), "Desk")
    page = open_page("/drift", troubled=True)
    expect(lane(page, "Desk").locator(".lane-state")).to_have_text("As usual")
    expect(drawn(page, "Desk").locator(".chart-value")).to_have_text(re.compile(r"0\.4\d"))
    expect(page.locator("a.alerts")).to_be_hidden()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for _ in range(2):
        with page.expect_response(f"{server.url}/signals"):
            pass
    # Kafka is read for nobody who has seen it all.
    assert [url for url in asked if "/signals/desk" in url] == []
    now = datetime.now(UTC)
    dark = now + timedelta(seconds=1)
    later = drifting.windows("desk", now + timedelta(seconds=2), 31, dark=(dark, dark + timedelta(hours=1)))
    server.drift.watch("desk", later, "Desk")
    server.drift.tell(drifting.darkness("desk", now))
    expect(lane(page, "Desk").locator(".lane-state")).to_have_text("Drifting")
    expect(lane(page, "Desk").locator(".track-episode")).to_have_count(1)
    expect(chart(page, "Desk", "brightness").locator(".chart-value")).to_have_text(re.compile(r"0\.1\d"))
    expect(page.locator("a.alerts")).to_contain_text("1 open alert")
    page.locator("a.alerts").click()
    expect(page.locator(".story h2")).to_contain_text("desk became darker")
    expect(page.locator(".frame").first).to_contain_text("Nothing of that moment is recorded")


# Every other state


def test_while_it_loads_there_are_skeletons(open_page: Open, drifted: ConsoleServer) -> None:
    drifted.drift.hang = True
    page = open_page("/drift")
    expect(page.locator(".lane-skeleton")).to_have_count(1)
    page.goto(f"{drifted.url}{STORY}")
    expect(page.locator(".story-skeleton")).to_be_visible()
    drifted.drift.hang = False
    expect(page.locator(".shift")).to_have_count(3)


def test_without_a_camera_it_says_what_will_appear_and_how(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/drift")
    expect(page.get_by_role("heading", name="Nothing is watched yet")).to_be_visible()
    expect(page.get_by_text("maskwatch camera webcam:0 --id desk")).to_be_visible()


def test_a_camera_without_signals_says_why(open_page: Open, server: ConsoleServer) -> None:
    server.drift.names["attic"] = "Attic"
    page = open_page("/drift")
    expect(lane(page, "Attic").locator(".lane-state")).to_have_text("Silent")
    expect(lane(page, "Attic").locator(".lane-note")).to_contain_text("«maskwatch drift»")


def test_a_failure_says_what_failed_and_can_be_tried_again(open_page: Open, drifted: ConsoleServer) -> None:
    drifted.drift.failing = True
    page = open_page("/drift", troubled=True)
    expect(page.get_by_role("heading", name="What is known of drift cannot be read")).to_be_visible()
    expect(page.get_by_text("reading drift.v1")).to_be_visible()
    # Pressed while it still fails: it comes back by itself too, and takes the button away.
    page.get_by_role("button", name="Try again now").click()
    drifted.drift.failing = False
    expect(page.locator(".lane")).to_have_count(3)


def test_what_is_old_is_dimmed_and_says_how_old(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page("/drift", troubled=True)
    drawn(page)
    drifted.drift.away = True
    expect(page.locator(".stale-note")).to_have_text("Kafka is away: this is what was known.")
    expect(page.locator(".drift")).to_have_attribute("data-stale", "true")
    drifted.drift.away = False
    expect(page.locator(".stale-note")).to_be_hidden()
    drifted.stop()
    expect(page.locator(".stale-note")).to_have_text(re.compile(r"1\d s old"))
    drifted.start()
    expect(page.locator(".stale-note")).to_be_hidden()


def test_an_unknown_episode_leads_back(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page("/drift/no:such:1:drift", troubled=True)
    expect(page.get_by_role("heading", name="There is no such episode")).to_be_visible()
    page.get_by_role("link", name="All cameras").click()
    expect(page.locator(".lane")).to_have_count(3)


def test_the_token_opens_every_feed_at_once(open_page: Open, drifted: ConsoleServer) -> None:
    drifted.token = "sesame"  # noqa: S105  # this test's own
    page = open_page("/drift", troubled=True)
    page.get_by_label("Token").fill("sesame")
    page.get_by_role("button", name="Enter").click()
    expect(page.locator(".lane")).to_have_count(3)
    expect(page.locator(".connection")).to_have_text("Live")
    expect(page.locator("a.alerts")).to_be_visible()


# How it is made


@pytest.mark.parametrize("size", [LAPTOP, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    open_page: Open, drifted: ConsoleServer, size: tuple[int, int], theme: Literal["light", "dark"]
) -> None:
    page = open_page("/drift", size, color_scheme=theme, bypass_csp=True)
    page.add_script_tag(path=AXE)
    drawn(page)
    found = {"lanes": serious(page)}
    lane(page, "Back door").get_by_role("button", name="Table").click()
    found["table"] = serious(page)
    page.goto(f"{drifted.url}{STORY}")
    page.add_script_tag(path=AXE)
    expect(page.locator(".shift canvas")).to_have_count(3)
    page.get_by_text("Table").first.click()
    found["story"] = serious(page)
    assert [problem for problems in found.values() for problem in problems] == []
    # Nothing makes the page wider than the window.
    assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")


def test_charts_follow_the_theme(open_page: Open, drifted: ConsoleServer) -> None:
    page = open_page("/drift", color_scheme="light")
    drawn(page)
    look = "document.querySelector('.chart canvas').toDataURL()"
    light = page.evaluate(look)
    page.get_by_role("button", name="Theme: auto").click()
    page.get_by_role("button", name="Theme: light").click()
    page.wait_for_function(f"(before) => {look} !== before", arg=light)


def test_script_and_style_with_the_charts_are_small_and_come_from_here(open_page: Open, drifted: ConsoleServer) -> None:
    loaded: list[str] = []
    page = open_page("/drift")
    page.on("request", lambda request: loaded.append(request.url))
    page.reload()
    drawn(page)
    assert all(url.startswith((f"{drifted.url}/", "blob:")) for url in loaded)
    assets = [url for url in loaded if url.endswith((".js", ".css"))]
    assert any("uPlot" in url for url in assets)
    assert sum(len(httpx.get(url).content) for url in assets) < BUDGET
