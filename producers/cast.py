"""Photographs as the cast of the demo scene: any Pascal VOC folder whose people then move through the picture.

A performer is a card with rounded corners, cut from a photograph around one of its faces; the annotation's faces go
with it.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwatch.annotations import annotations, missing_part, pictures_by_stem, read_annotation
from maskwatch.errors import AnnotationError, SourceError
from maskwatch.messages import CLASSES, Box, Label
from producers.cutout import LEAST_VISIBLE, PixelBox, cut_out
from producers.troupe import Masks, Performer, Role

_LOWEST_FACE = 32.0
"""Pixels; on cards, faces come out at least this high where the photograph allows it."""
_LARGEST_ZOOM = 3.0
_TALLEST, _WIDEST = 0.58, 0.9
"""Of a card, in 0..1 of the frame's height and width."""
_FACES = (0.06, 0.30)
"""Heights that faces are shown at, in 0..1 of the frame's height."""
_PARTS_TRIED = 8
_HARDLY_CUT = 0.95
"""Share of a face's box."""
_CORNER = 0.06
"""Radius of a card's corners, in 0..1 of its shorter side."""
_READABLE = "expected images/ beside annotations/ with one XML for each picture, matched by stem"

_Face = tuple[Label, PixelBox]


class _Part(NamedTuple):
    """A part of a photograph to show."""

    area: tuple[int, int, int, int]
    zoom: float
    faces: tuple[_Face, ...]
    """In pixels of the card."""
    worth: float
    """1 if every face is large enough and none is cut, less otherwise."""


class _Photograph(NamedTuple):
    path: Path
    faces: tuple[tuple[Label, Box], ...]

    @property
    def masked(self) -> bool:
        return any(label != "without_mask" for label, _ in self.faces)


class PhotoTroupe:
    """Cards cut from the photographs of a folder.

    Parameters
    ----------
    folder
        Holds ``images/`` and ``annotations/``.
    size
        The frame's width and height in pixels.

    Raises
    ------
    SourceError
        If it is no Pascal VOC folder, or no face of a known class is marked in it.
    """

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self._photographs = [photo for photo in _read_folder(folder) if photo.faces]
        if not self._photographs:
            raise SourceError(f"cast {folder} has no picture with a marked face ({', '.join(CLASSES)}): {_READABLE}")
        self._bare = [photo for photo in self._photographs if not photo.masked]
        self._folder = folder
        self._size = size

    def enter(
        self,
        rng: np.random.Generator,
        masks: Masks,
        others: list[Performer],  # noqa: ARG002  # photographs come as they are
    ) -> Performer:
        """Cut a card from a photograph; "none" keeps to those without a mask, if there are any."""
        photographs = self._bare if masks == "none" and self._bare else self._photographs
        photograph = photographs[rng.integers(len(photographs))]
        picture = cv2.imread(str(photograph.path))
        if picture is None:
            raise SourceError(f"{photograph.path} of the cast cannot be decoded: take it out of {self._folder}")
        height, width = picture.shape[:2]
        faces: list[_Face] = [
            (label, (x1 * width, y1 * height, x2 * width, y2 * height)) for label, (x1, y1, x2, y2) in photograph.faces
        ]
        part = self._choose_part(rng, faces, (width, height))
        left, top, right, bottom = part.area
        kind = cv2.INTER_AREA if part.zoom < 1 else cv2.INTER_CUBIC
        card = cv2.resize(picture[top:bottom, left:right], None, fx=part.zoom, fy=part.zoom, interpolation=kind)
        tall, wide = card.shape[:2]
        face = max(y2 - y1 for _, (_, y1, _, y2) in part.faces)
        return Performer(
            cutout=cut_out(_rounded(np.asarray(card, np.uint8)), part.faces),
            hides=((0.0, 0.0, float(wide), float(tall)),),
            depth=face,
            behind_cover=False,
            rows=(round(0.02 * self._size[1]), round(0.98 * self._size[1]) - tall),
            seconds=(9.0, 18.0),
            step=0.0,
            masks=masks,
            role=Role("with_mask" if photograph.masked else "without_mask", int(rng.integers(2)), face),
        )

    def dress(self, performer: Performer, masks: Masks) -> Performer | None:
        """Send those with masks away where masks are off; photographs cannot be dressed otherwise."""
        if masks == "none" and self._bare and performer.role.label != "without_mask":
            return None
        return performer._replace(masks=masks)

    def _choose_part(self, rng: np.random.Generator, faces: list[_Face], size: tuple[int, int]) -> _Part:
        """Choose which part of a photograph to show, and how large: faces are to be large enough and uncut."""
        width, height = size
        zoom = min(_TALLEST * self._size[1] / height, _WIDEST * self._size[0] / width, _LARGEST_ZOOM)
        parts = [self._try_part(rng, faces, size) for _ in range(_PARTS_TRIED)]
        return max([*parts, _part(faces, (0, 0, width, height), zoom)], key=lambda part: part.worth)

    def _try_part(self, rng: np.random.Generator, faces: list[_Face], size: tuple[int, int]) -> _Part:
        """Cut around one of the faces, near or far."""
        width, height = size
        low, high = (share * self._size[1] for share in _FACES)
        _, (x1, y1, x2, y2) = faces[rng.integers(len(faces))]
        wanted = max(_LOWEST_FACE * 1.1, low * (high / low) ** rng.random())
        zoom = min(_LARGEST_ZOOM, wanted / (y2 - y1))
        tall = min(height, _TALLEST * self._size[1] / zoom, (y2 - y1) * rng.uniform(2.0, 5.0))
        wide = min(width, tall * rng.uniform(0.8, 1.5))
        left = int(np.clip((x1 + x2) / 2 - wide * rng.uniform(0.35, 0.65), 0, width - wide))
        top = int(np.clip((y1 + y2) / 2 - tall * rng.uniform(0.35, 0.60), 0, height - tall))
        return _part(faces, (left, top, min(width, int(left + wide) + 1), min(height, int(top + tall) + 1)), zoom)


