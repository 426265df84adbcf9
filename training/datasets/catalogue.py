"""The catalogue: photographs with the faces that people marked on them, and what was left out on the way, and why.

A catalogue is made of folders (:mod:`training.datasets.importing`), kept as one JSON file, split into a manifest
(:mod:`training.datasets.manifest`), or written out again as a folder (:mod:`training.datasets.exporting`).
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from maskwatch.files import write_whole
from maskwatch.messages import MarkedFace
from training.datasets.split import Burst
from training.errors import CatalogueError

FormatName = Literal["voc", "yolo", "coco"]

Cause = Literal[
    "the picture cannot be decoded",
    "the picture has no annotation",
    "the annotation has no picture",
    "the annotation cannot be read",
    "the annotation is of another picture",
    "the picture is told of twice",
    "a class is not known",
    "a box cannot be read",
    "a face has two classes",
    "a crowd is marked as one",
    "the class is left out, as told",
    "the box is outside or too small",
    "the file is of a kind that is not read",
    "the twin's picture is not here",
    "a picture has two twins",
    "the pictures lie elsewhere",
]
"""Why something was left out."""

Mending = Literal[
    "a box was clipped to the picture",
    "a box had its corners swapped",
    "a face was marked twice",
    "an outline became a box",
    "boxes were turned with the picture",
]
"""What was put right."""


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
    burst: Burst | None = None
    """The stretch of one camera that it is from, if any: a burst stays on one side of a split."""
    orientation: int = 1
    """EXIF's: 1 if the picture is stored as it is shown. A decoder that ignores it must turn the picture."""
    annotation: str = ""
    """The file that the faces were read from, relative to the source's folder."""
    sha256: str = ""
    """Of the file's bytes."""
    labelled: datetime | None = None
    """When somebody labelled it here."""


class Refusal(msgspec.Struct, frozen=True):
    """A picture, annotation or box that was left out, and why."""

    path: Path
    reason: str
    """What exactly, and what can be done."""
    cause: Cause


class Repair(msgspec.Struct, frozen=True):
    """Something that was put right, and how."""

    path: Path
    reason: str
    cause: Mending


class Source(msgspec.Struct, frozen=True):
    """A folder that was read."""

    name: str
    folder: Path
    format: FormatName


class Duplicates(msgspec.Struct, frozen=True):
    """Pictures that are the same, or look it. All of them are kept: the split puts them on one side."""

    kind: Literal["identical", "alike"]
    """`identical` byte by byte, or `alike` by fingerprint."""
    pictures: tuple[Path, ...]
    same_faces: bool
    """Whether the same faces are marked on all of them; of identical pictures one is wrong where they are not."""


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was read from one or more folders.

    Every picture and annotation of the folders is either in `pictures` or named in `refused`.
    """

    sources: tuple[Source, ...]
    pictures: tuple[Picture, ...]
    refused: tuple[Refusal, ...] = ()
    repaired: tuple[Repair, ...] = ()
    duplicates: tuple[Duplicates, ...] = ()


def save(catalogue: Catalogue, file: Path) -> None:
    """Write a catalogue as JSON; whoever reads meanwhile sees the old one or the new one.

    Raises
    ------
    CatalogueError
        If the file cannot be written, or a picture's name is no text.
    """
    try:
        content = msgspec.json.format(msgspec.json.encode(catalogue, enc_hook=str)) + b"\n"
    except UnicodeEncodeError as error:
        raise CatalogueError(f"the name of a file is not UTF-8: {error.object!a}; rename it") from error
    try:
        write_whole(file, content)
    except OSError as error:
        raise CatalogueError(f"{file} cannot be written ({error.strerror}): name a file that can with --out") from error


def load(file: Path) -> Catalogue:
    """Read a catalogue.

    Raises
    ------
    CatalogueError
        If the file is missing or is not a catalogue.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Catalogue, dec_hook=_path)
    except OSError as error:
        raise CatalogueError(
            f"no catalogue at {file} ({error.strerror}); «maskwatch data import FOLDER --out {file}» makes one"
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{file} is not a catalogue: {error}") from error


def _path(_kind: type, text: str) -> Path:
    return Path(text)


def refusal_of_sources(asked: AbstractSet[str], there: Sequence[str]) -> str:
    """Say which sources there are not, and which there are; empty if all that are asked for are there.

    Examples
    --------
    >>> refusal_of_sources({"voc", "more"}, ["more"])
    'no source is called voc; there are more'
    """
    unknown = sorted(asked - set(there))
    return f"no source is called {', '.join(unknown)}; there are {', '.join(there)}" if unknown else ""
