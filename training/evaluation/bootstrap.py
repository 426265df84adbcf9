"""How sure a figure is: the same figure on a thousand resamples of the pictures.

Pictures are drawn, not faces: the faces of one picture stand or fall together. With the same seed and as many
pictures, the same resamples are drawn, so that two models are compared on the same ones.
"""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from maskwatch.messages import CLASSES
from training.evaluation.scores import Matches, average_precision

RESAMPLES = 1000
SEED = 1
_BOUNDS = (2.5, 97.5)
"""Percentiles of a 95 % interval."""


class Interval(msgspec.Struct, frozen=True):
    """A figure on all pictures, and the 95 % interval of the figure on resamples of them."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class Resampled(NamedTuple):
    """Figures on all pictures, then on resamples: axis 0 counts both, the whole set first.

    A class is NaN where no picture of the resample shows it; means leave it out.
    """

    map50: NDArray[np.float64]
    map50_95: NDArray[np.float64]
    ap50: NDArray[np.float64]
    """Shape (1 + resamples, classes)."""
    ap50_95: NDArray[np.float64]
    """Shape (1 + resamples, classes)."""

    def rows(self) -> dict[str, NDArray[np.float64]]:
        """Give every figure by name, where it is defined on the whole set: the means, then AP50 class by class."""
        classes = {f"AP50 {name}": self.ap50[:, index] for index, name in enumerate(CLASSES)}
        named = {"mAP50": self.map50, "mAP50-95": self.map50_95, **classes}
        return {name: figures for name, figures in named.items() if not np.isnan(figures[0])}


def weights(pictures: int, resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.int64]:
    """Draw resamples.

    Parameters
    ----------
    pictures
        How many there are; each resample has as many.
    resamples, seed
        How many resamples, and of which generator.

    Returns
    -------
    NDArray
        Shape (1 + resamples, pictures): how often each picture was drawn. The first row is the set itself.

    Examples
    --------
    >>> weights(4, resamples=2, seed=1).tolist()
    [[1, 1, 1, 1], [1, 2, 0, 1], [2, 0, 1, 1]]
    """
    drawn = np.random.default_rng(seed).multinomial(pictures, np.full(pictures, 1 / pictures), size=resamples)
    return np.concatenate([np.ones((1, pictures), np.int64), drawn.astype(np.int64)])


def resample(of: Matches, drawn: NDArray[np.int64]) -> Resampled:
    """Work out all figures for many weighings of the pictures, shape (n, pictures)."""
    averages = np.stack([average_precision(one, drawn) for one in of], axis=1)  # n, classes, overlaps
    ap50, ap50_95 = averages[:, :, 0], averages.mean(axis=2)
    return Resampled(_mean(ap50), _mean(ap50_95), ap50, ap50_95)


def interval(figures: NDArray[np.float64]) -> Interval:
    """Turn a figure on the whole set and on resamples, shape (1 + resamples,), into an interval."""
    low, high = np.nanpercentile(figures[1:], _BOUNDS)
    return Interval(float(figures[0]), float(low), float(high))


def _mean(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    # Not nanmean: it warns about a resample that shows no class at all.
    there = ~np.isnan(figures)
    total: NDArray[np.float64] = np.where(there, figures, 0.0).sum(axis=1)
    count = there.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
