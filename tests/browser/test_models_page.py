"""The Models page in a real Chromium: versions and what judged them, rounds as they come, and every state."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Literal

import httpx
import msgspec
import pytest
from playwright.sync_api import Locator, Page, expect

from maskwatch.label_messages import FrameLabel
from maskwatch.model_messages import Run
from tests.browser.conftest import Open
from tests.browser.test_console_shell import AXE, BUDGET, serious
from tests.support import judged
from tests.support.console_models import lately
from tests.support.console_page import LAPTOP, PHONE
from tests.support.console_server import ConsoleServer, Picture


@pytest.fixture
def trained(server: ConsoleServer, pictures: list[Picture]) -> ConsoleServer:
    """Return the server, with a model that earned its place yesterday."""
    jpegs = {hashlib.sha256(picture.jpeg).hexdigest(): picture.jpeg for picture in pictures}
    server.stop()
    server.models = lately(datetime.now(UTC), list(jpegs))
    server.labels.judging = jpegs
    server.labels.table.take_label(FrameLabel("door-2:s1:1", "labelled", datetime.now(UTC), "ann"))
    server.start()
    return server


def block(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def entry(page: Page, name: str) -> Locator:
    return page.locator(".timeline-entry", has=page.get_by_role("heading", name=name))


# The whole


def test_the_model_in_service_and_what_became_of_every_version(open_page: Open, trained: ConsoleServer) -> None:
    page = open_page("/models")
    expect(page).to_have_title("Models · Maskwatch")
    expect(block(page, "In service").locator(".service-name")).to_have_text("yolov8n-facemask 20261101")
    expect(block(page, "In service")).to_contain_text("by local: 100 new labels, and a drift")
    expect(page.locator(".timeline-entry")).to_have_count(4)
    expect(entry(page, "20261101")).to_contain_text("In service")
    expect(entry(page, "20261101")).to_contain_text(
        "Passed the gate: +0.042 mAP50-95 on the holdout, probability better: 98 %."
    )
    expect(entry(page, "20261101")).to_contain_text("100 new labels. Labelled pictures: 66 to learn from, 34")
    expect(entry(page, "20261025")).to_contain_text("Refused: \N{MINUS SIGN}0.004 mAP50-95")
    expect(entry(page, "20261025")).to_contain_text("Not met: better on the holdout.")
    expect(entry(page, "A round was stopped")).to_contain_text("Stopped by ann.")


def test_times_are_right_on_a_device_whose_clock_is_wrong(open_page: Open, trained: ConsoleServer) -> None:
    behind = "{ const now = Date.now; Date.now = () => now() - 2 * 3_600_000; }"
    page = open_page("/models", script=behind)
    expect(entry(page, "20261101").locator("time")).to_have_text("1 d ago")


def test_rolling_back_asks_once_and_every_version_says_so(open_page: Open, trained: ConsoleServer) -> None:
    page = open_page("/models")
    page.get_by_role("button", name="Roll back to v3").click()
    dialog = page.get_by_role("dialog", name="Roll back to v3?")
    expect(dialog).to_contain_text("rolling back once more brings it back")
    dialog.get_by_role("button", name="Leave it as it is").click()
    assert trained.models.asked == []
    page.get_by_role("button", name="Roll back to v3").click()
    dialog.get_by_role("button", name="Roll back to v3").click()
    expect(page.get_by_text("v3 serves")).to_be_visible()
    expect(block(page, "In service").locator(".service-name")).to_have_text("yolov8n-facemask v3")
    expect(entry(page, "20261101")).to_contain_text("Served before")
    expect(page.get_by_role("button", name="Roll back to 20261101")).to_be_visible()
    (command,) = trained.models.asked
    assert (command.kind, command.instead_of) == ("roll-back", judged.model("20261101").sha256)


def test_whoever_comes_too_late_is_told_and_a_silent_rollout_too(open_page: Open, trained: ConsoleServer) -> None:
    page = open_page("/models", troubled=True)
    page.get_by_role("button", name="Roll back to v3").click()
    # Somebody else was faster.
    trained.models.tell(judged.champion("3", "20261101", at=datetime.now(UTC)))
    page.get_by_role("dialog").get_by_role("button", name="Roll back to v3").click()
    expect(page.get_by_text("Meanwhile another model has become the champion")).to_be_visible()
    expect(block(page, "In service").locator(".service-name")).to_have_text("yolov8n-facemask v3")


# A version


def test_a_version_has_the_gates_table_with_what_nobody_could_judge(open_page: Open, trained: ConsoleServer) -> None:
    page = open_page("/models")
    entry(page, "20261101").get_by_role("link").click()
    expect(page).to_have_title("20261101 · Models · Maskwatch")
    expect(page.locator("h1")).to_be_focused()
    table = block(page, "What judged it")
    expect(table.locator("tbody tr")).to_have_count(4)
    row = table.get_by_role("row", name=re.compile("better on the holdout"))
    expect(row).to_contain_text("Passed")
    expect(row).to_contain_text("+0.042 (+0.012 to +0.072)")
    expect(row).to_contain_text("more than 0.01 mAP50-95 gained")
    unjudged = table.get_by_role("row", name=re.compile("no worse: test, wide"))
    expect(unjudged).to_contain_text("Not judged")
    expect(unjudged).to_contain_text("«maskwatch data get»")
    expect(table).to_contain_text("20261101 against v3, INT8")
    labels = block(page, "What judged it: labels")
    expect(labels.get_by_role("row", name=re.compile("door-2"))).to_have_text("door-2227061 %66 %14 (20 %)")
    expect(labels.get_by_role("row", name=re.compile("gate"))).to_have_text("gate120" + 3 * "\N{EN DASH}")
    expect(page.get_by_text("It serves. The way back is on the page of all versions.")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Promote"))).to_be_hidden()


def test_the_pictures_have_a_line_between_what_the_two_models_see(open_page: Open, trained: ConsoleServer) -> None:
    page = open_page(f"/models/{judged.model('20261101').sha256}")
    expect(page.locator(".disagreement")).to_have_count(12)
    first = page.locator(".disagreement").first
    first.scroll_into_view_if_needed()
    expect(first).to_have_attribute("data-state", "there")
    expect(first).to_contain_text("1 mistake → 0 mistakes")
    expect(first).to_contain_text("People: 1 with mask. v3: no faces. 20261101: 1 with mask.")
    over = first.locator(".disagreement-over")
    # What the candidate sees is drawn on its side alone: its box is in teal.
    teal = """canvas => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let found = 0;
        for (let at = 0; at < data.length; at += 4)
            found += Math.abs(data[at] - 0x2c) + Math.abs(data[at + 1] - 0xc9) + Math.abs(data[at + 2] - 0xb5) < 30;
        return found;
    }"""
    assert over.evaluate(teal) > 100
    assert first.locator("canvas").first.evaluate(teal) == 0
    slider = first.get_by_role("slider", name="The line between v3 and 20261101")
    slider.focus()
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "0 % v3, 100 % 20261101")
    assert over.evaluate("canvas => canvas.style.clipPath") == "inset(0px 0px 0px 0%)"
    page.keyboard.press("End")
    assert over.evaluate("canvas => canvas.style.clipPath") == "inset(0px 0px 0px 100%)"
    box = first.locator(".disagreement-stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20)
    page.mouse.down()
    page.mouse.up()
    expect(slider).to_have_value("25")


def test_a_picture_that_is_gone_says_so(open_page: Open, trained: ConsoleServer) -> None:
    trained.labels.judging.clear()
    page = open_page(f"/models/{judged.model('20261101').sha256}", troubled=True)
    first = page.locator(".disagreement").first
    first.scroll_into_view_if_needed()
    expect(first.locator(".frame-missing")).to_contain_text("It was erased, or is not on this machine any more.")


def test_a_refused_version_can_be_judged_again_and_promoted_all_the_same(
    open_page: Open, trained: ConsoleServer
) -> None:
    page = open_page("/models/20261025")
    page.get_by_role("button", name="Judge it again").click()
    expect(page.get_by_text("Asked for: it is judged in a moment, and not promoted")).to_be_visible()
    assert [command.kind for command in trained.models.asked] == ["evaluate"]
    again = judged.run("e1", made="20261025", told=judged.verdict("20261025", gain=0.02, at=datetime.now(UTC)))
    trained.models.tell(_evaluation(again))
    expect(block(page, "Judged again")).to_contain_text("+0.020")
    expect(block(page, "What judged it first")).to_contain_text("\N{MINUS SIGN}0.004")
    page.get_by_role("button", name="Promote 20261025").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The gate has refused it; your word counts all the same.")
    dialog.get_by_role("button", name="Promote 20261025").click()
    expect(page.get_by_text("20261025 serves")).to_be_visible()
    expect(page.locator("header .lane-state")).to_have_text("In service")
    assert trained.models.table.serves() == judged.model("20261025").sha256


def _evaluation(run: Run) -> Run:
    return msgspec.structs.replace(run, kind="evaluate")


# A round


def test_a_round_is_watched_as_it_comes_and_can_be_stopped(open_page: Open, trained: ConsoleServer) -> None:
    page = open_page("/models")
    training = block(page, "Training")
    expect(training.locator(".round-stage")).to_have_text("1 of 100 new labels until a round may start")
    now = datetime.now(UTC)
    trained.models.tell(judged.run("r4", "running", done=3, labels=350, at=now))
    expect(training.locator(".round-stage")).to_have_text("Training, epoch 4 of 10, 3 min left")
    expect(training).to_contain_text("Labelled pictures: 66 to learn from, 34 to be judged by; 400 of earlier")
    expect(training).to_contain_text("Faces: 210 with mask, 62 without mask. Pictures: door-2 70, gate 30.")
    expect(training.locator(".curve canvas")).to_have_count(2)
    expect(training.locator(".curve-legend").first).to_have_text("mAP50 0.660mAP50-95 0.390")
    training.get_by_text("Table").click()
    expect(training.locator(".curve-table tbody tr")).to_have_count(3)
    trained.models.tell(judged.run("r4", "running", done=4, labels=350, at=now))
    expect(training.locator(".round-stage")).to_contain_text("epoch 5 of 10")
    expect(training.locator(".curve-table tbody tr")).to_have_count(4)
    expect(training.locator(".curve-table tbody tr").first).to_be_visible()
    training.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    expect(training.get_by_role("button", name="Stopping")).to_be_disabled()
    (command,) = trained.models.asked
    assert (command.kind, command.run) == ("stop", "r4")
    ended = judged.run("r4", "failed", done=4, labels=350, at=now, said="stopped by local", stopped_by="local")
    trained.models.tell(ended)
    expect(training).to_contain_text(re.compile("The last round, .*: stopped by local."))
    expect(entry(page, "A round was stopped")).to_have_count(2)


def test_train_now_says_how_long_it_takes_and_asks_once(open_page: Open, trained: ConsoleServer) -> None:
    page = open_page("/models")
    training = block(page, "Training")
    training.get_by_role("button", name="Train now").click()
    dialog = page.get_by_role("dialog", name="Start a round of training?")
    dialog.get_by_role("button", name="Train now").click()
    expect(training.locator(".round-stage")).to_have_text("Asked for: it starts in a moment")
    expect(training.get_by_role("button", name="Train now")).to_be_disabled()
    assert [command.kind for command in trained.models.asked] == ["retrain"]
    trained.models.tell(judged.run("r4", "failed", at=datetime.now(UTC) + timedelta(minutes=20), said="disk full"))
    expect(training).to_contain_text(re.compile("The last round, .*: failed: disk full."))
    expect(training.get_by_role("button", name="Train now")).to_be_enabled()


# Every other state


def test_before_the_first_version_it_says_what_will_come(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/models")
    expect(block(page, "In service")).to_contain_text("Nothing was promoted yet")
    expect(page.get_by_role("button", name=re.compile("Roll back"))).to_be_hidden()
    expect(block(page, "Versions")).to_contain_text("No version was made here yet.")
    expect(block(page, "Training")).to_contain_text("Nothing to train on yet: nobody has labelled a frame.")


def test_while_it_loads_there_are_skeletons_and_a_failure_says_what_failed(
    open_page: Open, trained: ConsoleServer
) -> None:
    trained.models.hang = trained.models.failing = True
    page = open_page("/models", troubled=True)
    expect(page.locator(".models-skeleton")).to_be_visible()
    trained.models.hang = False
    expect(page.get_by_role("heading", name="What is known of models cannot be read")).to_be_visible()
    expect(page.get_by_text("reading models.v1")).to_be_visible()
    page.get_by_role("button", name="Try again now").click()
    trained.models.failing = False
    expect(page.locator(".timeline-entry")).to_have_count(4)


def test_what_is_old_is_dimmed_and_says_how_old(open_page: Open, trained: ConsoleServer) -> None:
    page = open_page(
        "/models", troubled=True, script="{ const now = Date.now; window.later = 0; Date.now = () => now() + later; }"
    )
    expect(page.locator(".timeline-entry")).to_have_count(4)
    trained.models.failing = True
    # Nobody waits here until it is old.
    page.evaluate("window.later = 14_000")
    expect(page.locator(".stale-note")).to_have_text(re.compile(r"1\d s old"))
    expect(page.locator(".models-page")).to_have_attribute("data-stale", "true")
    trained.models.failing = False
    expect(page.locator(".stale-note")).to_be_hidden()


def test_an_unknown_version_leads_back_and_the_token_opens_it(open_page: Open, trained: ConsoleServer) -> None:
    trained.token = "sesame"  # noqa: S105  # this test's own
    page = open_page("/models/7", troubled=True)
    page.get_by_label("Token").fill("sesame")
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_role("heading", name="There is no such version")).to_be_visible()
    page.get_by_role("link", name="All versions").click()
    expect(page.locator(".timeline-entry")).to_have_count(4)


def test_the_header_leads_here(open_page: Open, trained: ConsoleServer) -> None:
    page = open_page("/system")
    page.get_by_role("link", name="yolov8n-facemask 20261101").click()
    expect(page).to_have_title("Models · Maskwatch")


# How it is made


@pytest.mark.parametrize("size", [LAPTOP, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    open_page: Open, trained: ConsoleServer, size: tuple[int, int], theme: Literal["light", "dark"]
) -> None:
    trained.models.tell(judged.run("r4", "running", done=3, at=datetime.now(UTC)))
    page = open_page("/models", size, color_scheme=theme, bypass_csp=True)
    page.add_script_tag(path=AXE)
    expect(page.locator(".curve canvas")).to_have_count(2)
    found = {"all": serious(page)}
    page.get_by_role("button", name="Roll back to v3").click()
    found["dialog"] = serious(page)
    page.keyboard.press("Escape")
    wide = [page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")]
    page.goto(f"{trained.url}/models/20261101")
    page.add_script_tag(path=AXE)
    expect(page.locator(".disagreement")).to_have_count(12)
    found["version"] = serious(page)
    wide.append(page.evaluate("document.querySelector('main').scrollWidth <= innerWidth"))
    assert [problem for problems in found.values() for problem in problems] == []
    assert all(wide)


def test_script_and_style_are_small_and_come_from_here(open_page: Open, trained: ConsoleServer) -> None:
    loaded: list[str] = []
    page = open_page("/system")
    page.on("request", lambda request: loaded.append(request.url))
    page.goto(f"{trained.url}/models")
    expect(page.locator(".curve canvas")).to_have_count(2)
    assert all(url.startswith((f"{trained.url}/", "blob:")) for url in loaded)
    assets = [url for url in loaded if url.endswith((".js", ".css"))]
    assert any("uPlot" in url for url in assets)
    assert sum(len(httpx.get(url).content) for url in assets) < BUDGET
