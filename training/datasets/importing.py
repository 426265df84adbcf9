"""``maskwatch data import``: read folders of annotated photographs into one catalogue.

A folder goes through three steps: its format says what it tells about which picture, each picture is decoded and what
is told about it judged, and pictures that are the same or look it are found. What is left out on the way is named.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import click
import numpy as np

from maskwatch.boxes import iou
from maskwatch.errors import PictureError
from maskwatch.messages import MarkedFace
from maskwatch.quantities import say_count
from training.datasets import import_report
from training.datasets.catalogue import Catalogue, Duplicates, FormatName, Picture, Refusal, Repair, Source, save
from training.datasets.classes import DEFAULTS, Meaning, table
from training.datasets.contents import Contents, Told, files_below
from training.datasets.decoding import look_at
from training.datasets.duplicates import fingerprint, group, look_alikes
from training.datasets.formats import FORMATS
from training.datasets.judging import judge
from training.datasets.twins import read_twins
from training.errors import CatalogueError
from training.steps import Step, no_step, shown

SAME_FACE = 0.5
"""Overlap of two boxes (intersection over union) that are meant for one face."""


def read(
    folders: Sequence[Path],
    form: FormatName | Literal["auto"] = "auto",
    classes: Mapping[str, Meaning] = DEFAULTS,
    step: Step = no_step,
) -> Catalogue:
    """Read folders into one catalogue.

    Parameters
    ----------
    folders
        Each becomes a source that is called as the folder is.
    form
        How the boxes are written; ``auto`` finds out for each folder.
    classes
        What names mean; see :func:`training.datasets.classes.table`.
    step
        Told of progress.

    Returns
    -------
    Catalogue
        The pictures in the order of the folders and of their paths, and everything that was left out, and why. Pictures
        without a face are kept: they teach what is no face.

    Raises
    ------
    CatalogueError
        If a folder is none, is named twice, or its format cannot be told.
    """
    sources: list[Source] = []
    pictures: list[Picture] = []
    refused: list[Refusal] = []
    repaired: list[Repair] = []
    for folder in folders:
        if any(folder.resolve() == source.folder.resolve() for source in sources):
            raise CatalogueError(f"{folder} is named twice: name it once")
        name = folder.resolve().name
        if any(source.name == name for source in sources):
            raise CatalogueError(f"two folders are called {name}, and sources are told apart by that: rename {folder}")
        source, contents = _read_folder(folder, name, form)
        sources.append(source)
        pictures += _judge_all(source, contents, classes, step)
        refused += contents.refused
        repaired += contents.repaired
    return Catalogue(
        tuple(sources), tuple(pictures), tuple(refused), tuple(repaired), tuple(find_duplicates(pictures, step))
    )


def _read_folder(folder: Path, name: str, form: FormatName | Literal["auto"]) -> tuple[Source, Contents]:
    if not folder.is_dir():
        raise CatalogueError(f"{folder} is no folder")
    files = files_below(folder)
    if form == "auto":
        fitting = [name for name, module in FORMATS.items() if module.recognise(folder, files)]
        if len(fitting) != 1:
            what = f"may be {' or '.join(fitting)}" if fitting else "holds no annotations that we know"
            raise CatalogueError(f"{folder} {what}: name its format with --format {'|'.join(FORMATS)}")
        (form,) = fitting
    return Source(name, folder, form), FORMATS[form].read(folder, files)


def _judge_all(source: Source, contents: Contents, classes: Mapping[str, Meaning], step: Step) -> list[Picture]:
    """Decode and judge every picture of a folder; what is left out or put right is added to its contents."""
    refused, repaired = contents.refused, contents.repaired
    twins, lonely = read_twins(source.folder, {told.path.stem for told in contents.told})
    refused.extend(lonely)
    pictures = []
    for number, told in enumerate(_once(contents, source.folder), 1):
        step(source.name, number, len(contents.told))
        try:
            shown, sha256 = look_at(told.path)
        except PictureError as error:
            refused.append(Refusal(told.path, str(error), "the picture cannot be decoded"))
            continue
        judged = judge(told, shown, classes)
        refused += judged.refused
        repaired += judged.repaired
        if judged.faces is not None:
            pictures.append(
                Picture(
                    path=told.path,
                    source=source.name,
                    width=shown.width,
                    height=shown.height,
                    faces=judged.faces,
                    twin=twins.get(told.path.stem, ""),
                    orientation=shown.orientation,
                    annotation=told.annotation.relative_to(source.folder).as_posix(),
                    sha256=sha256,
                )
            )
    return pictures


def _once(contents: Contents, folder: Path) -> Iterator[Told]:
    """Yield what is told of each picture, in order; not of those that are told of in two ways, which is refused."""
    by_picture: dict[Path, list[Told]] = defaultdict(list)
    for told in sorted(contents.told, key=lambda told: (told.path, told.annotation)):
        by_picture[told.path].append(told)
    for path, (first, *others) in by_picture.items():
        if all((other.size, sorted(other.objects)) == (first.size, sorted(first.objects)) for other in others):
            yield first
            reason = f"{first.annotation.name} is about it too: {path.name}"
            refused = [Refusal(other.annotation, reason, "the picture is told of twice") for other in others]
        else:
            names = {told.annotation.relative_to(folder).as_posix(): None for told in (first, *others)}
            reason = f"told of in several ways, by {' and '.join(names)}: keep what is right"
            refused = [Refusal(path, reason, "the picture is told of twice")]
        contents.refused.extend(refused)


def find_duplicates(pictures: Sequence[Picture], step: Step = no_step) -> list[Duplicates]:
    """Find the pictures that are identical, or look alike.

    Parameters
    ----------
    pictures
        All of which can be decoded.
    step
        Told of progress.
    """
    identical: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        identical[picture.sha256].append(picture)
    found = [_duplicates("identical", members) for members in identical.values() if len(members) > 1]
    distinct = [members[0] for members in identical.values()]
    fingerprints = []
    for number, picture in enumerate(distinct, 1):
        step("look-alikes", number, len(distinct))
        fingerprints.append(fingerprint(picture.path))
    if fingerprints:
        alike: dict[str, list[Picture]] = defaultdict(list)
        names = group([picture.sha256 for picture in distinct], look_alikes(np.stack(fingerprints)))
        for name, picture in zip(names, distinct, strict=True):
            alike[name].append(picture)
        found += [_duplicates("alike", members) for members in alike.values() if len(members) > 1]
    return found


def _duplicates(kind: Literal["identical", "alike"], pictures: Sequence[Picture]) -> Duplicates:
    first, *others = pictures
    same = all(_same_faces(first.faces, other.faces) for other in others)
    return Duplicates(kind, tuple(picture.path for picture in pictures), same)


def _same_faces(some: Sequence[MarkedFace], others: Sequence[MarkedFace]) -> bool:
    """Say whether each face has one of its class among the others that covers mostly the same."""
    left = list(others)
    for face in some:
        match = next((o for o in left if o.label == face.label and iou(o.box, face.box) >= SAME_FACE), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def command(  # noqa: PLR0913  # a command line
    folders: Sequence[Path],
    form: FormatName | Literal["auto"],
    pairs: Sequence[str],
    class_table: Path | None,
    out: Path,
    *,
    as_json: bool,
) -> None:
    """Read folders into a catalogue file, and say what was read and what was left out.

    Raises
    ------
    CatalogueError
        If a folder cannot be read, no picture is left, or the file cannot be written.
    """
    classes = table(pairs, class_table)
    with shown("reading") as step:
        catalogue = read(folders, form, classes, step)
    if not catalogue.pictures:
        click.echo("\n".join(import_report.lines(catalogue)), err=True)
        raise CatalogueError("no picture is left: nothing was written")
    save(catalogue, out)
    if as_json:
        click.echo(import_report.as_json(catalogue, out))
        return
    click.echo("\n".join(import_report.lines(catalogue)))
    click.echo(f"{out}: {say_count(len(catalogue.pictures), 'picture')}; «maskwatch data import --json» names all")
