"""Which pictures of a folder are the same photograph as another: a ``twins.csv`` beside the pictures says so.

Data sets are published again with other sizes and under other names. A fingerprint finds most such pairs; the list
names them all, so that both of a pair stay on one side of a split. A row holds two file names, in columns whose titles
end in ``file``; the one that names no picture of this folder names the twin, and suffixes do not count. Where a
picture was named after its twin, as in ``eden_street.jpg`` for ``street.png``, this is enough to find it.
"""

import csv
from collections.abc import Collection, Mapping
from pathlib import Path, PurePath

from training.datasets.catalogue import Refusal
from training.errors import CatalogueError

FILE = "twins.csv"


def read_twins(folder: Path, stems: Collection[str]) -> tuple[dict[str, str], list[Refusal]]:
    """Read the list of twins of a folder, if it has one.

    Parameters
    ----------
    folder
        May hold a ``twins.csv``.
    stems
        Of the folder's pictures.

    Returns
    -------
    twins, refused
        The stem of the twin by the stem of the picture; and the rows that name no picture of this folder, or a second
        twin of one.

    Raises
    ------
    CatalogueError
        If the list is not made of columns with a title.
    """
    try:
        with (folder / FILE).open(newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CatalogueError(f"{folder / FILE} cannot be read: {error}") from error
    twins: dict[str, str] = {}
    refused: list[Refusal] = []
    for row in rows:
        names = [PurePath(value).stem for title, value in row.items() if title and title.endswith("file") and value]
        own = next(filter(None, (_own(name, stems) for name in names)), None)
        other = next((name for name in names if name != own), None)
        said = ", ".join(str(value) for value in row.values())
        if own is None or other is None:
            refused.append(Refusal(folder / FILE, said, "the twin's picture is not here"))
        elif twins.setdefault(own, other) != other:
            reason = f"{said}: {own} has a twin, {twins[own]}; name {other} as that one's"
            refused.append(Refusal(folder / FILE, reason, "a picture has two twins"))
    return twins, refused


def write_twins(folder: Path, twins: Mapping[str, str]) -> None:
    """Write the list of twins of a folder; none where there are no twins.

    Parameters
    ----------
    folder
        Of the pictures.
    twins
        The stem of the twin by the picture's file name.
    """
    if not twins:
        return
    with (folder / FILE).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "twin_file"))
        # With a suffix, so that what follows a dot in a stem is not taken for one.
        rows.writerows((name, f"{twin}.jpg") for name, twin in twins.items())


def _own(name: str, stems: Collection[str]) -> str | None:
    """Return the picture that a name means: the one of this name, or the only one that was named after it."""
    if name in stems:
        return name
    named_after = [stem for stem in stems if stem.endswith(f"_{name}")]
    return named_after[0] if len(named_after) == 1 else None
