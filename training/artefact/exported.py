"""An exported model as it lies in its folder: every file with its hash, its figures, and the data it was made of."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from maskwatch.errors import ModelError
from maskwatch.model import FILE, ModelCard, check_file, read_card

FIGURES = "figures.json"
PROVENANCE = "provenance.json"
_PRECISIONS = {"map50", "map50_95", "ap50", "ap50_95"}
"""Average precisions in ``figures.json``: what means something beside another model's."""


class Exported(msgspec.Struct, frozen=True):
    """A model folder, read and checked."""

    folder: Path
    card: ModelCard
    sha256: str
    """Of ``model.json``, which names the hashes of all that serving needs."""
    made_ms: int
    """When ``model.json`` was written, in milliseconds since 1970."""
    judged_ms: int
    """When ``figures.json`` was written; as ``made_ms`` if there is none."""
    files: dict[str, str]
    """SHA-256 of every file, by its path within the folder."""
    figures: dict[str, float]
    """Every number of ``figures.json``, by the path to it; see :func:`flat`."""
    headline: dict[str, str]
    """The few figures that tell it apart: mAP50 of each set, with its interval where there is one."""
    manifest: str
    """SHA-256 of the manifest that it was trained on; empty if the folder does not say."""


def read_exported(folder: Path) -> Exported:
    """Read a model's folder.

    Raises
    ------
    ModelError
        If it is no model, or a file is missing, altered or malformed.
    """
    card = read_card(folder)
    named = {card.golden.path: card.golden.sha256}
    for file in card.files.values():
        named |= {file.path: file.sha256, **file.beside}
    for path, sha256 in named.items():
        check_file(folder, path, sha256)
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    figures = _json(folder / FIGURES)
    judged = folder / (FIGURES if FIGURES in files else FILE)
    return Exported(
        folder=folder,
        card=card,
        sha256=files[FILE],
        made_ms=_written_ms(folder / FILE),
        judged_ms=_written_ms(judged),
        files=files,
        figures=dict(flat(figures)),
        headline=dict(headline(figures)),
        manifest=_json(folder / PROVENANCE).get("plan", {}).get("data", ""),
    )


def _written_ms(file: Path) -> int:
    return int(file.stat().st_mtime * 1000)


def flat(tree: Any, path: str = "") -> Iterator[tuple[str, float]]:  # noqa: ANN401  # JSON
    """Yield every number of a JSON document with the path to it.

    Examples
    --------
    >>> dict(flat({"portraits": {"map50": 0.9, "classes": [{"ap": 1}]}}))
    {'portraits/map50': 0.9, 'portraits/classes/0/ap': 1.0}
    """
    match tree:
        case bool() | str() | None:
            return
        case int() | float():
            yield path, float(tree)
        case dict():
            for name, below in tree.items():
                yield from flat(below, f"{path}/{name}" if path else name)
        case list():
            for place, below in enumerate(tree):
                yield from flat(below, f"{path}/{place}" if path else str(place))


def headline(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401  # JSON
    """Yield mAP50 of every set of a ``figures.json``, as it is shown.

    Examples
    --------
    >>> dict(headline({"portraits": {"map50": {"value": 0.9, "low": 0.85, "high": 0.94}}, "voc": {"map50": 0.7}}))
    {'portraits': '0.900 (0.850 to 0.940)', 'voc': '0.700'}
    """
    match tree:
        case {"map50": {"value": value, "low": low, "high": high}}:
            yield path, f"{value:.3f} ({low:.3f} to {high:.3f})"
        case {"map50": float() | int() as value}:
            yield path, f"{value:.3f}"
        case dict():
            for name, below in tree.items():
                yield from headline(below, f"{path}/{name}" if path else name)


def figures_of(path: Path) -> dict[str, float]:
    """Read the average precisions of a ``figures.json``, by set and name; none if there is no such file.

    Raises
    ------
    ModelError
        If it is malformed.
    """
    found = {name.removesuffix("/value"): value for name, value in flat(_json(path))}
    return {name: value for name, value in found.items() if name.rpartition("/")[2] in _PRECISIONS}


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path} is not what an export writes: {error}") from error
