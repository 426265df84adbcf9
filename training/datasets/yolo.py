"""YOLO: one text file a picture, a line a box: class number, centre and size in 0..1 of the picture.

The names of the classes stand in ``data.yaml`` (any YAML file with ``names``) or ``classes.txt``; without either, a
class is called by its number. Pictures of all parts are read, wherever they lie under the folder: ``images/train``
beside ``labels/train``, ``train/images`` beside ``train/labels``, or with the text files in one folder.
"""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import msgspec

from maskwatch.annotations import MarkedObject
from maskwatch.errors import AnnotationError
from maskwatch.messages import CLASSES, MarkedFace
from training.datasets.catalogue import Refusal, Repair
from training.datasets.contents import SHARES, Contents, Files, PicturesByStem, Told
from training.datasets.item import Item, by_part
from training.errors import CatalogueError

CLASS_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
_NO_LABELS = ("classes", "train", "val", "valid", "test", "predefined_classes", "readme", "license", "requirements")
"""Stems of text files that lie in such folders and are no labels."""
_BOX_COLUMNS = 5
_LEAST_OUTLINE = 7
"""A class and three corners."""
_FAR_OUT = 2.0
"""Shares beyond this are no slip of the hand, but pixels."""


def recognise(folder: Path, files: Files) -> bool:
    """Say whether this may be such a folder."""
    labels = [file for file in files.ending_in(".txt") if _may_be_labels(file)]
    named = any(path.name in CLASS_LISTS for path in files.others)
    placed = any("labels" in file.relative_to(folder).parts for file in labels)
    return _is_described(files) or (bool(labels) and (named or placed))


def read(folder: Path, files: Files) -> Contents:
    """Read what a folder says about its pictures.

    Raises
    ------
    CatalogueError
        If the names of the classes cannot be read.
    """
    names, refused = _names(folder, files)
    pictures = PicturesByStem(folder, files)
    told: list[Told] = []
    repaired: list[Repair] = []
    for file in files.ending_in(".txt"):
        if not _may_be_labels(file) and not pictures.find(file):
            continue
        path = pictures.find_for(file, refused)
        if path is None:
            continue
        try:
            objects, outlines = read_labels(file.read_bytes(), names)
        except (AnnotationError, OSError) as error:
            refused.append(Refusal(file, str(error), "the annotation cannot be read"))
            continue
        if outlines:
            repaired.append(Repair(file, f"{outlines} outlines", "an outline became a box"))
        told.append(Told(path, file, SHARES, objects))
    hint = "no text file has this stem; an empty one says that no face is on it"
    return Contents(told, refused + pictures.left_over(hint), repaired)


