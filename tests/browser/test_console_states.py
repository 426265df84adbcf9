"""Every state of the console's Live page in a real Chromium: loading, empty, error, stale, offline, lost."""

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import Open
from tests.support.console_page import canvas, tile, wait_for_frames, wall
from tests.support.console_server import ConsoleServer, Picture

CAMERA = """{
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  setInterval(() => {
    context.fillStyle = context.fillStyle === "#000000" ? "white" : "black";
    context.fillRect(0, 0, canvas.width, canvas.height);
  }, 50);
  window.camera = { stream: canvas.captureStream(), allow: () => {} };
  const allowed = new Promise((resolve) => { camera.allow = resolve; });
  if (navigator.mediaDevices) navigator.mediaDevices.getUserMedia = () => allowed.then(() => camera.stream);
}"""
"""A camera of this device, which somebody has to allow."""


def test_figures_stand_under_the_picture(open_page: Open, server: ConsoleServer) -> None:
    server.clock_ahead = 3600
    server.script("demo").dropped = 3
    page = open_page()
    figures = tile(page).get_by_role("list")
    expect(figures).to_contain_text("9.7 frames/s")
    expect(figures).to_contain_text(re.compile(r"\d dropped · newest wins"))
    expect(figures).to_contain_text("v1")
    # The server's clock is an hour ahead, and the age is right.
    expect(figures).to_contain_text(re.compile(r"\d+ ms|\d\.\d s"))
    expect(tile(page)).to_have_attribute("data-state", "live")
    expect(page.locator(".version")).to_have_text("0.1.0")
    expect(page.get_by_role("link", name="Source", exact=True)).to_have_attribute(
        "href", "https://example.org/maskwatch"
    )


def test_dates_that_are_cut_to_seconds_make_no_age_worse(open_page: Open) -> None:
    # A copy of the clock, which no feed tells anything.
    ahead = open_page("/system").evaluate("""async () => {
      const { hearServerTime, serverNow } = await import("/console/clock.js?copy");
      let passed = 0;
      Date.now = () => 1_800_000_000_000 + passed;
      performance.now = () => passed;
      const at = (ahead) => new Date(Date.now() + ahead).toISOString();
      const hear = (time, coarse) => {
        hearServerTime(time, coarse);
        return serverNow() - Date.now();
      };
      const soon = [hear(at(700)), hear(at(-800), 2000)];
      passed = 11 * 60_000;
      return [...soon, hear(at(-800), 2000), hear("", 2000), hear(at(-5000), 2000)];
    }""")
    assert ahead == [700, 700, 700, 700, -5000]


def test_an_old_picture_is_dimmed_and_says_how_old_it_is(open_page: Open, server: ConsoleServer) -> None:
    server.script("demo").behaviour = "stale"
    server.script("demo").age = 12.0
    page = open_page()
    expect(tile(page)).to_have_attribute("data-state", "stale")
    expect(tile(page).locator(".badge")).to_contain_text(re.compile(r"1\d s old · no detector has answered"))
    assert "brightness" in canvas(page).evaluate("element => getComputedStyle(element).filter")
    expect(page.locator(".legend .count").first).to_have_text("0")
    server.script("demo").age = 0.05
    server.script("demo").behaviour = "live"
    expect(tile(page)).to_have_attribute("data-state", "live")
    expect(tile(page).locator(".badge")).to_be_hidden()


def test_a_stream_that_falls_silent_becomes_old_by_itself(open_page: Open, server: ConsoleServer) -> None:
    page = open_page()
    wait_for_frames(page)
    server.script("demo").behaviour = "silent"
    expect(tile(page)).to_have_attribute("data-state", "stale")
    expect(tile(page).locator(".figure.age")).to_have_class(re.compile("bad"))


def test_an_offline_camera_shows_its_last_picture_the_reason_and_since_when(
    open_page: Open, server: ConsoleServer
) -> None:
    script = server.script("demo")
    script.behaviour, script.age, script.state = "stale", 250.0, "offline"
    script.since, script.reason = datetime.now(UTC) - timedelta(minutes=4), "The webcam was unplugged."
    page = open_page()
    expect(tile(page)).to_have_attribute("data-state", "offline")
    notice = tile(page).locator(".notice")
    expect(notice).to_contain_text("Offline")
    expect(notice).to_contain_text("The webcam was unplugged.")
    expect(notice.locator("time")).to_contain_text("4 min ago")
    expect(notice.locator("time")).to_have_attribute("title", re.compile(r"\d{4}"))
    expect(canvas(page)).to_be_visible()


@pytest.mark.parametrize(
    ("state", "advice"), [("unknown", "maskwatch camera scene --id demo"), ("online", "maskwatch detector")]
)
def test_a_camera_without_a_picture_says_what_is_missing(
    open_page: Open, server: ConsoleServer, state: Literal["unknown", "online"], advice: str
) -> None:
    server.script("demo").behaviour = "silent"
    server.script("demo").state = state
    page = open_page()
    expect(tile(page)).to_have_attribute("data-state", "loading")
    expect(tile(page)).to_have_attribute("data-state", "waiting")
    expect(tile(page).locator(".notice")).to_contain_text(advice)


def test_a_busy_server_is_asked_again(open_page: Open, server: ConsoleServer) -> None:
    server.script("demo").behaviour = "busy"
    page = open_page()
    expect(tile(page).locator(".notice")).to_contain_text(re.compile(r"Too many viewers. · reconnecting in \d+ s"))
    server.script("demo").behaviour = "live"
    expect(tile(page)).to_have_attribute("data-state", "live")


