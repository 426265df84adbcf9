"""Two models on the same frames: what both find, what only one does, and which share of the faces is lost. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from rich.table import Table

from maskwatch.agreement import agreed
from maskwatch.messages import DetectedFace

BLOCK_S = 60
"""Frames of one camera's minute show the same people: they count as one observation."""


class Pair(NamedTuple):
    """What two models saw on one frame."""

    camera: str
    captured: datetime
    first: Sequence[DetectedFace]
    """By the newer model, or by the candidate."""
    second: Sequence[DetectedFace]


class Tally(msgspec.Struct, frozen=True):
    """How two models agree on some frames."""

    frames: int = 0
    same: int = 0
    """Frames on which every face of either is the other's too."""
    first: int = 0
    """Faces that the first finds."""
    second: int = 0
    agreed: int = 0
    """Faces that both find, with the same label."""
    first_score: float = 0.0
    """Sum of scores."""
    second_score: float = 0.0

    @property
    def agreement(self) -> float:
        """Return F1 over all faces; NaN without any."""
        faces = self.first + self.second
        return 2 * self.agreed / faces if faces else math.nan

    @property
    def lost(self) -> float:
        """Return how many faces fewer the first finds, as a share of the second's; NaN where that finds none."""
        return 1 - self.first / self.second if self.second else math.nan

    def plus(self, other: "Tally") -> "Tally":
        """Return both together."""
        return Tally(*(mine + theirs for mine, theirs in zip(_parts(self), _parts(other), strict=True)))  # type: ignore[arg-type]


def _parts(tally: Tally) -> tuple[float, ...]:
    return msgspec.structs.astuple(tally)


def tally(pair: Pair) -> Tally:
    """Count one frame.

    Examples
    --------
    >>> from datetime import UTC
    >>> box, other = (0.0, 0.0, 0.2, 0.2), (0.5, 0.5, 0.7, 0.7)
    >>> masked, bare = DetectedFace("with_mask", 0.9, box), DetectedFace("without_mask", 0.7, other)
    >>> counted = tally(Pair("door", datetime(2026, 11, 1, tzinfo=UTC), [masked], [masked, bare]))
    >>> counted.same, counted.agreed, counted.lost, round(counted.agreement, 3)
    (0, 1, 0.5, 0.667)
    """
    first, second = len(pair.first), len(pair.second)
    both = agreed(pair.first, pair.second)
    return Tally(
        1,
        int(both == first == second),
        first,
        second,
        both,
        sum(face.score for face in pair.first),
        sum(face.score for face in pair.second),
    )


def by_camera(pairs: Iterable[Pair]) -> dict[str, Tally]:
    """Count frames by camera, in the order of their ids."""
    found: defaultdict[str, Tally] = defaultdict(Tally)
    for pair in pairs:
        found[pair.camera] = found[pair.camera].plus(tally(pair))
    return dict(sorted(found.items()))


Blocks = dict[tuple[str, int], tuple[int, int]]
"""Faces that the first and the second found in each minute of each camera."""


def add_to(blocks: Blocks, pair: Pair) -> None:
    """Count a frame's faces with those of its camera's minute; a frame without any tells nothing."""
    if pair.first or pair.second:
        key = pair.camera, int(pair.captured.timestamp() // BLOCK_S)
        first, second = blocks.get(key, (0, 0))
        blocks[key] = first + len(pair.first), second + len(pair.second)


class Lost(NamedTuple):
    """Which share of the second's faces the first does not find, and how sure that is."""

    share: float
    """Negative where it finds more."""
    error: float
    """Standard error; infinite while it cannot be told."""


def lost(blocks: Iterable[tuple[int, int]]) -> Lost:
    """Estimate the share of faces that is lost, from minutes of cameras.

    Parameters
    ----------
    blocks
        Faces of the first and of the second.

    Returns
    -------
    Lost
        The ratio of sums, and its standard error by linearisation (Cochran, Sampling Techniques, 6.4).

    Examples
    --------
    >>> found = lost([(1, 2), (4, 4), (3, 4)])
    >>> round(found.share, 2), round(found.error, 3)
    (0.2, 0.125)
    """
    pairs = list(blocks)
    total, count = sum(second for _, second in pairs), len(pairs)
    if not total:
        return Lost(math.nan, math.inf)
    ratio = sum(first for first, _ in pairs) / total
    if count < 2:  # noqa: PLR2004  # one alone has no spread
        return Lost(1 - ratio, math.inf)
    squares = sum((first - ratio * second) ** 2 for first, second in pairs)
    return Lost(1 - ratio, math.sqrt(squares * count / (count - 1)) / total)


HEADINGS = ("camera", "frames", "the same", "faces", "agreed", "agreement", "score")


def table(title: str, found: dict[str, Tally]) -> Table:
    """Return tallies as a table for people."""
    shown = Table(*HEADINGS, title=title, title_justify="left")
    for row in rows(found):
        shown.add_row(*row)
    return shown


def rows(found: dict[str, Tally]) -> list[tuple[str, ...]]:
    """Write tallies as rows of a table, with a last one for all."""
    total = Tally()
    for one in found.values():
        total = total.plus(one)
    return [_row(name, one) for name, one in (*found.items(), ("all", total))]


def _row(name: str, one: Tally) -> tuple[str, ...]:
    scores = [
        f"{score / faces:.2f}" if faces else "-"
        for score, faces in ((one.first_score, one.first), (one.second_score, one.second))
    ]
    agreement = "-" if math.isnan(one.agreement) else f"{one.agreement:.2f}"
    return (
        name, str(one.frames), str(one.same), f"{one.first} / {one.second}", str(one.agreed), agreement,
        " / ".join(scores),
    )  # fmt: skip
