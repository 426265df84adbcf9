"""Pascal VOC: one XML a picture, boxes as corners in pixels (:mod:`maskwatch.annotations`).

Read from ``images/`` beside ``annotations/``, from ``JPEGImages/`` beside ``Annotations/``, or with both in one folder.
"""

from collections.abc import Sequence
from pathlib import Path, PurePath

from maskwatch.annotations import read_annotation, write_annotation
from maskwatch.errors import AnnotationError
from training.datasets.catalogue import Refusal
from training.datasets.contents import Contents, Files, PicturesByStem, Told
from training.datasets.item import Item, by_part


def recognise(_folder: Path, files: Files) -> bool:
    """Say whether this may be such a folder."""
    return bool(files.ending_in(".xml"))


def read(folder: Path, files: Files) -> Contents:
    """Read what a folder says about its pictures."""
    pictures = PicturesByStem(folder, files)
    told: list[Told] = []
    refused: list[Refusal] = []
    for file in files.ending_in(".xml"):
        path = pictures.find_for(file, refused)
        if path is None:
            continue
        try:
            annotation = read_annotation(file)
        except AnnotationError as error:
            refused.append(Refusal(file, str(error), "the annotation cannot be read"))
            continue
        told.append(Told(path, file, (annotation.width, annotation.height), annotation.objects))
    return Contents(told, refused + pictures.left_over(), [])


def place(item: Item) -> PurePath:
    """Say where a picture goes, relative to the folder."""
    return PurePath("images", item.name)


def write(items: Sequence[Item], folder: Path) -> None:
    """Write the annotations of pictures, and ``ImageSets/Main/train.txt`` and so on where there are parts."""
    (folder / "annotations").mkdir(parents=True)
    for item in items:
        xml = write_annotation(item.name, (item.width, item.height), item.faces)
        (folder / "annotations" / f"{item.stem}.xml").write_bytes(xml)
    for part, members in by_part(items).items():
        if part:
            sets = folder / "ImageSets" / "Main"
            sets.mkdir(parents=True, exist_ok=True)
            (sets / f"{part}.txt").write_text("".join(f"{item.stem}\n" for item in members))
