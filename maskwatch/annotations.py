"""Annotated photographs on the disk, as Pascal VOC lays them out: ``images/`` beside ``annotations/``, one XML each.

A picture and its annotation share their stem; the ``<filename>`` inside is not looked at, because that of the public
face-mask set names files that no longer exist. Boxes are in the annotation's own pixels, which need not be the
picture's: photographs may have been scaled after they were annotated.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from maskwatch.errors import AnnotationError
from maskwatch.messages import MarkedFace

PARTS = ("images", "annotations")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_SIDES = ("xmin", "ymin", "xmax", "ymax")


class MarkedObject(NamedTuple):
    """Something that was marked on a picture."""

    name: str
    """As it was written: not necessarily one of our classes."""
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in the annotation's pixels, not clipped; NaN where a side is missing."""


class Annotation(NamedTuple):
    """What one XML says."""

    width: float
    """Of the picture that was annotated, in pixels; 0 where it is not told."""
    height: float
    objects: tuple[MarkedObject, ...]


def missing_part(folder: Path) -> str:
    """Return which of the two folders a Pascal VOC folder lacks; empty if it has both."""
    return next((part for part in PARTS if not (folder / part).is_dir()), "")


def pictures_by_stem(folder: Path) -> dict[str, Path]:
    """Return the pictures of a Pascal VOC folder by stem, in order."""
    files = sorted((folder / "images").iterdir())
    return {path.stem: path for path in files if path.suffix.lower() in PICTURE_SUFFIXES}


def annotations(folder: Path) -> list[Path]:
    """Return the annotations of a Pascal VOC folder, in order."""
    return sorted((folder / "annotations").glob("*.xml"))


def read_annotation(path: Path) -> Annotation:
    """Read one annotation.

    Raises
    ------
    AnnotationError
        If it is not the XML of an annotation, or a size or box is not made of numbers. The caller names the file.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314  # expat bounds what entities may grow to
    except (ET.ParseError, ValueError, LookupError) as error:  # the last two: an encoding that is not known
        raise AnnotationError(f"it is not XML: {error}") from error
    except OSError as error:
        raise AnnotationError(f"it cannot be read: {error.strerror}") from error
    if root.tag != "annotation":
        raise AnnotationError(f"it is XML of another kind: <{root.tag}>")
    try:
        return Annotation(
            float(root.findtext("size/width", "0")),
            float(root.findtext("size/height", "0")),
            tuple(_read_object(item) for item in root.iter("object")),
        )
    except ValueError as error:
        raise AnnotationError(f"a size or box is not made of numbers: {error}") from error


def _read_object(item: ET.Element) -> MarkedObject:
    x1, y1, x2, y2 = (float(item.findtext(f"bndbox/{side}", "nan")) for side in _SIDES)
    return MarkedObject(item.findtext("name", "").strip(), (x1, y1, x2, y2))


def write_annotation(name: str, size: tuple[int, int], faces: Sequence[MarkedFace]) -> bytes:
    """Write the annotation of a picture.

    Parameters
    ----------
    name
        The picture's file name.
    size
        Its width and height in pixels.
    faces
        What is marked on it.

    Returns
    -------
    bytes
        XML.
    """
    root = ET.Element("annotation")
    _leaf(root, "folder", "images")
    _leaf(root, "filename", name)
    sizes = ET.SubElement(root, "size")
    for key, value in zip(("width", "height", "depth"), (*size, 3), strict=True):
        _leaf(sizes, key, str(value))
    for face in faces:
        item = ET.SubElement(root, "object")
        _leaf(item, "name", face.label)
        box = ET.SubElement(item, "bndbox")
        for key, place, side in zip(_SIDES, face.box, (*size, *size), strict=True):
            _leaf(box, key, f"{place * side:.1f}")
    ET.indent(root)
    return ET.tostring(root)


def _leaf(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text
