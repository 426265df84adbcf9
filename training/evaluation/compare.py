"""Tell which of two models is better on the same pictures, and how sure that is: a paired bootstrap.

Both models are scored on the same resamples, so that what makes a picture hard for both cancels out.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from training.errors import EvaluationError
from training.evaluation.bootstrap import RESAMPLES, SEED, Interval, interval, resample, weights
from training.evaluation.scores import ClassMatches, Matches


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


def chance(first: Matches, second: Matches, resamples: int = RESAMPLES, seed: int = SEED) -> float:
    """Tell how often as much would be gained in mAP50-95 if it were chance which model gave which answer.

    The names of the two models are swapped at random, picture by picture: a permutation test, which is exact for as
    few pictures as there may be, where a bootstrap is too sure of itself. Both take each picture for a case of its
    own: of frames that one camera took within a minute they are surer than they should be.

    Parameters
    ----------
    first, second, resamples, seed
        As for :func:`compare`.

    Returns
    -------
    float
        The p-value, one-sided, in (0, 1]: small where the first is better.
    """
    pictures = len(first[0].boxes)
    drawn = np.random.default_rng(seed).integers(0, 2, (resamples, pictures))
    swapped = np.concatenate([np.zeros((1, pictures), np.int64), drawn])
    # Every picture is there twice, once with each model's answers; a weight of 1 takes the one, of 0 leaves the other.
    both = tuple(_joined(one, other, pictures) for one, other in zip(first, second, strict=True))
    mine = resample(both, np.concatenate([1 - swapped, swapped], axis=1)).map50_95
    other = resample(both, np.concatenate([swapped, 1 - swapped], axis=1)).map50_95
    gains = mine - other
    # Sums in another order differ in the last bits, and a tie counts against the first.
    return float((1 + np.sum(gains[1:] >= gains[0] - 1e-9)) / (1 + resamples))


def _joined(first: ClassMatches, second: ClassMatches, pictures: int) -> ClassMatches:
    score = np.concatenate([first.score, second.score])
    order = np.argsort(-score, kind="mergesort")
    return ClassMatches(
        np.concatenate([first.boxes, second.boxes]),
        np.concatenate([first.picture, second.picture + pictures])[order],
        score[order],
        np.concatenate([first.right, second.right], axis=1)[:, order],
    )


def _difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    gains = first - second
    defined = gains[1:][~np.isnan(gains[1:])]
    better = float(np.mean(defined > 0) + np.mean(defined == 0) / 2)
    return Difference(float(first[0]), float(second[0]), interval(gains), better)
