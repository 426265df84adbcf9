"""The Review page in a real Chromium: frames are confirmed and corrected by keyboard, mouse and touch."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from maskwatch.messages import DetectedFace
from tests.browser.conftest import Open
from tests.support.console_server import ConsoleServer, Picture


@pytest.fixture
def asked(server: ConsoleServer, pictures: list[Picture]) -> ConsoleServer:
    """Return the server, with eight frames to label: three faces each, as they truly are."""
    for picture in pictures[:8]:
        faces = [DetectedFace(each["label"], each["score"], tuple(each["box"])) for each in picture.objects]
        server.labels.ask(picture.jpeg, (picture.width, picture.height), faces)
    return server


def box(page: Page, number: int) -> Locator:
    return page.get_by_role("option", name=re.compile(f"^Face {number} of"))


def open_review(open_page: Open, **options: object) -> Page:
    page = open_page("/review", **options)  # type: ignore[arg-type]  # the browser's own
    expect(box(page, 1)).to_be_visible()
    return page


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
        page.keyboard.press("Space")
        saved(asked, page, number)
    assert [said.frame for said in asked.labels.said] == ["door-2:s1:1", "door-2:s1:2", "door-2:s1:3"]
    assert [face.label for face in asked.labels.said[0].faces] == ["with_mask", "without_mask", "mask_weared_incorrect"]
