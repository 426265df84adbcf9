"""COCO: one JSON for many pictures; boxes as corner, width and height in pixels.

Every JSON under the folder that lists ``images`` and ``annotations`` is read, so that one file a part is as good as one
for all. Pictures are found by the stem of their ``file_name``; the folders in it help where a stem occurs more than
once.
"""

from codecs import BOM_UTF8
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar

import msgspec

from maskwatch.annotations import MarkedObject
from maskwatch.errors import AnnotationError
from maskwatch.messages import CLASSES
from training.datasets.catalogue import Refusal
from training.datasets.contents import Contents, Files, PicturesByStem, Told
from training.datasets.item import Item, by_part
from training.errors import CatalogueError

LARGEST_JSON = 2**30
"""Bytes; it is read as a whole."""

_Record = TypeVar("_Record", bound=msgspec.Struct)


class _Image(msgspec.Struct):
    id: int | str
    file_name: str
    width: float = 0.0
    height: float = 0.0


class _Annotation(msgspec.Struct):
    """Strict about its picture alone: whatever else is wrong is then said of that picture."""

    image_id: int | str
    category_id: Any = None
    bbox: Any = None
    iscrowd: Any = 0


class _Category(msgspec.Struct):
    id: int | str
    name: str


class _File(msgspec.Struct):
    """As lists of anything, so that one bad record does not hide the others."""

    images: list[Any]
    annotations: list[Any]
    categories: list[Any] = []


def recognise(_folder: Path, files: Files) -> bool:
    """Say whether this may be such a folder."""
    return bool(_candidates(files))


def read(folder: Path, files: Files) -> Contents:
    """Read what a folder says about its pictures."""
    pictures = PicturesByStem(folder, files)
    contents = Contents([], [], [])
    for file in _candidates(files):
        try:
            tree = msgspec.json.decode(file.read_bytes().removeprefix(BOM_UTF8), type=_File)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            contents.refused.append(Refusal(file, str(error), "the annotation cannot be read"))
            continue
        _read_file(file, tree, pictures, contents)
    # Another JSON, or another id, may tell of the faces that could be read.
    spoilt = {refusal.path for refusal in contents.refused}
    told = [one for one in contents.told if one.path not in spoilt]
    return Contents(told, contents.refused + pictures.left_over("no JSON names it"), [])


def _candidates(files: Files) -> list[Path]:
    """Return the JSON files that speak of annotations, be they whole or not.

    Raises
    ------
    CatalogueError
        If one is too large to be read.
    """
    found = []
    for file in files.ending_in(".json"):
        if file.stat().st_size > LARGEST_JSON:
            raise CatalogueError(f"{file} is larger than {LARGEST_JSON} bytes: split it into a file a part")
        if b'"annotations"' in file.read_bytes():
            found.append(file)
    return found


def _read_file(file: Path, tree: _File, pictures: PicturesByStem, contents: Contents) -> None:
    """Add what one JSON says."""
    refused = contents.refused
    names = {category.id: category.name for category in _records(file, tree.categories, _Category, refused)}
    images = list(_records(file, tree.images, _Image, refused))
    marked: dict[int | str, list[_Annotation]] = defaultdict(list)
    for annotation in _records(file, tree.annotations, _Annotation, refused):
        marked[annotation.image_id].append(annotation)
    for stranger in marked.keys() - {image.id for image in images}:
        reason = f"{len(marked[stranger])} boxes are of image {stranger}, which is not listed"
        refused.append(Refusal(file, reason, "the annotation has no picture"))
    ids: set[int | str] = set()
    for image in images:
        if image.id in ids:
            refused.append(Refusal(file, f"image {image.id} is listed twice", "the picture is told of twice"))
            continue
        ids.add(image.id)
        path = _find(file, image, pictures, refused)
        if path is None:
            continue
        if any(annotation.iscrowd for annotation in marked[image.id]):
            refused.append(Refusal(path, f"{file.name}: iscrowd", "a crowd is marked as one"))
            continue
        try:
            objects = tuple(_read_object(annotation, names) for annotation in marked[image.id])
        except AnnotationError as error:
            refused.append(Refusal(path, f"{file.name}: {error}", "a box cannot be read"))
            continue
        contents.told.append(Told(path, file, (image.width, image.height), objects))


def _find(file: Path, image: _Image, pictures: PicturesByStem, refused: list[Refusal]) -> Path | None:
    # Windows' separators occur. The part may stand in the JSON's own name, or in that of its folder.
    name = PurePath(image.file_name.replace("\\", "/"))
    found = pictures.find(file.parent / file.stem.rpartition("_")[2] / name)
    if len(found) == 1:
        return found[0]
    reason = f"several pictures may be {name}" if found else f"no picture has the stem of {name}"
    refused.append(Refusal(file, reason, "the annotation has no picture"))
    return None


def _read_object(annotation: _Annotation, names: dict[int | str, str]) -> MarkedObject:
    """Return what is marked.

    Raises
    ------
    AnnotationError
        If it is not in a box of four numbers.
    """
    try:
        x, y, width, height = msgspec.convert(annotation.bbox, tuple[float, float, float, float])
    except msgspec.ValidationError as error:
        raise AnnotationError(f"bbox {annotation.bbox} is not x, y, width and height") from error
    if width < 0 or height < 0:
        raise AnnotationError(f"bbox {annotation.bbox} has a negative side")
    category = annotation.category_id  # which need not be hashable
    name = next((name for number, name in names.items() if number == category), str(category))
    return MarkedObject(name, (x, y, x + width, y + height))


def _records(file: Path, raw: list[Any], kind: type[_Record], refused: list[Refusal]) -> list[_Record]:
    """Convert the records of a list; those that are malformed are said."""
    records = []
    for number, item in enumerate(raw):
        try:
            records.append(msgspec.convert(item, kind))
        except msgspec.ValidationError as error:
            reason = f"{kind.__name__.strip('_').lower()} {number}: {error}"
            refused.append(Refusal(file, reason, "the annotation cannot be read"))
    return records


def place(item: Item) -> PurePath:
    """Say where a picture goes, relative to the folder."""
    return PurePath("images", item.part, item.name)


def write(items: Sequence[Item], folder: Path) -> None:
    """Write one ``annotations/instances_train.json`` and so on a part, or ``annotations/instances.json``."""
    (folder / "annotations").mkdir(parents=True)
    for part, members in by_part(items).items():
        images = [
            {"id": number, "file_name": item.name, "width": item.width, "height": item.height}
            for number, item in enumerate(members, 1)
        ]
        boxes = [(number, item, face) for number, item in enumerate(members, 1) for face in item.faces]
        annotations = []
        for identity, (number, item, face) in enumerate(boxes, 1):
            left, right = (round(place * item.width, 2) for place in face.box[0::2])
            top, bottom = (round(place * item.height, 2) for place in face.box[1::2])
            wide, tall = round(right - left, 2), round(bottom - top, 2)
            annotations.append({
                "id": identity, "image_id": number, "category_id": CLASSES.index(face.label) + 1,
                "bbox": (left, top, wide, tall), "area": round(wide * tall, 2), "iscrowd": 0,
            })  # fmt: skip
        categories = [{"id": number, "name": label, "supercategory": "face"} for number, label in enumerate(CLASSES, 1)]
        tree = {"images": images, "annotations": annotations, "categories": categories}
        name = f"instances_{part}.json" if part else "instances.json"
        (folder / "annotations" / name).write_bytes(msgspec.json.encode(tree))
