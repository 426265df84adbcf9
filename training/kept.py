"""Compare two models by the answers that were kept when they were evaluated: no picture is shown to them again."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from maskwatch.training_packages import PackagesMissingError
from training.datasets.manifest import Entry, load
from training.errors import EvaluationError

try:
    from training.evaluation import answers
    from training.evaluation.compare import Difference, compare
    from training.evaluation.scores import judge, matches
    from training.evaluation.views import plain
except ModuleNotFoundError as error:
    raise PackagesMissingError("pycocotools") from error


class Pair(msgspec.Struct, frozen=True):
    """Two models on the same pictures, through the same input, at the same precision."""

    title: str
    pictures: int
    differences: Mapping[str, Difference]


def compare_kept(manifest: Path, kept: Path, first: Collection[str], second: Collection[str]) -> list[Pair]:
    """Compare two models by paired bootstrap, on every set of pictures that both have answered.

    Parameters
    ----------
    manifest
        The data, with the true faces.
    kept
        Folder of answers, as «maskwatch evaluate» keeps them.
    first, second
        SHA-256 of the files of either model.

    Raises
    ------
    EvaluationError
        If there is no such set; the message says how to make one.
    ManifestError
        If there is no manifest.
    """
    entries = {entry.sha256: entry for entry in load(manifest).entries}
    files = sorted(kept.glob("*.json"))
    asked = [
        one for one in map(answers.load, files) if one.view == plain().name and entries.keys() >= set(one.pictures)
    ]
    pairs = [
        _pair(mine, other, [entries[picture] for picture in mine.pictures])
        for mine in _of(asked, first)
        for other in _of(asked, second)
        if (mine.shape, mine.precision, mine.pictures) == (other.shape, other.precision, other.pictures)
    ]
    if not pairs:
        raise EvaluationError(
            f"{kept} holds no answers of both models to the same pictures; "
            "let both be asked: maskwatch evaluate MODEL --against OTHER --manifest MANIFEST"
        )
    return pairs


def _of(asked: list[answers.Answers], files: Collection[str]) -> Iterator[answers.Answers]:
    return (one for one in asked if one.model.sha256 in files)


def _pair(mine: answers.Answers, other: answers.Answers, entries: list[Entry]) -> Pair:
    sources = ", ".join(sorted({entry.source for entry in entries}))
    differences = compare(matches(judge(entries, mine.faces)), matches(judge(entries, other.faces)))
    parts = ", ".join(sorted({entry.part for entry in entries}))
    return Pair(f"{sources}; {parts}; {mine.shape}, {mine.precision}", len(entries), differences)
