"""What a folder of annotated pictures says, before anything of it is judged; and which picture an annotation means.

The formats (:mod:`training.datasets.voc`, :mod:`training.datasets.yolo`, :mod:`training.datasets.coco`) differ in how
boxes are written, hardly in where files lie: pictures in one place, annotations of the same stem in the same or in
another. So all of them find pictures by stem anywhere under the folder. Where a stem occurs more than once, the
picture is meant whose folders have the most names in common with the annotation's: ``labels/train/1.txt`` goes with
``images/train/1.jpg``.
"""

import mimetypes
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from maskwatch.annotations import PICTURE_SUFFIXES, MarkedObject
from training.datasets.catalogue import Refusal, Repair
from training.errors import CatalogueError

PIXELS_OF_THE_PICTURE = (0.0, 0.0)
"""The size of a picture of which an annotation does not tell the size."""
SHARES = (1.0, 1.0)
"""The size of a picture whose boxes are in 0..1."""


class Told(NamedTuple):
    """A picture, and what an annotation says about it."""

    path: Path
    annotation: Path
    size: tuple[float, float]
    """Width and height that the boxes are in, `PIXELS_OF_THE_PICTURE` or `SHARES`."""
    objects: tuple[MarkedObject, ...]


class Contents(NamedTuple):
    """What a folder says."""

    told: list[Told]
    refused: list[Refusal]
    repaired: list[Repair]


class Files(NamedTuple):
    """The files below a folder, hidden ones left aside."""

    pictures: list[Path]
    others: list[Path]
    unreadable: list[Path]
    """Links to nothing, and what may not be read; pictures are not among them, for whoever decodes them says so."""

    def ending_in(self, *suffixes: str) -> list[Path]:
        """Return the files that are no pictures and have one of these suffixes."""
        return [path for path in self.others if path.suffix.lower() in suffixes]


def files_below(folder: Path) -> Files:
    """List what lies below a folder, in order; folders that macOS or Git keep for themselves are left aside.

    Links are followed, each folder once.

    Raises
    ------
    CatalogueError
        If a folder cannot be listed.
    """
    below: list[Path] = []
    seen: set[str] = set()
    try:
        for base, folders, names in os.walk(folder, onerror=_give_up, followlinks=True):
            real = os.path.realpath(base)
            folders[:] = [] if real in seen else sorted(name for name in folders if _counts(name))
            if real not in seen:
                below += [Path(base, name) for name in names if _counts(name)]
            seen.add(real)
    except OSError as error:
        raise CatalogueError(f"{error.filename} cannot be listed: {error.strerror}") from error
    below.sort()
    pictures = [path for path in below if path.suffix.lower() in PICTURE_SUFFIXES]
    others = [path for path in below if path.suffix.lower() not in PICTURE_SUFFIXES]
    readable = [path for path in others if os.access(path, os.R_OK)]
    return Files(pictures, readable, sorted({*others} - {*readable}))


def _counts(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _give_up(error: OSError) -> None:
    raise error


class PicturesByStem:
    """Finds the picture that an annotation means, and remembers which were never asked for.

    Parameters
    ----------
    folder
        What was listed.
    files
        Below it.
    """

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in files.pictures:
            self._by_stem[path.stem].append(path)
        self._files = files
        self._meant: set[Path] = set()

    def find(self, name: PurePath) -> list[Path]:
        """Return the pictures that a name may mean: one if all is well, none, or several that are equally near.

        Parameters
        ----------
        name
            An annotation, or a picture as an annotation names it; the suffix does not count.
        """
        candidates = self._by_stem.get(name.stem, [])
        if len(candidates) > 1:
            nearness = [self._nearness(path, name) for path in candidates]
            candidates = [path for path, near in zip(candidates, nearness, strict=True) if near == max(nearness)]
        self._meant.update(candidates)
        return candidates

    def find_for(self, annotation: Path, refused: list[Refusal]) -> Path | None:
        """Return the picture of an annotation, or None having said why there is none."""
        found = self.find(annotation)
        if len(found) == 1:
            return found[0]
        reason = f"several pictures have this stem: {_names(found)}" if found else "no picture has this stem"
        refused.append(Refusal(annotation, reason, "the annotation has no picture"))
        return None

    def left_over(self, hint: str = "no annotation has this stem") -> list[Refusal]:
        """Say which pictures no annotation was for, and which files cannot be read or are pictures of other kinds."""
        refused = [
            Refusal(path, hint, "the picture has no annotation")
            for paths in self._by_stem.values()
            for path in paths
            if path not in self._meant
        ]
        kinds = ", ".join(PICTURE_SUFFIXES)
        refused.extend(
            Refusal(path, f"pictures are {kinds}: convert it", "the file is of a kind that is not read")
            for path in self._files.others
            if (mimetypes.guess_type(path.name)[0] or "").startswith(("image/", "video/"))
        )
        reason = "it is a link to nothing, or may not be read"
        refused.extend(Refusal(path, reason, "the annotation cannot be read") for path in self._files.unreadable)
        return refused

    def _nearness(self, path: Path, name: PurePath) -> tuple[int, bool]:
        around = path.relative_to(self._folder).parent.parts
        wanted = (
            name.parent.parts[len(self._folder.parts) :] if name.is_relative_to(self._folder) else name.parent.parts
        )
        return sum(part in wanted for part in around), path.suffix == name.suffix


def _names(paths: Sequence[Path]) -> str:
    return " and ".join(path.name for path in paths)
