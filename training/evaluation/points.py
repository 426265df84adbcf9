"""What a threshold does: precision and recall at a score, the best score by F1, and whether scores mean what they say.

All of it at an overlap of 0.5, class by class, on what :mod:`training.evaluation.scores` matched.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from maskwatch.messages import CLASSES, Label
from training.evaluation.scores import ClassMatches, Matches

BINS = 10
LEAST = 0.1
"""Answers under this score are left out of calibration: there are thousands, all of them rightly thought little of."""


class Point(msgspec.Struct, frozen=True):
    """Precision and recall of one class, or of all faces together."""

    precision: float | None
    """None where nothing is answered."""
    recall: float | None
    """None where there is no face."""


class Points(msgspec.Struct, frozen=True):
    """What a threshold does."""

    score: float
    everything: Point
    """All classes counted together."""
    classes: dict[Label, Point]


class Reliability(msgspec.Struct, frozen=True):
    """Answers of one range of scores."""

    low: float
    high: float
    answers: int
    mean_score: float | None
    right: float | None
    """Share that is right; equal to the mean score if scores are probabilities."""


class Calibration(msgspec.Struct, frozen=True):
    """Whether a score is the probability of being right.

    `error` is the expected calibration error: the mean distance of score and share that is right, over the answers of
    score 0.1 and more (Guo et al., On Calibration of Modern Neural Networks, 2017); None without any.
    """

    error: float | None
    bins: tuple[Reliability, ...]


def points(of: Matches, score: float) -> Points:
    """Tell precision and recall when answers under a score are left out.

    Examples
    --------
    >>> one = ClassMatches(np.array([2]), np.array([0, 0]), np.array([0.9, 0.3]), np.array([[True, False]] * 10))
    >>> points((one,) * 3, 0.2).everything
    Point(precision=0.5, recall=0.5)
    """
    counts = [_counts(one, score) for one in of]
    right, answered, boxes = (sum(column) for column in zip(*counts, strict=True))
    classes = {name: _point(*row) for name, row in zip(CLASSES, counts, strict=True)}
    return Points(score, _point(right, answered, boxes), classes)


def best_score(of: Matches) -> float:
    """Return the score at which F1 of all faces together is best: that of the last answer that is still taken."""
    scores = np.concatenate([one.score for one in of])
    right = np.concatenate([one.right[0] for one in of])
    if not right.any():
        return 1.0
    order = np.argsort(-scores, kind="stable")
    boxes = sum(int(one.boxes.sum()) for one in of)
    f1 = 2 * np.cumsum(right[order]) / (np.arange(1, len(order) + 1) + boxes)
    # Answers of the same score are taken together or not at all.
    last = np.append(np.diff(scores[order]) != 0, True)  # a value, not a flag
    return float(scores[order][np.argmax(np.where(last, f1, -1.0))])


def calibration(of: Matches) -> Calibration:
    """Hold scores against the share of answers that are right, in ten bins of the same width."""
    scores = np.concatenate([one.score for one in of])
    right = np.concatenate([one.right[0] for one in of])
    place = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = tuple(_reliability(number, scores[place == number], right[place == number]) for number in range(BINS))
    counted = [row for row in bins if row.low >= LEAST]
    return Calibration(_error(counted), bins)


def _counts(of: ClassMatches, score: float) -> tuple[int, int, int]:
    taken = of.score >= score
    return int(of.right[0, taken].sum()), int(taken.sum()), int(of.boxes.sum())


def _point(right: int, answered: int, boxes: int) -> Point:
    return Point(right / answered if answered else None, right / boxes if boxes else None)


def _reliability(number: int, scores: NDArray[np.float64], right: NDArray[np.bool_]) -> Reliability:
    low, high = number / BINS, (number + 1) / BINS
    if not len(scores):
        return Reliability(low, high, 0, None, None)
    return Reliability(low, high, len(scores), float(scores.mean()), float(right.mean()))


def _error(bins: Sequence[Reliability]) -> float | None:
    answers = sum(row.answers for row in bins)
    gaps = [
        row.answers * abs(row.mean_score - row.right)
        for row in bins
        if row.mean_score is not None and row.right is not None
    ]
    return sum(gaps) / answers if answers else None
