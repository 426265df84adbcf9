"""Read folders of annotated photographs into one catalogue.

A catalogue is a list of :class:`Picture`: where the picture lies, what it measures and which faces people marked
on it. Pascal VOC folders are read (:mod:`maskwatch.annotations`).
"""

from pathlib import Path

import cv2
import msgspec

from maskwatch.annotations import annotations, missing_part, pictures_by_stem, read_annotation
from maskwatch.errors import AnnotationError
from maskwatch.messages import CLASSES, MarkedFace
from training.errors import CatalogueError
from training.twins import FILE, read_twins

SMALLEST_SIDE = 2.0
"""Boxes with a side under this many pixels after clipping are refused: no detector can learn from them."""


class Picture(msgspec.Struct, frozen=True):
    """One photograph, its size in pixels and the faces marked on it."""

    path: Path
    source: str
    width: int
    """As the picture is shown: turned as its EXIF orientation says."""
    height: int
    faces: tuple[MarkedFace, ...]
    """Boxes are in 0..1 of the picture as it is shown."""
    twin: str = ""
    """Stem of another file of the same photograph, in any source: both stay on one side of a split."""
    burst: str = ""
    """Names the stretch of one camera that it is from: a burst stays on one side of a split."""
    orientation: int = 1
    """EXIF's: 1 if the picture is stored as it is shown. A decoder that ignores it must turn the picture."""
    annotation: str = ""
    """The file that the faces were read from, relative to the source's folder."""


class Refusal(msgspec.Struct, frozen=True):
    """A picture or box that was left out, and why."""

    path: Path
    reason: str


def _faces(path: Path, width: int, height: int, refused: list[Refusal]) -> tuple[MarkedFace, ...]:
    try:
        annotation = read_annotation(path)
    except AnnotationError as error:
        raise CatalogueError(f"{path}: {error}") from error
    scale_width, scale_height = annotation.width or width, annotation.height or height
    faces: list[MarkedFace] = []
    for name, (x1, y1, x2, y2) in annotation.objects:
        if name not in CLASSES:
            refused.append(Refusal(path, f"unknown class {name!r}; known are {', '.join(CLASSES)}"))
            continue
        left, right = max(0.0, x1), min(float(scale_width), x2)
        top, bottom = max(0.0, y1), min(float(scale_height), y2)
        if not (right - left >= SMALLEST_SIDE and bottom - top >= SMALLEST_SIDE):
            refused.append(
                Refusal(path, f"box {left:g},{top:g},{right:g},{bottom:g} is empty once clipped to the picture")
            )
            continue
        box = (left / scale_width, top / scale_height, right / scale_width, bottom / scale_height)
        faces.append(MarkedFace(CLASSES[CLASSES.index(name)], box))
    return tuple(faces)


def read_voc(folder: Path) -> tuple[list[Picture], list[Refusal]]:
    """Read a Pascal VOC folder.

    Parameters
    ----------
    folder
        Holds ``images/`` and ``annotations/``; a picture and its XML share their stem.

    Returns
    -------
    pictures, refused
        The pictures ordered by stem, and everything that was left out with its reason. Pictures without a face
        are kept: they teach what is no face.

    Raises
    ------
    CatalogueError
        If the folder lacks either part, or an annotation cannot be parsed.
    """
    if part := missing_part(folder):
        raise CatalogueError(f"{folder} is not a Pascal VOC folder: {part}/ is missing")
    by_stem = pictures_by_stem(folder)
    pictures: list[Picture] = []
    twins, strangers = read_twins(folder, by_stem)
    refused = [Refusal(folder / FILE, f"{row}: no such picture") for row in strangers]
    for annotation in annotations(folder):
        path = by_stem.pop(annotation.stem, None)
        if path is None:
            refused.append(Refusal(annotation, "no picture has this stem"))
            continue
        image = cv2.imread(str(path))
        if image is None:
            refused.append(Refusal(path, "cannot be decoded"))
            continue
        height, width = image.shape[:2]
        faces = _faces(annotation, width, height, refused)
        pictures.append(Picture(path, folder.name, width, height, faces, twins.get(path.stem, "")))
    refused.extend(Refusal(path, "no annotation has this stem") for path in by_stem.values())
    return pictures, refused
