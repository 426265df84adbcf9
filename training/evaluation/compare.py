"""Tell which of two models is better on the same pictures, and how sure that is: a paired bootstrap.

Both models are scored on the same resamples, so that what makes a picture hard for both cancels out.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from training.errors import EvaluationError
from training.evaluation.answers import Answers
from training.evaluation.bootstrap import RESAMPLES, SEED, Interval, interval, resample, weights
from training.evaluation.scores import Matches


class Difference(msgspec.Struct, frozen=True):
    """One figure of two models on the same pictures."""

    first: float
    second: float
    gain: Interval
    """First minus second."""
    p_better: float
    """Share of resamples in which the first is better; ties count half."""


def compare(first: Matches, second: Matches, resamples: int = RESAMPLES, seed: int = SEED) -> Mapping[str, Difference]:
    """Compare two models' answers to the same pictures.

    Parameters
    ----------
    first, second
        Of :func:`training.evaluation.scores.matches`, on the same pictures in the same order.
    resamples, seed
        How many resamples, and of which generator.

    Returns
    -------
    mapping
        By name: ``mAP50``, ``mAP50-95``, and ``AP50`` of each class that the pictures show.

    Raises
    ------
    EvaluationError
        If the true faces differ: then these are not the same pictures.
    """
    if any(not np.array_equal(one.boxes, other.boxes) for one, other in zip(first, second, strict=True)):
        raise EvaluationError("two models can be compared only on the same pictures; their true faces differ")
    drawn = weights(len(first[0].boxes), resamples, seed)
    mine, other = resample(first, drawn).rows(), resample(second, drawn).rows()
    return {name: _difference(mine[name], other[name]) for name in mine}


def check_same_pictures(first: Answers, second: Answers) -> None:
    """Refuse answers to other pictures, or to another view of them.

    Raises
    ------
    EvaluationError
        If they cannot be compared; the message says why.
    """
    if (first.pictures, first.view) != (second.pictures, second.view):
        raise EvaluationError(
            f"answers of {first.model.name} {first.model.version} to {len(first.pictures)} pictures ({first.view}) "
            f"cannot be compared with those of {second.model.name} {second.model.version} to "
            f"{len(second.pictures)} ({second.view}): they are not the same"
        )


def _difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    gains = first - second
    defined = gains[1:][~np.isnan(gains[1:])]
    better = float(np.mean(defined > 0) + np.mean(defined == 0) / 2)
    return Difference(float(first[0]), float(second[0]), interval(gains), better)
