"""The webcams of this machine, as far as they can be told without being opened."""

import re
from collections.abc import Sequence
from pathlib import Path


def webcams(devices: Path = Path("/dev")) -> list[int]:
    """Return the numbers of the webcams that Linux shows; elsewhere none can be told without opening them."""
    return sorted(int(found[1]) for path in devices.glob("video*") if (found := re.search(r"(\d+)$", path.name)))


def webcam_hint(camera: Sequence[str], found: Sequence[int]) -> str:
    """Tell of a webcam that is there and not in use.

    Examples
    --------
    >>> webcam_hint(["--or-demo"], [0, 1]).strip()
    '(found a webcam: add it with «maskwatch camera webcam:0»)'
    """
    if not found or any(argument.startswith("webcam:") for argument in camera):
        return ""
    return f"      (found a webcam: add it with «maskwatch camera webcam:{found[0]}»)"
