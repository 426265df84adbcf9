"""Read folders of annotated photographs into one catalogue.

A catalogue is a list of :class:`Picture`: where the picture lies, what it measures and which faces people marked
on it. Pascal VOC folders (``annotations/*.xml`` beside ``images/*``) are read; a picture is matched to its
annotation by stem, because the ``<filename>`` of the public face-mask set names files that no longer exist.
"""

from pathlib import Path
from typing import cast
from xml.etree import ElementTree as ET

import cv2
import msgspec

from maskwatch.messages import CLASSES, Label, MarkedFace
from training.errors import CatalogueError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
SMALLEST_SIDE = 2.0
"""Boxes with a side under this many pixels after clipping are refused: no detector can learn from them."""


class Picture(msgspec.Struct, frozen=True):
    """One photograph, its size in pixels and the faces marked on it."""

    path: Path
    source: str
    width: int
    height: int
    faces: tuple[MarkedFace, ...]


class Refusal(msgspec.Struct, frozen=True):
    """A picture or box that was left out, and why."""

    path: Path
    reason: str


def _faces(annotation: Path, width: int, height: int, refused: list[Refusal]) -> tuple[MarkedFace, ...]:
    try:
        root = ET.parse(annotation).getroot()  # noqa: S314  # local training data named by the operator
    except ET.ParseError as error:
        message = f"{annotation} is not XML: {error}"
        raise CatalogueError(message) from error
    declared = (int(root.findtext("size/width", "0")), int(root.findtext("size/height", "0")))
    # Photographs may have been scaled after they were annotated: boxes are in the annotation's own pixels.
    scale_width, scale_height = (declared[0] or width, declared[1] or height)
    faces: list[MarkedFace] = []
    for item in root.iter("object"):
        label = item.findtext("name", "")
        if label not in CLASSES:
            refused.append(Refusal(annotation, f"unknown class {label!r}; known are {', '.join(CLASSES)}"))
            continue
        try:
            x1, y1, x2, y2 = (
                float(item.findtext(f"bndbox/{side}", "nan")) for side in ("xmin", "ymin", "xmax", "ymax")
            )
        except ValueError as error:
            message = f"{annotation}: a box is not made of numbers: {error}"
            raise CatalogueError(message) from error
        x1, x2 = max(0.0, x1), min(float(scale_width), x2)
        y1, y2 = max(0.0, y1), min(float(scale_height), y2)
        if not (x2 - x1 >= SMALLEST_SIDE and y2 - y1 >= SMALLEST_SIDE):
            refused.append(Refusal(annotation, f"box {x1:g},{y1:g},{x2:g},{y2:g} is empty once clipped to the picture"))
            continue
        faces.append(
            MarkedFace(cast("Label", label), (x1 / scale_width, y1 / scale_height, x2 / scale_width, y2 / scale_height))
        )
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
    images, annotations = folder / "images", folder / "annotations"
    for part in (images, annotations):
        if not part.is_dir():
            message = f"{folder} is not a Pascal VOC folder: {part.name}/ is missing"
            raise CatalogueError(message)
    by_stem = {path.stem: path for path in sorted(images.iterdir()) if path.suffix.lower() in PICTURE_SUFFIXES}
    pictures: list[Picture] = []
    refused: list[Refusal] = []
    for annotation in sorted(annotations.glob("*.xml")):
        path = by_stem.pop(annotation.stem, None)
        if path is None:
            refused.append(Refusal(annotation, "no picture has this stem"))
            continue
        image = cv2.imread(str(path))
        if image is None:
            refused.append(Refusal(path, "cannot be decoded"))
            continue
        height, width = image.shape[:2]
        pictures.append(Picture(path, folder.name, width, height, _faces(annotation, width, height, refused)))
    refused.extend(Refusal(path, "no annotation has this stem") for path in by_stem.values())
    return pictures, refused
