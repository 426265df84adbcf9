"""What a label must be before it counts. Pure, apart from reading the manifest once.

A box lies in the picture and has a size that a detector can learn; no face is marked twice; and the picture looks like
none of the test part of the manifest that is frozen, for whatever is judged there must never be trained on.
"""

from collections.abc import Sequence
from itertools import combinations
from math import isfinite
from pathlib import Path

import msgspec

from maskwatch.boxes import iou
from maskwatch.errors import SettingsError
from maskwatch.fingerprint import LookAlikes
from maskwatch.messages import Box, MarkedFace

MOST_FACES = 300
SAME_FACE = 0.85
"""Two boxes that overlap so much (IoU) are of one face."""

SLIP = 1e-6
"""What rounding may push a box out of 0..1."""


def complaint(faces: Sequence[MarkedFace], size: tuple[int, int], least_side: float) -> str:
    """Say what is wrong with the faces of a label.

    Parameters
    ----------
    faces
        Boxes in 0..1 of the picture.
    size
        Width and height of the picture in pixels.
    least_side
        Pixels that a side of a box has at least.

    Returns
    -------
    str
        For people; empty if nothing is wrong.

    Examples
    --------
    >>> complaint([MarkedFace("with_mask", (0.5, 0.2, 0.4, 0.6))], (100, 100), 3)
    'face 1: its right or lower side lies before its left or upper one'
    >>> complaint([MarkedFace("with_mask", (0.1, 0.1, 0.12, 0.4))], (100, 100), 3)
    'face 1: 2.0x30.0 pixels, where a side has 3 at least'
    """
    if len(faces) > MOST_FACES:
        return f"{len(faces)} faces, where a picture has {MOST_FACES} at most"
    for number, face in enumerate(faces, 1):
        if wrong := _complaint(face.box, size, least_side):
            return f"face {number}: {wrong}"
    for (first, one), (second, other) in combinations(enumerate(faces, 1), 2):
        if iou(one.box, other.box) >= SAME_FACE:
            return f"faces {first} and {second} are one face, marked twice"
    return ""


def _complaint(box: Box, size: tuple[int, int], least_side: float) -> str:
    if not all(map(isfinite, box)):
        return "a side is no number"
    if min(box) < -SLIP or max(box) > 1 + SLIP:
        return "it lies outside of the picture"
    width, height = (box[2] - box[0]) * size[0], (box[3] - box[1]) * size[1]
    if width <= 0 or height <= 0:
        return "its right or lower side lies before its left or upper one"
    if min(width, height) < least_side:
        return f"{width:.1f}x{height:.1f} pixels, where a side has {least_side:g} at least"
    return ""


class _Entry(msgspec.Struct):
    part: str
    fingerprint: str = ""


class _Manifest(msgspec.Struct):
    entries: list[_Entry]


def frozen_test(manifest: Path | None) -> LookAlikes:
    """Read what the pictures of a manifest's test part look like; without a manifest nothing is frozen.

    Raises
    ------
    SettingsError
        If it is no manifest.
    """
    if manifest is None:
        return LookAlikes([])
    try:
        entries = msgspec.json.decode(manifest.read_bytes(), type=_Manifest).entries
        return LookAlikes(entry.fingerprint for entry in entries if entry.part == "test" and entry.fingerprint)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise SettingsError(f"labels.frozen: {manifest} is no manifest: {error}") from error
