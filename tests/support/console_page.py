"""What the console's browser tests look for on its pages, and how they wait for it."""

from collections.abc import Sequence

from playwright.sync_api import Locator, Page

from tests.support.console_server import Picture, Script

LAPTOP = (1440, 900)
PHONE = (390, 844)
PATIENT = 20_000
"""Milliseconds; a busy machine is no failure."""


def canvas(page: Page, camera: str = "demo") -> Locator:
    """Return the canvas of a camera."""
    return page.locator(f"canvas[data-camera={camera}]")


def tile(page: Page, camera: str = "demo") -> Locator:
    """Return the tile of a camera: picture, caption and state."""
    return page.locator("article", has=canvas(page, camera))


def wait_for_frames(page: Page, count: int = 2, camera: str = "demo") -> None:
    """Wait until so many more frames were drawn.

    What a page is polled with must be a function, here and elsewhere: Playwright evaluates an expression anew at
    every poll, which the console's own Content Security Policy refuses from the second on.
    """
    found = canvas(page, camera)
    before = int(found.get_attribute("data-drawn") or 0) if found.count() else 0
    page.wait_for_function(
        "([camera, drawn]) => document.querySelector(`canvas[data-camera=${camera}]`)?.dataset.drawn >= drawn",
        arg=[camera, before + count],
    )


def wall(pictures: Sequence[Picture], count: int) -> list[Script]:
    """Return the scripts of so many cameras, `cam-1` and on, all of them well."""
    return [
        Script(f"cam-{index + 1}", pictures, f"Camera {index + 1}", f"webcam:{index}", rate=5.0)
        for index in range(count)
    ]
