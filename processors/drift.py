"""Whether one signal of one camera still is what it was. Pure.

Two detectors work together. River's ADWIN looks at every nearly independent sample and tells how long the newest
stretch without a change is, so that a sudden change is seen as soon as a few samples show it. Kolmogorov-Smirnov's test
compares that stretch, and some of fixed lengths, with the reference, and decides: the effect must be large enough, so
unlikely that the month's budget of false episodes holds, and there several times in a row.
"""

import math
from typing import NamedTuple

import numpy as np
from river.drift import ADWIN

from maskwatch.drift_messages import SIGNALS
from maskwatch.drift_settings import DriftSettings
from processors.reference import Comparison, Ranks, Reference
from processors.signals import Values

MONTH_S = 30 * 86_400
BACK_P = 0.05
"""A signal is back when a stretch as long as the one that gave it away is likelier than that without a change."""

ADWIN_DELTA = 0.002
"""River's default. Its alarms only choose a length, so a false one does no harm."""


class Policy(NamedTuple):
    """When a difference counts as drift."""

    least: int
    """Samples of the shortest stretch that is compared."""
    most: int
    effect: float
    every: int
    """Samples between two comparisons."""
    persist: int
    p: float
    """A difference is drift if it is less likely than this."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """Return the fixed lengths that are compared, each twice the one before.

        Examples
        --------
        >>> policy(DriftSettings()).lengths
        (20, 40, 80, 160, 240)
        """
        doubled = [self.least * 2**power for power in range(math.ceil(math.log2(self.most / self.least)))]
        return (*doubled, self.most)


def policy(settings: DriftSettings) -> Policy:
    """Work out when a difference counts.

    Every comparison of a month, of every signal and length, is given the same share of the budget (Bonferroni). As
    they overlap, and several in a row are needed, less than the budget is spent.

    Examples
    --------
    >>> f"{policy(DriftSettings()).p:.1e}"
    '6.4e-08'
    """
    plan = Policy(settings.least, settings.most, settings.effect, settings.every, settings.persist, 0.0)
    comparisons = MONTH_S / (settings.sample_s * settings.every) * len(SIGNALS) * (len(plan.lengths) + 1)
    return plan._replace(p=min(0.01, settings.budget / comparisons))


class Verdict(NamedTuple):
    """What a comparison came to."""

    newest: Comparison
    """The stretch that speaks most against the reference; while shifted, the one that gave the shift away."""
    threshold: float
    """The effect from which so many samples would count."""
    shifted: bool


class Watch:
    """Watches one signal.

    Parameters
    ----------
    reference
        What it was like.
    rules
        When a difference counts.

    Attributes
    ----------
    shifted : bool
        Whether it is known to differ.
    run : int
        Comparisons in a row that speak against what is known.
    length : int
        Samples of the stretch that gave a shift away.
    """

    def __init__(self, reference: Reference, rules: Policy) -> None:
        self.reference = reference
        self.shifted = False
        self.run = 0
        self.length = rules.most
        self._rules = rules
        self._every = max(1, round(reference.worth))
        self._until = 1
        self._lengths = rules.lengths
        self._adwin = ADWIN(delta=ADWIN_DELTA, clock=1)  # type: ignore[no-untyped-call]  # River has few types

    def follow(self, earlier: "Watch") -> None:
        """Take over what an earlier watch of the signal knew, on another reference."""
        self.shifted, self.run, self.length = earlier.shifted, earlier.run, earlier.length

    def add(self, value: float) -> None:
        """Take a sample in; one that is undefined is left out."""
        if math.isnan(value):
            return
        self._until -= 1
        if not self._until:
            self._until = self._every
            # By rank, because ADWIN wants values of 0..1.
            self._adwin.update(self.reference.rank(value))  # type: ignore[no-untyped-call]

    def judge(self, newest: Values) -> Verdict | None:
        """Compare, and learn from it.

        Parameters
        ----------
        newest
            The newest samples that are defined, in the order of their times.

        Returns
        -------
        Verdict
            None while there are too few samples.
        """
        rules = self._rules
        if len(newest) < rules.least:
            return None
        ranks = self.reference.ranks(newest)
        if self.shifted:
            found = self.reference.compare(_last(ranks, self.length))
            turned = found.p > BACK_P or found.effect < rules.effect
        else:
            lengths = self._stretches(len(newest))
            found = min((self.reference.compare(_last(ranks, length)) for length in lengths), key=_order)
            turned = found.p < rules.p and found.effect >= rules.effect
        self.run = self.run + 1 if turned else 0
        if self.run >= rules.persist:
            self.shifted, self.run, self.length = not self.shifted, 0, found.samples
        return Verdict(found, max(rules.effect, self.reference.threshold(found.samples, rules.p)), self.shifted)

    def _stretches(self, there: int) -> set[int]:
        rules = self._rules
        since_change = min(rules.most, max(rules.least, int(self._adwin.width) * self._every))
        return {min(there, length) for length in (*self._lengths, since_change)}


def onset(ranks: Values) -> int:
    """Return where values seem to change, by the largest cumulated distance from their mean.

    Parameters
    ----------
    ranks
        In the order of time, at least one.

    Returns
    -------
    int
        Index of the first sample after the change.

    Examples
    --------
    >>> onset(np.array([0.5, 0.4, 0.6, 0.5, 0.0, 0.1, 0.0]))
    4
    """
    cumulated = np.abs(np.cumsum(ranks - ranks.mean()))
    return min(int(cumulated.argmax()) + 1, len(ranks) - 1)


def _last(ranks: Ranks, length: int) -> Ranks:
    return Ranks(ranks.below[-length:], ranks.upto[-length:])


def _order(comparison: Comparison) -> tuple[float, float]:
    return comparison.p, -comparison.effect
