"""How pictures are shown to a model that is judged: as they are, as bad cameras send them, scaled, or turned.

A view says where the faces of a picture lie once it is shown that way, and makes the JPEG. The first needs no pixels,
so that answers that were kept can be scored again without a picture being decoded.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from maskwatch.degradation import Change, Strength, degrade, moved
from maskwatch.messages import Box, MarkedFace
from maskwatch.pictures import PADDING, Pixels
from training.datasets.manifest import Entry, spread
from training.errors import EvaluationError
from training.turning import map_faces

CANVAS = (1280, 720)
"""Width and height of what a camera usually sends."""
SIDES = (12, 24, 48, 96, 192, 384, 690)
"""Longest side of the largest face on the canvas, in pixels; the last fills the frame."""
ANGLES = (10, 20, 30)
"""Degrees by which pictures are turned: heads are not always upright, nor cameras."""
MOST_ENLARGED = 4.0
"""Pictures that would have to be enlarged more are left out: there would be nothing left to see but blur."""
LEAST_VISIBLE = 0.6
"""Faces of which the canvas shows less are painted over, so that no figure depends on whether they are found."""
QUALITY = 95
ORIENTATION = 0x0112
"""EXIF's tag."""


class View(NamedTuple):
    """One way to show pictures."""

    name: str
    """Answers are kept under it, so it says everything but the picture that changes them."""
    place: Callable[[Entry], Entry | None]
    """Give the entry the size and the faces that are shown; None where the picture cannot be shown this way."""
    render: Callable[[Entry], bytes]
    """Make the JPEG, of an entry that can be placed."""
    by_faces: bool = False
    """Whether the true faces decide what is shown: once they are corrected, it is another picture."""


@contextmanager
def rendered(entries: Sequence[Entry], most: int) -> Iterator[tuple[str, ...]]:
    """Give the paths of some pictures as JPEGs, evenly chosen."""
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for number, entry in enumerate(spread(entries, most)):
            files.append(Path(scratch) / f"{number}.jpg")
            files[-1].write_bytes(plain().render(entry))
        yield tuple(map(str, files))


def as_jpeg(path: Path) -> bytes:
    """Return a picture's bytes as a worker would get them.

    A JPEG stays as it is if it is stored as it is shown; one that EXIF would turn is turned, and everything else is
    encoded, at quality 95.

    Raises
    ------
    EvaluationError
        If it is missing or cannot be decoded.
    """
    try:
        with Image.open(path) as header:
            if header.format == "JPEG" and header.getexif().get(ORIENTATION, 1) == 1:
                return path.read_bytes()
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error}; is the manifest from another machine?") from error
    image = cv2.imread(str(path))  # turns it
    if image is None:
        raise EvaluationError(f"{path} cannot be decoded")
    return _encode(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))


def plain() -> View:
    """Show pictures as they are."""
    return View("plain", lambda entry: entry, lambda entry: as_jpeg(Path(entry.path)))


def changed(change: Change, strength: Strength) -> View:
    """Show pictures changed by :func:`maskwatch.degradation.degrade`, each with a seed of its own."""

    def place(entry: Entry) -> Entry:
        faces = tuple(MarkedFace(face.label, _box(*moved(face.box, change, strength))) for face in entry.faces)
        return msgspec.structs.replace(entry, faces=faces)

    def render(entry: Entry) -> bytes:
        return _encode(degrade(_pixels(entry), change, strength, seed=_seed(entry)))

    return View(f"{change} {strength}", place, render)


