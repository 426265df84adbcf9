"""The Review page on a phone, in a real Chromium: everything is in reach of a finger."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.test_review_page import box, confirm, open_review, saved
from tests.support.console_page import PHONE
from tests.support.console_server import ConsoleServer

SMALL_PHONE = (360, 640)
FINGER = 44
"""Pixels that a finger needs across and down."""


def test_fingers_draw_only_when_asked_to(open_page: Open, asked: ConsoleServer) -> None:
    page = open_review(open_page, size=PHONE, has_touch=True, is_mobile=True)
    sheet = page.locator(".desk-sheet").bounding_box()
    assert sheet is not None
    start = {"x": sheet["x"] + 4, "y": sheet["y"] + sheet["height"] - 50}
    devtools = page.context.new_cdp_session(page)

    def swipe() -> None:
        for kind, by in (("touchStart", 0), ("touchMove", 20), ("touchMove", 40)):
            points = [{"x": start["x"] + by, "y": start["y"] + by}]
            devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        # A finger that rests before it is lifted: after a fling Chromium takes the next tap for the end of it.
        page.wait_for_timeout(200)
        devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    swipe()
    expect(page.get_by_role("option")).to_have_count(3)
    page.get_by_role("button", name="Draw").tap()
    swipe()
    expect(page.get_by_role("option")).to_have_count(4)
    page.get_by_role("button", name="Without mask").tap()
    page.get_by_role("button", name="Confirm").tap()
    saved(asked, page, 1)
    assert asked.labels.said[0].faces[3].label == "without_mask"


@pytest.mark.parametrize("touch", [True, False])
@pytest.mark.parametrize("size", [PHONE, SMALL_PHONE])
def test_on_a_phone_held_upright_all_is_in_sight_and_large_enough_for_a_finger(
    open_page: Open, asked: ConsoleServer, size: tuple[int, int], *, touch: bool
) -> None:
    asked.labels.failing = True
    page = open_review(open_page, size=size, has_touch=touch, is_mobile=touch, troubled=True)
    panel, buttons = page.locator(".review-panel"), page.get_by_role("button")
    # Without the trouble it needs no scrolling at all; with it, none to the side.
    assert panel.evaluate("panel => panel.scrollHeight <= panel.clientHeight")
    for _ in range(4):
        confirm(page)
    expect(page.locator(".trouble")).to_contain_text("not saved yet")
    expect(page.locator(".strip-item[aria-current]")).to_be_in_viewport(ratio=1)
    beyond = page.evaluate(
        "() => [...document.querySelectorAll('main, main *')].filter((element) => {"
        " const { left, right, width } = element.getBoundingClientRect();"
        " return width > 0 && (left < 0 || right > innerWidth); }).map((element) => element.outerHTML)"
    )
    assert beyond == []
    assert panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth")
    for button in buttons.all():
        rect = button.bounding_box()
        assert rect is not None
        assert min(rect["width"], rect["height"]) >= FINGER, button.inner_text()
        assert button.evaluate("button => button.scrollWidth <= button.clientWidth"), button.inner_text()


def test_a_finger_beside_a_small_face_chooses_it(open_page: Open, asked: ConsoleServer) -> None:
    page = open_review(open_page, size=SMALL_PHONE, has_touch=True, is_mobile=True)
    rect = box(page, 1).bounding_box()
    assert rect is not None
    assert rect["width"] < FINGER
    page.touchscreen.tap(rect["x"] - (FINGER - rect["width"]) / 2 + 1, rect["y"] + rect["height"] / 2)
    expect(box(page, 1)).to_have_attribute("aria-selected", "true")
