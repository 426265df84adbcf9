"""What a signal used to be like, and how sure one can be that it no longer is. Pure.

Two sets of samples are compared by Kolmogorov-Smirnov's D, the largest distance between their distributions. How
large D becomes by chance depends on how many samples there are, and samples of a camera are not independent: the same
people stand there for a while. How many they are worth is measured on the reference itself, by permuting it: once in
blocks that are longer than its memory, once freely. D between what was chosen by chance and all the rest is larger with
blocks, by the root of what a sample is worth less. With that, Kolmogorov's distribution gives p far beyond what
permutations alone could tell.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogi, kolmogorov  # type: ignore[import-untyped]  # it ships no types

from processors.signals import Values, defined

Shares = NDArray[np.float64]
Marks = NDArray[np.bool_]

ROUNDS = 200
"""Permutations; their ninetieth percentile has an error of a few percent then."""

QUANTILE = 0.9
MEMORY = 0.2
"""Samples whose autocorrelation is under this count as strangers."""

BLOCKS = (1, 2, 4)
"""Blocks are so many times twice the memory; the length that tells of most dependence counts."""

LONGEST_BLOCK = 1 / 8
"""Of the reference: with fewer blocks there would be too little to permute."""

CAUTION = 1.3
"""The memory of so short a time is known roughly; it is taken to be this much longer."""


class Comparison(NamedTuple):
    """How the newest samples of a signal compare with its reference."""

    samples: int
    effect: float
    """Kolmogorov-Smirnov's D, 0..1."""
    p: float
    """How likely so large a D is without a change."""


class Ranks(NamedTuple):
    """Where samples lie in a reference."""

    below: Shares
    """Share of the reference that is less."""
    upto: Shares
    """Share that is less or equal."""


class Reference:
    """One signal as it used to be.

    Parameters
    ----------
    values
        Defined samples in the order of their times, at least 8.
    stride
        How many of the samples that will be compared lie between two of these.
    worth
        As it was worked out from the same values before, which takes long; None works it out.

    Attributes
    ----------
    ordered : array
        The values, sorted.
    worth : float
        How many samples, of those that will be compared, are worth one independent sample; 1 at least.
    """

    def __init__(self, values: Values, stride: int = 1, worth: float | None = None) -> None:
        self.ordered = np.sort(values.astype(np.float64))
        self.stride = stride
        self.worth = stride * dependence(values) if worth is None else worth
        # The same again, in which one value is found ten times as quickly.
        self._places = array("d", self.ordered.tolist())
        self._weights: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self.ordered)

    def independent(self, samples: int) -> float:
        """Return what a comparison of so many samples with the reference is worth, in independent samples."""
        newest, all_of_it = samples / self.worth, len(self) * self.stride / self.worth
        return newest * all_of_it / (newest + all_of_it)

    def ranks(self, newest: Values) -> Ranks:
        """Return where samples lie in the reference: the share of it below each, and the share up to each."""
        exact = newest.astype(np.float64)
        return Ranks(
            self.ordered.searchsorted(exact, "left") / len(self), self.ordered.searchsorted(exact, "right") / len(self)
        )

    def place(self, value: float) -> tuple[float, float]:
        """Return the share of the reference below a value, and the share up to it; NaN for NaN."""
        if math.isnan(value):
            return math.nan, math.nan
        number = len(self._places)
        return bisect_left(self._places, value) / number, bisect_right(self._places, value) / number

    def compare(self, ranks: Ranks, lengths: Sequence[int]) -> Comparison:
        """Compare the newest samples with the reference.

        Parameters
        ----------
        ranks
            Where samples lie in it, in the order of their times.
        lengths
            How many of the newest to compare.

        Returns
        -------
        Comparison
            That of the length that speaks most against the reference.
        """
        effects = distances(ranks, lengths).tolist()
        against = [self._weight(length) * effect for length, effect in zip(lengths, effects, strict=True)]
        most = against.index(max(against))
        return Comparison(lengths[most], effects[most], float(kolmogorov(against[most])))

    def moved(self, newest: Values) -> float:
        """Return how far samples have moved from the reference, in the signal's unit.

        It is Wasserstein's distance: how far a sample must be moved on average until both lie alike. Unlike D it says
        whether anybody would care.

        Examples
        --------
        >>> round(Reference(np.arange(20) / 20).moved(np.arange(10) / 10 + 0.5), 3)
        0.475
        """
        ordered = np.sort(newest)
        shares = (np.arange(len(ordered)) + 0.5) / len(ordered)
        return float(np.abs(np.quantile(self.ordered, shares) - ordered).mean())

    def threshold(self, samples: int, p: float) -> float:
        """Return the D that so many samples must reach to be as unlikely as `p`; more than 1 is out of reach."""
        return float(kolmogi(p)) / self._weight(samples)

    def _weight(self, samples: int) -> float:
        """Return by what D is to be multiplied to be distributed as Kolmogorov's limit."""
        if samples not in self._weights:
            self._weights[samples] = _stephens(math.sqrt(self.independent(samples)))
        return self._weights[samples]


