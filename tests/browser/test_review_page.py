"""The Review page in a real Chromium: frames are confirmed and corrected by keyboard and mouse."""

import re
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.browser.test_console_shell import AXE, BUDGET, serious
from tests.support import judged
from tests.support.console_page import LAPTOP, PHONE, wait_for_frames
from tests.support.console_server import ConsoleServer, Picture


def box(page: Page, number: int) -> Locator:
    return page.get_by_role("option", name=re.compile(f"^Face {number} of"))


def open_review(open_page: Open, **options: object) -> Page:
    page = open_page("/review", **options)  # type: ignore[arg-type]  # the browser's own
    expect(box(page, 1)).to_be_visible()
    return page


def press(page: Page, *keys: str) -> None:
    """Press keys once a frame is on the desk: until then there is nothing that they could mean."""
    expect(page.get_by_role("button", name="Confirm")).to_be_enabled()
    for key in keys:
        page.keyboard.press(key)


def confirm(page: Page) -> None:
    """Confirm what is on the desk, once something is."""
    press(page, "Space")


def saved(server: ConsoleServer, page: Page, count: int) -> None:
    """Wait until so many labels are saved."""
    expect(page.locator(".goal")).to_have_text(f"{count} of 100 until a retrain may start")
    assert len(server.labels.said) >= count


def test_a_good_frame_is_confirmed_with_one_key_and_the_next_is_there(open_page: Open, asked: ConsoleServer) -> None:
    page = open_review(open_page)
    expect(page).to_have_title("Review · Maskwatch")
    expect(page.locator(".why")).to_have_text("Score 0.48, near the threshold")
    expect(page.locator(".why-facts")).to_contain_text("door-2")
    for number in range(1, 4):
        confirm(page)
        saved(asked, page, number)
    assert [said.frame for said in asked.labels.said] == ["door-2:s1:1", "door-2:s1:2", "door-2:s1:3"]
    assert [face.label for face in asked.labels.said[0].faces] == ["with_mask", "without_mask", "mask_weared_incorrect"]


