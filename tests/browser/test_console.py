"""The console's pictures in a real Chromium: boxes on their own frames, and the wall they fill."""

import json

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.support.console_page import LAPTOP, PHONE, canvas, tile, wait_for_frames, wall
from tests.support.console_server import LABELS, SKIN, ConsoleServer, Picture, Script

# The picture and its boxes


def test_the_first_visit_shows_moving_boxes_on_their_own_frames(open_page: Open, server: ConsoleServer) -> None:
    page = open_page("/")
    expect(page).to_have_url(f"{server.url}/live")
    frames = page.evaluate("probes.frames(8)")
    places = {str([face["box"] for face in faces]) for faces in frames.values()}
    assert len(places) > 1, "the boxes never moved"
    for frame, faces in frames.items():
        assert [face["label"] for face in faces] == list(LABELS)
        for face in faces:
            assert np.abs(np.subtract(face["forehead"], SKIN)).max() < 20, f"a box of {frame} is not on its face"


@pytest.mark.parametrize("density", [1, 2])
@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_lines_keep_their_weight_their_colour_and_their_shape(
    open_page: Open, server: ConsoleServer, density: int, size: tuple[int, int]
) -> None:
    server.script("demo").rate = 2.0
    page = open_page("/live", size, device_scale_factor=density)
    wait_for_frames(page)
    lines = page.evaluate("probes.lines()")
    found = {line["label"]: line for line in lines}
    weights = {"with_mask": 2, "without_mask": 4, "mask_weared_incorrect": 2.5}
    for label, weight in weights.items():
        assert abs(found[label]["width"] - weight) <= 1.1, f"{label} is {found[label]['width']} px thick"
    assert found["with_mask"]["share"] == 1
    assert found["without_mask"]["share"] == 1
    assert 0.3 < found["mask_weared_incorrect"]["share"] < 0.9, "an incorrect mask has a dashed line"


def test_chips_stay_outside_every_face_and_inside_the_picture(open_page: Open) -> None:
    page = open_page()
    counted = page.evaluate("probes.crowds(400)")
    assert (counted["covering"], counted["outside"]) == (0, 0)
    assert counted["placed"] > 2000
    assert counted["shortened"] > 0
    assert counted["alone"] > 0
    assert counted["missing"] == 0


def test_a_chip_flips_at_the_edge(open_page: Open) -> None:
    page = open_page()
    assert page.evaluate("probes.chip(100, 100)") == [100, 78]
    assert page.evaluate("probes.chip(100, 5)") == [100, 57]
    assert page.evaluate("probes.chip(370, 100)") == [310, 78]


def test_a_score_is_shown_on_hover_and_all_of_them_by_a_key(
    open_page: Open, server: ConsoleServer, pictures: list[Picture]
) -> None:
    server.script("demo").pictures = pictures[:1]
    page = open_page("/live", script="probes.keepTexts()")
    wait_for_frames(page)
    assert set(page.evaluate("probes.texts")) == {"With mask", "Without mask", "Incorrect"}
    [x1, y1, x2, y2] = json.loads(canvas(page).get_attribute("data-objects") or "")[1]["box"]
    place = canvas(page).bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + (x1 + x2) / 2 * place["width"], place["y"] + (y1 + y2) / 2 * place["height"])
    page.wait_for_function("() => probes.texts.includes('Without mask 0.88')")
    assert "With mask 0.95" not in page.evaluate("probes.texts")
    page.mouse.move(2, 2)
    page.keyboard.press("s")
    page.wait_for_function(
        "() => ['With mask 0.95', 'Without mask 0.88', 'Incorrect 0.81'].every((text) => probes.texts.includes(text))"
    )
    expect(page.get_by_role("button", name="Scores")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_role("button", name="Scores")).to_have_attribute("aria-pressed", "true")


def test_boxes_can_be_hidden(open_page: Open) -> None:
    page = open_page()
    wait_for_frames(page)
    page.keyboard.press("b")
    expect(canvas(page)).to_have_attribute("data-objects", "[]")
    page.get_by_role("button", name="Boxes").click()
    expect(canvas(page)).not_to_have_attribute("data-objects", "[]")