def distances(ranks: Ranks, lengths: Sequence[int]) -> Shares:
    """Return Kolmogorov-Smirnov's D of the newest samples and a reference, for several numbers of samples.

    D is the largest distance between the two distributions.

    Parameters
    ----------
    ranks
        Where samples lie in the reference, in the order of their times.
    lengths
        How many of the newest to compare, each at least 1 and no more than there are.

    Examples
    --------
    >>> distances(Reference(np.array([1.0, 2, 3, 4])).ranks(np.array([1.0, 2, 3, 4, 5, 6])), (4, 2)).tolist()
    [0.5, 1.0]
    """
    order = (ranks.below + ranks.upto).argsort()
    below, upto = ranks.below[order], ranks.upto[order]
    sizes = np.array(lengths)[:, np.newaxis]
    chosen = order >= len(order) - sizes
    # Between two samples the reference only grows, so the largest distance is at a sample, or just before one.
    here = chosen.cumsum(axis=1) / sizes
    return np.asarray(np.maximum((here - upto).max(axis=1), (below - here + chosen / sizes).max(axis=1)))


def probability(effect: float, independent: float) -> float:
    """Return how likely a D of `effect` or more is by chance, with so many independent samples.

    Stephens' correction makes Kolmogorov's limit good for few samples too (M. A. Stephens, «Use of the Kolmogorov-
    Smirnov, Cramér-von Mises and related statistics without extensive tables», 1970).

    Examples
    --------
    >>> f"{probability(0.5, 40):.0e}", f"{probability(0.1, 40):.2f}"
    ('2e-09', '0.80')
    """
    return float(kolmogorov(_stephens(math.sqrt(independent)) * effect))


def _stephens(root: float) -> float:
    return root + 0.12 + 0.11 / root


def memory(values: Values) -> int:
    """Return after how many samples a signal has forgotten what it was; at most an eighth of what is given.

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> memory(random.random(300)), memory(np.repeat(random.random(30), 10))
    (1, 9)
    """
    longest = max(1, int(len(values) * LONGEST_BLOCK))
    centred = np.asarray(values, np.float64) - np.mean(values)
    power = float(centred @ centred)
    if power <= 0:
        return 1
    for lag in range(1, longest):
        if float(centred[lag:] @ centred[:-lag]) / power < MEMORY:
            return lag
    return longest


def dependence(values: Values, seed: int = 1) -> float:
    """Return how many samples in a row are worth one independent sample, by permuting blocks; 1 at least.

    Parameters
    ----------
    values
        Defined samples in the order of their times, at least 8.
    seed
        Of the permutations.

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> round(dependence(random.random(300)), 1), round(dependence(np.repeat(random.random(30), 10)), 1)
    (1.5, 16.2)
    """
    shortest, longest = 2 * memory(values), max(1, int(len(values) * LONGEST_BLOCK))
    blocks = {min(longest, shortest * times) for times in BLOCKS}
    free = _quantile(values, 1, seed)
    # Without blocks the same values, equal ones among them, are worth one each: what is more comes from neighbours.
    return max(1.0, *((_quantile(values, block, seed) / free) ** 2 for block in blocks)) * CAUTION


def _quantile(values: Values, block: int, seed: int) -> float:
    """Return how large D becomes by chance, as a root of independent samples would make it comparable."""
    random = np.random.default_rng(seed)
    blocks = len(values) // block
    chosen = max(1, round(blocks / 3))
    size, rest = chosen * block, len(values) - chosen * block
    effects = _permuted_distances(values, block, _choices(blocks, chosen, random), random)
    return max(1e-6, float(np.quantile(effects, QUANTILE))) * math.sqrt(size * rest / (size + rest))


def _choices(blocks: int, chosen: int, random: np.random.Generator) -> Marks:
    """Choose some of the blocks by chance, in each round anew; shape (rounds, blocks)."""
    order = random.random((ROUNDS, blocks)).argsort(axis=1)
    return np.asarray(order < chosen)


def _permuted_distances(values: Values, block: int, choices: Marks, random: np.random.Generator) -> Shares:
    """Return the D between the chosen blocks and all the rest, of each round."""
    number = len(values)
    marks = np.zeros((ROUNDS, number), np.bool_)
    marks[:, : choices.shape[1] * block] = np.repeat(choices, block, axis=1)
    # The circle is cut somewhere else every time, so that no block is always whole.
    turned = (np.arange(number) + random.integers(number, size=(ROUNDS, 1))) % number
    marks = np.take_along_axis(marks, turned, axis=1)
    order = np.argsort(values, kind="stable")
    inside = marks[:, order]
    size = int(inside[0].sum())
    between = np.cumsum(inside, axis=1) / size - np.cumsum(~inside, axis=1) / (number - size)
    # Among equal values the distributions have no place between.
    last = np.append(np.diff(values[order]) > 0, True)
    return np.asarray(np.abs(between[:, last]).max(axis=1))


def reference(values: Values, stride: int = 1, least: int = 8, worth: float | None = None) -> Reference | None:
    """Make a reference of one signal's samples, as they came; None if too few of them are defined."""
    found = defined(values)
    return Reference(found, stride, worth) if len(found) >= least else None
