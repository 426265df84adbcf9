"""The system's Chromium for the tests: silent towards the network, and the same for everyone who drives it."""

import os
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Playwright

FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
)


def find_chromium() -> str | None:
    """Return the path of the system's Chromium, or None; `MASKWATCH_TEST_CHROMIUM` names another one."""
    named = os.environ.get("MASKWATCH_TEST_CHROMIUM")
    if named is not None:
        return named if Path(named).exists() else None
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


def launch(playwright: Playwright, *flags: str) -> Browser:
    """Start it without a window."""
    return playwright.chromium.launch(executable_path=find_chromium(), args=[*FLAGS, *flags])
