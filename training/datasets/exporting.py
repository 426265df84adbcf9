"""``maskwatch data export``: write a catalogue or a manifest as a folder that other tools read.

Pictures are copied as they are. Those that are stored turned (EXIF) are written upright, because not every reader turns
them: their boxes are right for all, at the price of one more compression.
"""

import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

import click
import msgspec
from PIL import Image

from maskwatch.quantities import say_count
from training.datasets import catalogue, manifest
from training.datasets.catalogue import FormatName
from training.datasets.decoding import orientation_of, upright
from training.datasets.formats import FORMATS
from training.datasets.item import Item
from training.datasets.twins import write_twins
from training.errors import CatalogueError
from training.steps import Step, no_step, shown

LEFT_OUT = "left out"
"""The part of a manifest that is used for nothing, and not exported."""
_QUALITY = 95


def items_of(file: Path, without: frozenset[str] = frozenset()) -> list[Item]:
    """Return what a catalogue or a manifest holds.

    Parameters
    ----------
    file
        The catalogue or the manifest, a JSON file.
    without
        Names of sources that are left out.

    Raises
    ------
    CatalogueError
        If the file is neither, or is missing, or if a catalogue has no such source.
    ManifestError
        If it is a manifest that was altered, or has no such source.
    """
    try:
        # Which of the two it is; each is then read by those whose it is.
        is_manifest = "entries" in msgspec.json.decode(file.read_bytes(), type=dict[str, msgspec.Raw])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        is_manifest = False
    if not is_manifest:
        whole = catalogue.load(file)
        if refusal := catalogue.refusal_of_sources(without, [source.name for source in whole.sources]):
            raise CatalogueError(refusal)
        pictures = [picture for picture in whole.pictures if picture.source not in without]
        return _named([
            (one.source, Item(one.path, "", "", one.width, one.height, one.faces, one.twin)) for one in pictures
        ])  # fmt: skip
    entries = [entry for entry in manifest.load(file).without(without).entries if entry.part != LEFT_OUT]
    return _named([
        (one.source, Item(Path(one.path), "", one.part, one.width, one.height, one.faces, one.twin)) for one in entries
    ])  # fmt: skip


def _named(items: Sequence[tuple[str, Item]]) -> list[Item]:
    """Name pictures, each with its source; twins by their new names."""
    names = _names([(source, item.path) for source, item in items])
    named: dict[str, list[tuple[Item, str]]] = defaultdict(list)
    for (_, item), name in zip(items, names, strict=True):
        named[item.path.stem].append((item, name))
    return [
        msgspec.structs.replace(item, name=name, twin=_renamed_twin(item, named))
        for (_, item), name in zip(items, names, strict=True)
    ]


def _names(pictures: Sequence[tuple[str, Path]]) -> list[str]:
    """Name files so that no two share a stem, on file systems too that take no notice of capitals."""
    stems = Counter(path.stem.lower() for _, path in pictures)
    names: list[str] = []
    taken: set[str] = set()
    for source, path in pictures:
        # «classes.txt» would be a list of classes, not labels.
        plain = stems[path.stem.lower()] == 1 and path.stem.lower() != "classes"
        stem = path.stem if plain else f"{source}-{path.stem}"
        number = 1
        unique = stem
        while unique.lower() in taken:
            number += 1
            unique = f"{stem}-{number}"
        taken.add(unique.lower())
        names.append(f"{unique}{path.suffix.lower()}")
    return names


def _renamed_twin(picture: Item, named: Mapping[str, Sequence[tuple[Item, str]]]) -> str:
    """Return how a picture's twin is called in the export; as it was if it is not in it."""
    others = [name for other, name in named.get(picture.twin, ()) if other is not picture]
    return PurePath(others[0]).stem if others else picture.twin


def write(items: Sequence[Item], form: FormatName, out: Path, step: Step = no_step) -> None:
    """Write pictures and their boxes into a new folder, which is there whole or not at all.

    Raises
    ------
    CatalogueError
        If there is no picture, one is missing or cannot be turned, or the folder is not empty or cannot be written to.
    """
    if not items:
        raise CatalogueError("there is no picture to export")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CatalogueError(f"{out} is not empty: name a new folder")
    module = FORMATS[form]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            folder = Path(scratch) / "export"
            for number, item in enumerate(items, 1):
                step(form, number, len(items))
                place = folder / module.place(item)
                place.parent.mkdir(parents=True, exist_ok=True)
                _copy(item.path, place)
            module.write(items, folder)
            write_twins(folder, {item.name: item.twin for item in items if item.twin})
            folder.replace(out)
    except OSError as error:
        what = error.strerror or error
        raise CatalogueError(f"{error.filename or out}: {what}; the export needs every picture") from error


def _copy(path: Path, place: Path) -> None:
    with Image.open(path) as image:
        if orientation_of(image) == 1:
            shutil.copyfile(path, place)
            return
        upright(image).save(place, quality=_QUALITY)


def command(file: Path, form: FormatName, without: frozenset[str], out: Path) -> None:
    """Write a catalogue or a manifest as a folder, and say what was written."""
    items = items_of(file, without)
    with shown("writing") as step:
        write(items, form, out, step)
    faces = sum(len(item.faces) for item in items)
    parts = Counter(item.part for item in items if item.part)
    told = "".join(f", {part} {count}" for part, count in parts.items())
    click.echo(f"{out} ({form}): {say_count(len(items), 'picture')}, {say_count(faces, 'face')}{told}")