def test_loading_shows_a_skeleton_of_the_wall(open_page: Open, server: ConsoleServer, pictures: list[Picture]) -> None:
    server.scripts = wall(pictures, 4)
    page = open_page()
    expect(page.locator("article")).to_have_count(4)
    server.cameras_hang = True
    page.reload()
    expect(page.locator(".skeleton")).to_have_count(4)
    server.cameras_hang = False
    expect(page.locator("article")).to_have_count(4)
    expect(page.locator(".skeleton")).to_have_count(0)


def test_an_empty_wall_says_what_will_appear_and_how(open_page: Open, server: ConsoleServer) -> None:
    server.scripts.clear()
    page = open_page()
    expect(page.get_by_role("heading", name="No cameras yet")).to_be_visible()
    expect(page.get_by_text("maskwatch camera webcam:0 --id desk")).to_be_visible()


def test_a_failure_says_what_failed_and_can_be_tried_again(open_page: Open, server: ConsoleServer) -> None:
    server.cameras_status = 503
    page = open_page("/live", troubled=True)
    expect(page.get_by_role("heading", name="The cameras cannot be listed")).to_be_visible()
    expect(page.get_by_text("Kafka does not answer.")).to_be_visible()
    expect(page.get_by_role("link", name="What this means")).to_have_attribute("href", "/docs#not-ready")
    server.cameras_status = 200
    page.get_by_role("button", name="Try again now").click()
    wait_for_frames(page)


def test_a_server_with_a_token_is_entered_once(open_page: Open, server: ConsoleServer) -> None:
    server.token = "sesame"  # noqa: S105  # this test's own
    page = open_page(troubled=True)
    page.get_by_label("Token").fill("guessed")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That is not the token.")
    page.get_by_label("Token").fill("sesame")
    page.get_by_role("button", name="Enter").click()
    wait_for_frames(page)
    page.reload()
    wait_for_frames(page)


def test_a_lost_connection_says_so_and_comes_back_by_itself(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/live", troubled=True)
    wait_for_frames(page)
    page.evaluate("window.same = true")
    server.stop()
    expect(page.locator(".connection")).to_have_text(re.compile(r"Reconnecting( in \d+ s)?"))
    expect(tile(page)).to_have_attribute("data-state", "stale")
    server.start()
    expect(page.locator(".connection")).to_have_text("Live")
    wait_for_frames(page, 3)
    expect(tile(page)).to_have_attribute("data-state", "live")
    assert page.evaluate("window.same"), "the page was loaded anew"


def test_a_banner_tells_what_is_not_ready(open_page: Open, server: ConsoleServer) -> None:
    server.checks = [{"name": "kafka", "ok": False, "reason": "127.0.0.1:9092 refuses connections"}]
    page = open_page("/live", troubled=True)
    expect(page.locator(".banner")).to_contain_text("kafka: 127.0.0.1:9092 refuses connections")


def test_a_tab_in_the_background_pauses_its_stream(open_page: Open, server: ConsoleServer) -> None:
    page = open_page()
    wait_for_frames(page)
    page.evaluate("probes.hide(true)")
    page.wait_for_timeout(500)
    assert server.script("demo").connections == 0
    page.evaluate("probes.hide(false)")
    wait_for_frames(page, 2)
    assert server.script("demo").connections == 1


def test_a_camera_that_is_allowed_after_its_dialog_was_closed_is_let_go(open_page: Open) -> None:
    page = open_page(script=CAMERA)
    lines: list[str] = []
    page.on("websocket", lambda socket: lines.append(socket.url))
    page.get_by_role("button", name="Use this device's camera").click()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.evaluate("camera.allow()")
    page.wait_for_function("() => !camera.stream.active")
    assert [line for line in lines if "/broadcast/" in line] == []


def test_after_a_lost_line_a_camera_goes_on_though_the_server_still_holds_its_old_end(open_page: Open) -> None:
    page = open_page(script=CAMERA)
    lines: list[WebSocketRoute] = []

    def lay(line: WebSocketRoute) -> None:
        lines.append(line)
        if len(lines) == 2:
            line.close(code=4409)
        else:
            line.on_message(lambda _: line.send("ack"))

    page.route_web_socket("**/broadcast/**", lay)
    page.reload()
    page.get_by_role("button", name="Use this device's camera").click()
    page.evaluate("camera.allow()")
    status = page.get_by_role("dialog").get_by_role("status")
    expect(status).to_contain_text("pictures a second")
    lines[0].close()
    expect(status).to_have_text("The connection was lost; it is tried again.")
    expect(status).to_contain_text("pictures a second")
    assert len(lines) == 3


def test_a_camera_that_another_page_shows_ends_with_its_badge_and_says_why(open_page: Open) -> None:
    page = open_page(script=CAMERA)
    lines: list[WebSocketRoute] = []

    def lay(line: WebSocketRoute) -> None:
        lines.append(line)

    page.route_web_socket("**/broadcast/**", lay)
    page.reload()
    page.get_by_role("button", name="Use this device's camera").click()
    page.evaluate("camera.allow()")
    page.get_by_role("button", name="Show it large").click()
    badge = page.get_by_role("group", name="This device's camera is being sent")
    expect(badge).to_be_visible()
    lines[0].close(code=4409)
    expect(page.get_by_text("Another page shows this device already.")).to_be_visible()
    expect(badge).to_have_count(0)
    assert not page.evaluate("camera.stream.active")