def read_labels(text: bytes, names: dict[int, str]) -> tuple[tuple[MarkedObject, ...], int]:
    """Read the lines of one text file.

    Parameters
    ----------
    text
        What is in it.
    names
        Of the classes, by their numbers; what has no name is called by its number.

    Returns
    -------
    objects, outlines
        Boxes in 0..1, as corners; and how many of them were made from an outline.

    Raises
    ------
    AnnotationError
        If a line is not one of a class and a box, or of a class and an outline. The caller names the file.

    Examples
    --------
    >>> read_labels(b"1 0.5 0.5 0.2 0.4", {1: "mask"})
    ((MarkedObject(name='mask', box=(0.4, 0.3, 0.6, 0.7)),), 0)
    """
    try:
        lines = [line.split() for line in text.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise AnnotationError("it is not text") from error
    objects: list[MarkedObject] = []
    outlines = 0
    for number, words in enumerate(lines, 1):
        if not words:
            continue
        try:
            kind, *places = (float(word) for word in words)
        except ValueError as error:
            raise AnnotationError(f"line {number} is not made of numbers: {error}") from error
        if not (kind >= 0 and kind.is_integer()):
            raise AnnotationError(f"line {number} begins with {words[0]}, which is no class number")
        if any(abs(place) > _FAR_OUT for place in places):
            raise AnnotationError(f"line {number} is not in 0..1 of the picture: are these pixels?")
        if len(words) == _BOX_COLUMNS:
            x, y, width, height = places
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        elif len(words) >= _LEAST_OUTLINE and len(words) % 2:
            box = (min(places[::2]), min(places[1::2]), max(places[::2]), max(places[1::2]))
            outlines += 1
        else:
            raise AnnotationError(
                f"line {number} has {len(words)} columns; a class and a box are 5, and what a model said, with its "
                "score, is no truth"
            )
        objects.append(MarkedObject(names.get(int(kind), str(int(kind))), box))
    return tuple(objects), outlines


def place(item: Item) -> PurePath:
    """Say where a picture goes, relative to the folder."""
    return PurePath("images", item.part, item.name)


def write(items: Sequence[Item], folder: Path) -> None:
    """Write the labels of pictures, and a ``data.yaml`` that Ultralytics can train on."""
    parts = by_part(items)
    for part, members in parts.items():
        labels = folder / "labels" / part
        labels.mkdir(parents=True, exist_ok=True)
        for item in members:
            (labels / f"{item.stem}.txt").write_text(lines_of(item.faces))
    # It needs both; what was not split is trained on and looked at.
    places = {"train": "images", "val": "images"} if "" in parts else {part: f"images/{part}" for part in parts}
    names = dict(enumerate(CLASSES))
    (folder / "data.yaml").write_bytes(msgspec.yaml.encode({**places, "nc": len(CLASSES), "names": names}))


def lines_of(faces: Sequence[MarkedFace]) -> str:
    """Write the boxes of a picture: class, centre and size in 0..1, one line a face."""
    lines = []
    for face in faces:
        x1, y1, x2, y2 = face.box
        lines.append(
            f"{CLASSES.index(face.label)} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n"
        )
    return "".join(lines)


def _may_be_labels(file: Path) -> bool:
    return file.name.split(".")[0].lower() not in _NO_LABELS


def _descriptions(files: Files) -> list[tuple[Path, dict[str, Any]]]:
    """Return the YAML files that name classes."""
    found = []
    for file in files.ending_in(".yaml", ".yml"):
        try:
            tree = msgspec.yaml.decode(file.read_bytes())
        except (msgspec.MsgspecError, ValueError) as error:  # the latter of an impossible date
            raise CatalogueError(f"{file} is not YAML: {error}") from error
        if isinstance(tree, dict) and "names" in tree:
            found.append((file, tree))
    return found


def _is_described(files: Files) -> bool:
    try:
        return bool(_descriptions(files))
    except CatalogueError:  # Whose file it is will be told when the folder is read as YOLO.
        return False


def _names(folder: Path, files: Files) -> tuple[dict[int, str], list[Refusal]]:
    """Return the names of the classes by number, and what lies elsewhere."""
    lists = [file for file in files.others if file.name in CLASS_LISTS]
    descriptions = _descriptions(files)
    refused: list[Refusal] = []
    told = {file: _listed(file) for file in lists}
    for file, tree in descriptions:
        try:
            told[file] = _described(tree["names"])
        except msgspec.ValidationError as error:
            raise CatalogueError(f"{file}: names must be a list, or a table by number: {error}") from error
        refused.extend(_elsewhere(folder, file, tree))
    if len({tuple(sorted(names.items())) for names in told.values()}) > 1:
        raise CatalogueError(
            f"{folder}: {' and '.join(str(file.relative_to(folder)) for file in told)} name other classes: keep one"
        )
    return next(iter(told.values()), {}), refused


def _described(names: object) -> dict[int, str]:
    """Return the names of classes that a description lists, or has in a table by number."""
    listed = dict(enumerate(names)) if isinstance(names, list) else names
    told = msgspec.convert(listed, dict[int, str | int | float | bool], strict=False)
    return {number: str(name) for number, name in told.items()}


def _listed(file: Path) -> dict[int, str]:
    """Return the names of a list of classes, one a line."""
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return {number: line.strip() for number, line in enumerate(lines) if line.strip()}


def _elsewhere(folder: Path, file: Path, tree: dict[str, Any]) -> list[Refusal]:
    """Say which pictures the description names that are not under the folder."""
    base = file.parent / str(tree.get("path") or "")
    refused = []
    for part in ("train", "val", "test"):
        named = tree.get(part)
        for entry in named if isinstance(named, list) else [named]:
            if isinstance(entry, str) and (base / entry).exists():
                where = (base / entry).resolve()
                if not where.is_relative_to(folder.resolve()):
                    reason = f"{part} names {where}, which is not under the folder: import it too"
                    refused.append(Refusal(file, reason, "the pictures lie elsewhere"))
    return refused