def _part(faces: list[_Face], area: tuple[int, int, int, int], zoom: float) -> _Part:
    """Find the faces in a part of a photograph; those of which most lies outside are left out."""
    left, top, right, bottom = area
    shown: list[_Face] = []
    cut = 0
    for label, (x1, y1, x2, y2) in faces:
        box = (max(x1, left), max(y1, top), min(x2, right), min(y2, bottom))
        if box[0] >= box[2] or box[1] >= box[3]:
            continue
        share = (box[2] - box[0]) * (box[3] - box[1]) / ((x2 - x1) * (y2 - y1))
        cut += share < _HARDLY_CUT
        if share >= LEAST_VISIBLE:
            moved = ((box[0] - left) * zoom, (box[1] - top) * zoom, (box[2] - left) * zoom, (box[3] - top) * zoom)
            shown.append((label, moved))
    if not shown:
        return _Part(area, zoom, (), -1.0)
    smallest = min(box[3] - box[1] for _, box in shown)
    return _Part(area, zoom, tuple(shown), min(smallest / _LOWEST_FACE, 1.0) - 0.3 * cut)


def _rounded(card: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Round and soften a card's corners; the result is premultiplied BGRA."""
    height, width = card.shape[:2]
    radius = max(2, round(_CORNER * min(height, width)))
    mask = np.zeros((height, width), np.uint8)
    inner = (slice(radius, height - radius), slice(radius, width - radius))
    mask[inner] = 255
    mask = np.asarray(
        cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius - 1, 2 * radius - 1))), np.uint8
    )
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.2, borderType=cv2.BORDER_CONSTANT), np.uint8)
    opacity = mask.astype(np.float32)[..., None] / 255
    return np.dstack([np.round(card * opacity), mask]).astype(np.uint8)


def _read_folder(folder: Path) -> list[_Photograph]:
    if part := missing_part(folder):
        raise SourceError(f"cast {folder} is no Pascal VOC folder, {part}/ is missing: {_READABLE}")
    by_stem = pictures_by_stem(folder)
    return [
        _Photograph(by_stem[annotation.stem], _read_faces(annotation))
        for annotation in annotations(folder)
        if annotation.stem in by_stem
    ]


def _read_faces(path: Path) -> tuple[tuple[Label, Box], ...]:
    try:
        width, height, objects = read_annotation(path)
    except AnnotationError as error:
        raise SourceError(f"{path} of the cast cannot be read ({error}): mend it or take it out") from error
    if not (width > 0 and height > 0):
        raise SourceError(f"{path} of the cast does not give its picture's <size>: boxes cannot be placed without")
    faces: list[tuple[Label, Box]] = []
    for name, (x1, y1, x2, y2) in objects:
        box = (max(0.0, x1 / width), max(0.0, y1 / height), min(1.0, x2 / width), min(1.0, y2 / height))
        if name in CLASSES and box[2] - box[0] > 0 and box[3] - box[1] > 0:
            faces.append((CLASSES[CLASSES.index(name)], box))
    return tuple(faces)