def test_every_message_is_acknowledged_and_every_bitmap_closed(open_page: Open, server: ConsoleServer) -> None:
    server.script("demo").rate = 30.0
    page = open_page("/live", script="probes.countBitmaps()")
    wait_for_frames(page, 40)
    # One is drawn, and as many as may be under way are decoded or wait for the next animation frame.
    assert page.evaluate("probes.bitmaps") <= 3
    assert server.script("demo").most_unacknowledged <= 2
    server.scripts.clear()
    expect(page.get_by_text("No cameras yet")).to_be_visible()
    page.wait_for_function("() => probes.bitmaps === 0")


def test_broken_messages_harm_no_frame(open_page: Open, server: ConsoleServer) -> None:
    server.script("demo").behaviour = "garbage"
    page = open_page()
    wait_for_frames(page, 4)
    expect(tile(page)).to_have_attribute("data-state", "live")


# The wall


def test_the_wall_makes_pictures_as_large_as_they_can_be(open_page: Open) -> None:
    page = open_page()
    wrong = page.evaluate("probes.walls(500)")
    assert wrong == []


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (4, 2), (6, 3), (9, 3)])
def test_the_wall_fills_the_window_without_scrolling(
    open_page: Open, server: ConsoleServer, pictures: list[Picture], count: int, columns: int
) -> None:
    server.scripts = wall(pictures, count)
    page = open_page()
    expect(page.locator("article:visible")).to_have_count(count)
    wait_for_frames(page, 1, "cam-1")
    lefts = {round(box["x"]) for each in page.locator("article").all() if (box := each.bounding_box())}
    assert len(lefts) == columns
    assert page.evaluate(
        "(() => { const wall = document.querySelector('.wall'); return wall.scrollHeight <= wall.clientHeight })()"
    )


def test_on_a_phone_pictures_are_as_wide_as_the_screen_and_those_out_of_sight_have_no_stream(
    open_page: Open, server: ConsoleServer, pictures: list[Picture]
) -> None:
    server.scripts = wall(pictures, 12)
    page = open_page("/live", PHONE, has_touch=True, is_mobile=True)
    wait_for_frames(page, 1, "cam-1")
    box = canvas(page, "cam-1").bounding_box()
    assert box is not None
    assert box["width"] > 0.9 * PHONE[0]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    rail = page.get_by_role("navigation", name="Pages").bounding_box()
    assert rail is not None
    assert rail["y"] + rail["height"] == PHONE[1]
    assert server.script("cam-12").connections == 0
    canvas(page, "cam-12").locator("xpath=ancestor::article").scroll_into_view_if_needed()
    wait_for_frames(page, 1, "cam-12")
    page.wait_for_function("() => document.querySelector('article').dataset.sight === 'false'")
    for button in page.locator("button:visible, nav a:visible").all():
        target = button.bounding_box()
        assert target is not None
        assert min(target["width"], target["height"]) >= 40, f"{button.inner_text()} is too small for a finger"


def test_cameras_come_and_go_by_themselves(open_page: Open, server: ConsoleServer, pictures: list[Picture]) -> None:
    page = open_page()
    wait_for_frames(page)
    server.scripts.append(Script("door-2", pictures, "Door 2", "webcam:0"))
    wait_for_frames(page, 1, "door-2")
    first, gone = server.scripts[0], server.scripts.pop()
    expect(canvas(page, "door-2")).to_have_count(0)
    drawn = int(canvas(page).get_attribute("data-drawn") or 0)
    assert drawn > 2, "the other camera's picture was made anew"
    page.wait_for_timeout(300)
    assert (first.connections, gone.connections) == (1, 0)


def test_only_the_demo_scene_says_what_to_do_next(
    open_page: Open, server: ConsoleServer, pictures: list[Picture]
) -> None:
    page = open_page("/live", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Add your camera").click()
    dialog = page.get_by_role("dialog", name="Add your camera")
    dialog.get_by_text("A camera of this computer").click()
    expect(dialog.get_by_text("maskwatch camera webcam:0 --id desk")).to_be_visible()
    dialog.get_by_role("button", name="Copy «maskwatch camera webcam:0 --id desk»").click()
    expect(page.get_by_text("Command copied")).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()") == "maskwatch camera webcam:0 --id desk"
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    server.scripts.extend(wall(pictures, 1))
    expect(page.get_by_role("button", name="Add your camera")).to_be_hidden()
