"""Lay cut-out pictures of people on a frame, and tell how much of each face can still be seen."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwatch.messages import Label, MarkedFace
from producers.source import Image

LEAST_VISIBLE = 0.6
"""Faces of which less can be seen are not in the truth."""
_PROBES = 12
"""A face's visibility is judged on a grid of this many points a side."""

PixelBox = tuple[float, float, float, float]


class Cutout(NamedTuple):
    """A picture to lay on a frame, with the faces on it."""

    image: Image
    """Premultiplied by its opacity."""
    beneath: Image
    """How much of the frame shows through, 0..255, the same in every channel."""
    faces: tuple[tuple[Label, PixelBox], ...]
    """In pixels of `image`."""

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.image.shape[0])


class Placed(NamedTuple):
    """A cut-out at its place: the corner's column and row on the frame."""

    cutout: Cutout
    x: int
    y: int


def cut_out(image: NDArray[np.uint8], faces: tuple[tuple[Label, PixelBox], ...]) -> Cutout:
    """Prepare a premultiplied BGRA picture for laying."""
    beneath = 255 - cv2.merge([image[..., 3]] * 3)
    return Cutout(np.ascontiguousarray(image[..., :3]), np.asarray(beneath, np.uint8), faces)


def lay(frame: Image, placed: Placed, *, floor: int | None = None) -> None:
    """Lay a cut-out on a frame, in place.

    Parameters
    ----------
    frame
        What is painted on.
    placed
        What, and where; it may reach outside.
    floor
        Row of the frame where it ends at the latest.
    """
    cutout, x, y = placed
    height, width = frame.shape[:2]
    left, right = max(0, x), min(width, x + cutout.width)
    top, bottom = max(0, y), min(height if floor is None else floor, y + cutout.height)
    if left >= right or top >= bottom:
        return
    part = np.s_[top - y : bottom - y, left - x : right - x]
    target = frame[top:bottom, left:right]
    shown = cv2.multiply(target, cutout.beneath[part], scale=1 / 255)
    cv2.add(shown, cutout.image[part], dst=target)


def visible_faces(scenery: Sequence[Placed], size: tuple[int, int]) -> list[tuple[MarkedFace, float]]:
    """Tell which faces are in a frame, and how much of each can be seen.

    Parameters
    ----------
    scenery
        What lies on the frame, from the back to the front.
    size
        The frame's width and height.

    Returns
    -------
    list of (face, share)
        Every face at least partly in the frame, its box clipped to the frame; `share` in 0..1 counts what the frame's
        edge and those in front leave of it.
    """
    width, height = size
    found: list[tuple[MarkedFace, float]] = []
    for depth, (cutout, x, y) in enumerate(scenery):
        for label, (x1, y1, x2, y2) in cutout.faces:
            left, right = max(0.0, x + x1), min(float(width), x + x2)
            top, bottom = max(0.0, y + y1), min(float(height), y + y2)
            if left >= right or top >= bottom:
                continue
            within = (right - left) * (bottom - top) / ((x2 - x1) * (y2 - y1))
            columns = np.linspace(left, right, _PROBES + 2)[1:-1].astype(np.intp)
            rows = np.linspace(top, bottom, _PROBES + 2)[1:-1].astype(np.intp)
            seen = _uncovered(columns, rows, scenery[depth + 1 :])
            # Plain numbers: positions may come from numpy, and what is known of a frame is written as JSON.
            box = (float(left / width), float(top / height), float(right / width), float(bottom / height))
            found.append((MarkedFace(label, box), within * seen))
    return found


def _uncovered(columns: NDArray[np.intp], rows: NDArray[np.intp], nearer: Sequence[Placed]) -> float:
    """Return which share of a grid of points no nearer cut-out hides."""
    free = np.ones((len(rows), len(columns)), np.bool_)
    for cutout, x, y in nearer:
        if x > columns[-1] or x + cutout.width <= columns[0] or y > rows[-1] or y + cutout.height <= rows[0]:
            continue
        own_columns, own_rows = columns - x, rows - y
        inside_columns = (own_columns >= 0) & (own_columns < cutout.width)
        inside_rows = (own_rows >= 0) & (own_rows < cutout.height)
        probes = np.ix_(own_rows[inside_rows], own_columns[inside_columns])
        free[np.ix_(inside_rows, inside_columns)] &= cutout.beneath[..., 0][probes] > 127  # noqa: PLR2004  # half
    return float(free.mean())
