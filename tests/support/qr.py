"""Codes that a terminal shows, read as a phone reads them."""

from collections.abc import Sequence

import cv2
import numpy as np

HALVES = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
"""Which of its two pixels a character lights, on a dark terminal."""


def read_code(lines: Sequence[str]) -> str:
    """Return what the code among these lines says; empty if there is none."""
    rows = [line for line in lines if set(line) & {"█", "▀", "▄"} and set(line) <= set(HALVES)]
    width = max(map(len, rows), default=0)
    # Each character is two pixels, one above the other.
    pixels = np.array(
        [[HALVES[character][half] for character in row.ljust(width)] for row in rows for half in (0, 1)], np.uint8
    )
    shown = cv2.resize(pixels * 255, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    return str(cv2.QRCodeDetector().detectAndDecode(shown)[0])