def test_the_keyboard_alone_corrects_a_frame(open_page: Open, asked: ConsoleServer) -> None:
    page = open_review(open_page)
    before = asked.labels.table.request("door-2:s1:1")
    assert before is not None
    first, second, third = before.request.objects
    page.keyboard.press("Tab")
    expect(box(page, 1)).to_be_focused()
    expect(box(page, 1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("2")
    expect(box(page, 1)).to_have_attribute("data-state", "without_mask")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Delete")
    expect(page.get_by_role("option")).to_have_count(2)
    page.keyboard.press("n")
    expect(page.locator(".desk-hint")).to_contain_text("Drag over a face")
    page.keyboard.press("Enter")
    page.keyboard.press("3")
    expect(page.get_by_role("option")).to_have_count(3)
    confirm(page)
    saved(asked, page, 1)
    said = asked.labels.said[0].faces
    assert [face.label for face in said] == ["without_mask", second.label, "mask_weared_incorrect"]
    assert said[0].box[0] > first.box[0]
    assert said[0].box[2] - said[0].box[0] == pytest.approx(first.box[2] - first.box[0])
    assert said[1].box[:3] == pytest.approx(second.box[:3])
    assert said[1].box[3] > second.box[3]
    assert third.box not in [face.box for face in said]


def test_no_face_and_skip_are_one_key_each(open_page: Open, asked: ConsoleServer) -> None:
    page = open_review(open_page)
    press(page, "e")
    press(page, "s")
    saved(asked, page, 1)
    expect(page.locator(".strip-item[data-said=skipped]")).to_have_count(1)
    assert [(said.state, said.faces) for said in asked.labels.said[:1]] == [("labelled", ())]
    expect(page.locator(".strip-item[aria-current]")).to_have_attribute("aria-label", re.compile("^On the desk"))


def test_a_step_back_undoes_what_was_changed_and_then_shows_the_frame_before(
    open_page: Open, asked: ConsoleServer
) -> None:
    page = open_review(open_page)
    confirm(page)
    saved(asked, page, 1)
    press(page, "1", "3", "Delete")
    expect(page.get_by_role("option")).to_have_count(2)
    page.keyboard.press("z")
    expect(page.get_by_role("option")).to_have_count(3)
    for _ in range(2):
        page.keyboard.press("z")
    # Nothing is left to undo here: now it is the frame before, as it was saved.
    page.keyboard.press("z")
    expect(page.locator(".why-facts")).to_contain_text("it stands until you save again")
    press(page, "Tab", "3")
    confirm(page)
    expect(page.locator(".why-facts")).not_to_contain_text("it stands")
    page.wait_for_function("localStorage.getItem('maskwatch.outbox') === '[]'")
    assert [said.frame for said in asked.labels.said] == ["door-2:s1:1", "door-2:s1:1"]
    label = asked.labels.table.label("door-2:s1:1")
    assert label is not None
    assert label.faces[0].label == "mask_weared_incorrect"
    # One frame, however often it was said.
    expect(page.locator(".goal")).to_have_text("1 of 100 until a retrain may start")


def middle(found: Locator) -> tuple[float, float]:
    rect = found.bounding_box()
    assert rect is not None
    return rect["x"] + rect["width"] / 2, rect["y"] + rect["height"] / 2


def drag(page: Page, start: tuple[float, float], by: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + by[0] / 2, start[1] + by[1] / 2)
    page.mouse.move(start[0] + by[0], start[1] + by[1])
    page.mouse.up()


def test_the_mouse_moves_resizes_draws_and_chooses(open_page: Open, asked: ConsoleServer) -> None:
    page = open_review(open_page)
    waiting = asked.labels.table.request("door-2:s1:1")
    assert waiting is not None
    one, two, _ = waiting.request.objects
    sheet = page.locator(".desk-sheet").bounding_box()
    assert sheet is not None
    across, down = 40 / sheet["width"], 30 / sheet["height"]
    drag(page, middle(box(page, 1)), (40, 30))
    expect(box(page, 1)).to_be_focused()
    box(page, 2).click()
    drag(page, middle(box(page, 2).locator("[data-side=se]")), (40, 30))
    # Beside all faces, in the lower left corner.
    drag(page, (sheet["x"] + 3, sheet["y"] + sheet["height"] - 40), (50, 36))
    expect(page.get_by_role("option")).to_have_count(4)
    page.get_by_role("button", name="Incorrect").first.click()
    page.get_by_role("button", name="Confirm").click()
    saved(asked, page, 1)
    said = asked.labels.said[0].faces
    x1, y1, x2, y2 = one.box
    assert said[0].box == pytest.approx((x1 + across, y1 + down, x2 + across, y2 + down), abs=0.004)
    x1, y1, x2, y2 = two.box
    assert said[1].box == pytest.approx((x1, y1, x2 + across, y2 + down), abs=0.004)
    assert said[3].label == "mask_weared_incorrect"
    assert said[3].box[2] - said[3].box[0] == pytest.approx(50 / sheet["width"], abs=0.004)


def test_two_people_see_different_frames(open_page: Open, asked: ConsoleServer) -> None:
    pages = [open_review(open_page), open_review(open_page)]
    for number, page in enumerate(pages, 1):
        confirm(page)
        saved(asked, page, number)
    frames = [said.frame for said in asked.labels.said]
    assert len(frames) == len(set(frames)) == 2


def test_what_is_held_is_given_back_when_one_goes(open_page: Open, asked: ConsoleServer) -> None:
    page = open_review(open_page)
    assert len(asked.labels.holders) == 5
    page.get_by_role("link", name="System").click()
    expect(page).to_have_title("System · Maskwatch")
    page.get_by_role("link", name="Review").click()
    expect(box(page, 1)).to_be_visible()
    assert len(set(asked.labels.holders.values())) == 1


def test_the_pace_and_the_goal_are_in_sight(open_page: Open, asked: ConsoleServer) -> None:
    page = open_review(open_page)
    expect(page.locator(".pace")).to_have_text("8 frames wait")
    for number in range(1, 5):
        confirm(page)
        saved(asked, page, number)
    expect(page.locator(".pace")).to_have_text(re.compile(r"^\d+\.\d s a frame · 4 frames wait$"))


def test_it_says_what_earlier_labels_have_done_and_counts_from_there(open_page: Open, asked: ConsoleServer) -> None:
    asked.models.tell(judged.run("r1", made="3", told=judged.verdict("3"), labels=0, new=100))
    page = open_review(open_page)
    expect(page.locator(".done-so-far")).to_have_text("Your 100 labels: model v3, +0.04 mAP on the holdout")
    expect(page.locator(".done-so-far a")).to_have_attribute("href", f"/models/{judged.model('3').sha256}")
    confirm(page)
    saved(asked, page, 1)


def test_a_frame_that_is_seen_live_is_the_next_to_be_labelled(open_page: Open, asked: ConsoleServer) -> None:
    asked.labels.live = asked.script("demo").pictures[0].jpeg
    page = open_page("/live/demo")
    wait_for_frames(page)
    page.keyboard.press("l")
    expect(page).to_have_title("Review · Maskwatch")
    expect(page.locator(".why")).to_have_text("Local asked for it")
    expect(page.locator(".why-facts")).to_contain_text("demo")
    expect(box(page, 3)).to_be_visible()
    confirm(page)
    saved(asked, page, 1)
    assert asked.labels.said[0].frame.startswith("demo:s1:")


def test_a_closer_look_is_at_the_chosen_face(open_page: Open, asked: ConsoleServer) -> None:
    page = open_review(open_page)
    page.keyboard.press("Tab")
    small = box(page, 1).bounding_box()
    page.keyboard.press("i")
    expect(page.get_by_role("button", name="Closer")).to_have_attribute("aria-pressed", "true")
    large, desk = box(page, 1).bounding_box(), page.locator(".desk").bounding_box()
    assert small is not None
    assert large is not None
    assert desk is not None
    assert large["width"] > 2 * small["width"]
    assert large["x"] + large["width"] / 2 == pytest.approx(desk["x"] + desk["width"] / 2, abs=2)
    page.keyboard.press("i")
    assert box(page, 1).bounding_box() == small


# Every other state


def test_without_a_request_it_says_what_will_come_and_then_it_comes(
    open_page: Open, server: ConsoleServer, pictures: list[Picture]
) -> None:
    page = open_page("/review")
    expect(page.get_by_role("heading", name="No frame waits for you")).to_be_visible()
    expect(page.get_by_role("button", name="Confirm")).to_be_disabled()
    server.labels.ask(pictures[0].jpeg, (pictures[0].width, pictures[0].height), [])
    expect(page.locator(".face-list")).to_have_text("No face is marked.")
    confirm(page)
    expect(page.get_by_role("heading", name="All done for now")).to_be_visible()
    saved(server, page, 1)
    assert [said.faces for said in server.labels.said] == [()]


def test_while_it_loads_there_is_a_skeleton_and_a_failure_says_what_failed(
    open_page: Open, asked: ConsoleServer
) -> None:
    asked.labels.hang = asked.labels.away = True
    page = open_page("/review", troubled=True)
    expect(page.locator(".review-skeleton")).to_be_visible()
    asked.labels.hang = False
    expect(page.get_by_role("heading", name="The frames to label cannot be read")).to_be_visible()
    expect(page.get_by_text("reading labels.v1")).to_be_visible()
    asked.labels.away = False
    page.get_by_role("button", name="Try again now").click()
    expect(box(page, 1)).to_be_visible()


def test_a_frame_whose_picture_is_gone_is_passed_over(open_page: Open, asked: ConsoleServer) -> None:
    del asked.labels.jpegs["door-2:s1:1"]
    page = open_review(open_page, troubled=True)
    confirm(page)
    saved(asked, page, 1)
    assert asked.labels.said[0].frame == "door-2:s1:2"


def test_a_picture_that_does_not_come_says_why_and_is_tried_again(open_page: Open, asked: ConsoleServer) -> None:
    page = open_page("/system", troubled=True)
    problem = '{"detail": "The picture cannot be read: Kafka is away."}'
    page.route("**/labels/pictures/*", lambda route: route.fulfill(status=503, body=problem))
    page.get_by_role("link", name="Review").click()
    expect(page.get_by_role("heading", name="The frame's picture cannot be fetched")).to_be_visible()
    expect(page.get_by_text("The picture cannot be read: Kafka is away.")).to_be_visible()
    page.get_by_role("button", name="Try again now").click()
    expect(page.get_by_role("button", name="Confirm")).to_be_disabled()
    page.unroute("**/labels/pictures/*")
    # By itself, and long before the frames' leases are prolonged.
    expect(box(page, 1)).to_be_visible(timeout=10_000)
    confirm(page)
    saved(asked, page, 1)
    assert asked.labels.said[0].frame == "door-2:s1:1"


def test_the_token_opens_it(open_page: Open, asked: ConsoleServer) -> None:
    asked.token = "sesame"  # noqa: S105  # this test's own
    page = open_page("/review", troubled=True)
    page.get_by_label("Token").fill("sesame")
    page.get_by_role("button", name="Enter").click()
    expect(box(page, 1)).to_be_visible()


# How it is made


@pytest.mark.parametrize("size", [LAPTOP, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    open_page: Open, asked: ConsoleServer, size: tuple[int, int], theme: Literal["light", "dark"]
) -> None:
    page = open_review(open_page, size=size, color_scheme=theme, bypass_csp=True)
    page.add_script_tag(path=AXE)
    found = serious(page)
    page.get_by_role("button", name="Draw").click()
    box(page, 1).focus()
    found += serious(page)
    assert found == []
    assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")


def test_script_and_style_are_small(open_page: Open, asked: ConsoleServer) -> None:
    loaded: list[str] = []
    page = open_page("/system")
    page.on("request", lambda request: loaded.append(request.url))
    page.goto(f"{asked.url}/review")
    expect(box(page, 1)).to_be_visible()
    assert all(url.startswith((f"{asked.url}/", "blob:")) for url in loaded)
    assert sum(len(httpx.get(url).content) for url in loaded if url.endswith((".js", ".css"))) < BUDGET


def test_the_geometry_keeps_boxes_in_the_picture(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/review")
    found = page.evaluate(
        "import('/console/pages/review/marks.js').then(({ moved, resized, between, LEAST }) => ["
        "moved([0.5, 0.5, 0.75, 0.75], 9, -9), resized([0.25, 0.25, 0.5, 0.5], 'se', -9, 9), "
        "resized([0.25, 0.25, 0.5, 0.5], 'n', 9, -9), between({x: 0.75, y: -1}, {x: 0.5, y: 0.25}), LEAST])"
    )
    least = found[4]
    assert found[:4] == [
        [0.75, 0, 1, 0.25],
        [0.25, 0.25, 0.25 + least, 1],
        [0.25, 0, 0.5, 0.5],
        [0.5, 0, 0.75, 0.25],
    ]


def test_a_button_that_one_came_to_by_keyboard_is_what_space_presses(open_page: Open, asked: ConsoleServer) -> None:
    page = open_review(open_page)
    page.get_by_role("button", name="Skip").focus()
    page.keyboard.press("Space")
    page.wait_for_function("localStorage.getItem('maskwatch.outbox') === '[]'")
    assert [said.state for said in asked.labels.said] == ["skipped"]