def pasted(side: int) -> View:
    """Show pictures on a canvas of 1280x720, scaled so that their largest face has a given longest side in pixels.

    What does not fit is cut off around that face. Pictures without a face, and those that would have to be enlarged
    more than four times, cannot be shown this way.
    """

    def place(entry: Entry) -> Entry | None:
        placed = _placement(entry, side)
        if placed is None:
            return None
        kept = tuple(
            MarkedFace(face.label, _unit(clipped))
            for face in entry.faces
            if _visible(clipped := _clipped(placed, face.box), placed, face.box) >= LEAST_VISIBLE
        )
        return msgspec.structs.replace(entry, width=CANVAS[0], height=CANVAS[1], faces=kept)

    def render(entry: Entry) -> bytes:
        placed = _placement(entry, side)
        if placed is None:
            raise ValueError(f"{entry.path} cannot be shown {view.name}")
        shrinks = placed.width < entry.width
        picture = cv2.resize(
            _pixels(entry),
            (placed.width, placed.height),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        canvas = np.full((CANVAS[1], CANVAS[0], 3), PADDING, np.uint8)
        left, top = max(0, placed.left), max(0, placed.top)
        shown = picture[top - placed.top :, left - placed.left :][: CANVAS[1] - top, : CANVAS[0] - left]
        canvas[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
        for face in entry.faces:
            clipped = _clipped(placed, face.box)
            if _visible(clipped, placed, face.box) < LEAST_VISIBLE:
                x1, y1, x2, y2 = (round(edge) for edge in clipped)
                canvas[y1:y2, x1:x2] = PADDING
        return _encode(canvas)

    view = View(f"face {side} px", place, render, by_faces=True)
    return view


def turned(angle: int) -> View:
    """Show pictures turned by so many degrees, one way or the other, on a canvas that grows with them."""

    def place(entry: Entry) -> Entry:
        matrix, (width, height) = _turn(entry, angle)
        sides = np.array([entry.width, entry.height, entry.width, entry.height])
        boxes = map_faces(np.array([face.box for face in entry.faces]).reshape(-1, 4) * sides, matrix)
        units = np.clip(boxes / (width, height, width, height), 0, 1).tolist()
        faces = tuple(MarkedFace(face.label, _box(*box)) for face, box in zip(entry.faces, units, strict=True))
        return msgspec.structs.replace(entry, width=width, height=height, faces=faces)

    def render(entry: Entry) -> bytes:
        matrix, size = _turn(entry, angle)
        picture = cv2.warpAffine(_pixels(entry), matrix, size, flags=cv2.INTER_LINEAR, borderValue=(PADDING,) * 3)
        return _encode(np.asarray(picture, np.uint8))

    return View(f"turned {angle}°", place, render)


def _turn(entry: Entry, angle: int) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Return the map of pixels, shape (2, 3), and the width and height of what it gives."""
    way = 1 if _seed(entry) % 2 else -1
    matrix = np.asarray(cv2.getRotationMatrix2D((entry.width / 2, entry.height / 2), way * angle, 1.0), np.float64)
    width, height = (round(side) for side in np.abs(matrix[:, :2]) @ (entry.width, entry.height))
    matrix[:, 2] += (width - entry.width) / 2, (height - entry.height) / 2
    return matrix, (width, height)


def _seed(entry: Entry) -> int:
    return int(entry.sha256[:8], 16)


class _Placement(NamedTuple):
    """Where a scaled picture lies on the canvas, in pixels; parts of it may lie outside."""

    left: int
    top: int
    width: int
    height: int


def _placement(entry: Entry, side: int) -> _Placement | None:
    largest = max(entry.faces, key=lambda face: _longest(face.box, entry), default=None)
    if largest is None:
        return None
    scale = side / _longest(largest.box, entry)
    if scale > MOST_ENLARGED:
        return None
    width, height = (max(1, round(inner * scale)) for inner in (entry.width, entry.height))
    x1, y1, x2, y2 = largest.box
    return _Placement(
        _offset(width, CANVAS[0], (x1 + x2) / 2), _offset(height, CANVAS[1], (y1 + y2) / 2), width, height
    )


def _offset(inner: int, outer: int, centre: float) -> int:
    if inner <= outer:
        return (outer - inner) // 2
    return round(min(0.0, max(outer - inner, outer / 2 - centre * inner)))


def _clipped(placed: _Placement, box: Box) -> tuple[float, float, float, float]:
    x1, x2 = (min(CANVAS[0], max(0.0, placed.left + side * placed.width)) for side in box[0::2])
    y1, y2 = (min(CANVAS[1], max(0.0, placed.top + side * placed.height)) for side in box[1::2])
    return (x1, y1, x2, y2)


def _visible(clipped: tuple[float, float, float, float], placed: _Placement, box: Box) -> float:
    whole = (box[2] - box[0]) * placed.width * (box[3] - box[1]) * placed.height
    return (clipped[2] - clipped[0]) * (clipped[3] - clipped[1]) / whole


def _unit(box: tuple[float, float, float, float]) -> Box:
    x1, y1, x2, y2 = box
    return (x1 / CANVAS[0], y1 / CANVAS[1], x2 / CANVAS[0], y2 / CANVAS[1])


def _longest(box: Box, entry: Entry) -> float:
    return max((box[2] - box[0]) * entry.width, (box[3] - box[1]) * entry.height)


def _box(*sides: float) -> Box:
    x1, y1, x2, y2 = sides
    return (x1, y1, x2, y2)


def _pixels(entry: Entry) -> Pixels:
    pixels: Pixels = simplejpeg.decode_jpeg(as_jpeg(Path(entry.path)), "RGB")
    return pixels


def _encode(pixels: Pixels) -> bytes:
    jpeg: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), QUALITY, "RGB", "420")
    return jpeg
