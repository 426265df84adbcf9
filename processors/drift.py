"""Whether one signal of one camera still is what it was. Pure.

Two detectors work together. River's ADWIN looks at every nearly independent sample and tells how long the newest
stretch without a change is, so that a sudden change is seen as soon as a few samples show it. Kolmogorov-Smirnov's test
compares that stretch, and some of fixed lengths, with the reference, and decides: the effect must be large enough, so
unlikely that the month's budget of false episodes holds, as far in the signal's own unit that somebody would care, and
there several times in a row.
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

BACK_SHARE = 0.5
"""Of the smallest change that counts: with less a signal is back, so that it does not flicker at the limit."""

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
    '5.8e-08'
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
    least_change
        How far it must have moved, in its own unit.
    recent
        Samples that came before, in the order of their times; NaN where one is undefined.

    Attributes
    ----------
    shifted : bool
        Whether it is known to differ.
    run : int
        Comparisons in a row that speak against what is known.
    length : int
        Samples of the stretch that gave a shift away.
    """

    def __init__(self, reference: Reference, rules: Policy, least_change: float, recent: Values) -> None:
        self.reference = reference
        self.shifted = False
        self.run = 0
        self.length = rules.most
        self._rules = rules
        self._least_change = least_change
        self._every = max(1, round(reference.worth))
        self._until = 1
        self._lengths = rules.lengths
        self._newest = _Newest(rules.most)
        self._newest.fill(recent, reference.ranks(recent))
        self._adwin = ADWIN(delta=ADWIN_DELTA, clock=1)  # type: ignore[no-untyped-call]  # River has few types

    def follow(self, earlier: "Watch") -> None:
        """Take over what an earlier watch of the signal knew, on another reference."""
        self.shifted, self.run, self.length = earlier.shifted, earlier.run, earlier.length

    def add(self, value: float) -> None:
        """Take a sample in; NaN if it is undefined."""
        below, upto = self.reference.place(value)
        self._newest.add(value, below, upto)
        if math.isnan(value):
            return
        self._until -= 1
        if not self._until:
            self._until = self._every
            # By rank, because ADWIN wants values of 0..1; half of what equals it counts as below.
            self._adwin.update((below + upto) / 2)  # type: ignore[no-untyped-call]

    def judge(self) -> Verdict | None:
        """Compare the newest samples, and learn from it; None while there are too few that are defined."""
        rules = self._rules
        newest, ranks = self._newest.defined()
        if len(newest) < rules.least:
            return None
        if self.shifted:
            found = self.reference.compare(ranks, (min(self.length, len(newest)),))
            turned = found.p > BACK_P or found.effect < rules.effect
            turned = turned or self._moved(newest, found) < BACK_SHARE * self._least_change
        else:
            found = self.reference.compare(ranks, self._stretches(len(newest)))
            turned = found.p < rules.p and found.effect >= rules.effect
            turned = turned and self._moved(newest, found) >= self._least_change
        self.run = self.run + 1 if turned else 0
        if self.run >= rules.persist:
            self.shifted, self.run, self.length = not self.shifted, 0, found.samples
            if not self.shifted:
                # What came before is of the drift: longer stretches would find it again.
                self._newest.keep(found.samples)
        return Verdict(found, max(rules.effect, self.reference.threshold(found.samples, rules.p)), self.shifted)

    def _moved(self, newest: Values, found: Comparison) -> float:
        return self.reference.moved(newest[-found.samples :])

    def _stretches(self, there: int) -> tuple[int, ...]:
        rules = self._rules
        since_change = min(rules.most, max(rules.least, int(self._adwin.width) * self._every))
        return tuple({min(there, length) for length in (*self._lengths, since_change)})


class _Newest:
    """The newest samples and where they lie in the reference, in one piece of memory that is moved now and then."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._columns = np.full((3, 2 * most), math.nan)
        self._values, self._below, self._upto = self._columns
        self._end = 0
        self._undefined = 0

    def fill(self, values: Values, ranks: Ranks) -> None:
        for value, below, upto in zip(values.tolist(), ranks.below.tolist(), ranks.upto.tolist(), strict=True):
            self.add(value, below, upto)

    def add(self, value: float, below: float, upto: float) -> None:
        if self._end == self._columns.shape[1]:
            self._columns[:, : self._most] = self._columns[:, -self._most :]
            self._end = self._most
        end = self._end
        self._values[end], self._below[end], self._upto[end] = value, below, upto
        self._end += 1
        # How many samples ago the last undefined one came, so that they are looked for only where there are some.
        self._undefined = self._most if math.isnan(value) else max(0, self._undefined - 1)

    def keep(self, samples: int) -> None:
        """Forget all but so many of those that are defined."""
        values = self._columns[0, : self._end]
        there = np.flatnonzero(~np.isnan(values))
        values[: there[-samples]] = math.nan
        self._undefined = self._most

    def defined(self) -> tuple[Values, Ranks]:
        values, below, upto = self._columns[:, max(0, self._end - self._most) : self._end]
        if self._undefined:
            there = ~np.isnan(values)
            values, below, upto = values[there], below[there], upto[there]
        return values, Ranks(below, upto)


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
