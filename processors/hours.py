"""What a camera is like at each hour of the day, once that hour was seen. Pure, apart from what it keeps.

An hour is learned whole and then kept, so that a change from day to day is noticed. If it is contradicted on two days
in a row, the newer day is believed: the first may have been no ordinary one, and the sun sets at another time by then.
"""

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from maskwatch.drift_messages import SIGNALS
from maskwatch.drift_settings import DriftSettings
from processors.signals import Samples

HOUR_S = 3600
DAY_H = 24
SAMPLES = 400
"""Of an hour, at most: at two seconds a sample, one in five of them rounded up."""

LEAST_SHARE = 0.5
"""An hour of which less was seen is not learned."""

PATIENCE = 2
"""Days in a row that must contradict an hour before it is learned again."""

Rows = tuple[tuple[float | None, ...], ...]
"""Samples as JSON has them: None for what is undefined."""


class HourState(msgspec.Struct, frozen=True):
    """The hour that is being seen, and what speaks against those that were."""

    number: int | None = None
    """Since the epoch."""
    rows: Rows = ()
    count: int = 0
    drifted: bool = False
    contradicted: dict[int, int] = {}
    """Days in a row, by hour of the day."""


class Hours:
    """The hours of one camera.

    Attributes
    ----------
    changed : set of int
        Hours of the day that were learned since somebody cleared this.
    """

    def __init__(self, settings: DriftSettings, known: Mapping[int, Samples], state: HourState) -> None:
        self.changed: set[int] = set()
        self._known = dict(known)
        self._stride = max(1, round(HOUR_S / settings.sample_s / SAMPLES))
        self._whole = HOUR_S / settings.sample_s / self._stride
        self._number = state.number
        self._rows: list[Samples] = list(as_matrix(state.rows))
        self._count = state.count
        self._drifted = state.drifted
        self._contradicted = dict(state.contradicted)

    def add(self, row: Samples, at: float, *, drifting: bool) -> bool:
        """Take a sample in.

        Parameters
        ----------
        row
            Its signals.
        at
            Seconds since the epoch.
        drifting
            Whether an episode is open.

        Returns
        -------
        bool
            Whether another hour has begun.
        """
        number = int(at // HOUR_S)
        turned = self._number is not None and number != self._number
        if turned:
            self._finish()
        self._number = number
        if self._count % self._stride == 0:
            self._rows.append(row)
        self._count += 1
        self._drifted |= drifting
        return turned

    def reference(self, at: float) -> tuple[Samples, int] | None:
        """Return what the hour and its neighbours were like, and the stride of that; None for an hour not seen yet.

        The neighbours belong to it because the stretch that is compared may have begun before the hour did.
        """
        hour = int(at // HOUR_S) % DAY_H
        if hour not in self._known:
            return None
        around = (self._known[near % DAY_H] for near in (hour - 1, hour, hour + 1) if near % DAY_H in self._known)
        return np.concatenate(list(around)), self._stride

    def samples(self, hour: int) -> Samples:
        """Return what was learned of an hour of the day."""
        return self._known[hour]

    def forget(self) -> None:
        """Forget everything: it is learned again."""
        self.changed |= self._known.keys()
        self._known.clear()
        self._contradicted.clear()
        self._rows.clear()
        self._count, self._drifted = 0, False

    def knows(self, hour: int) -> bool:
        """Tell whether an hour of the day was learned."""
        return hour in self._known

    def state(self) -> HourState:
        """Return what must be known to go on with the hour."""
        return HourState(self._number, as_rows(self._rows), self._count, self._drifted, dict(self._contradicted))

    def _finish(self) -> None:
        assert self._number is not None  # noqa: S101  # one has begun
        hour = self._number % DAY_H
        if len(self._rows) >= LEAST_SHARE * self._whole:
            against = self._contradicted.get(hour, 0) + 1 if self._drifted and hour in self._known else 0
            self._contradicted[hour] = against
            if hour not in self._known or against >= PATIENCE:
                self._known[hour] = np.array(self._rows, np.float32)
                self._contradicted[hour] = 0
                self.changed.add(hour)
        self._rows = []
        self._count, self._drifted = 0, False


def as_rows(samples: Iterable[Samples]) -> Rows:
    """Write samples as JSON can have them, to five digits."""
    return tuple(tuple(None if np.isnan(x) else float(f"{x:.5g}") for x in row) for row in samples)


def as_matrix(rows: Rows) -> Samples:
    """Read samples back.

    Raises
    ------
    ValueError
        If they were kept when there were other signals.

    Examples
    --------
    >>> as_rows(as_matrix(((None,) * 10 + (0.25,),)))[0][-2:]
    (None, 0.25)
    """
    if not rows:
        return np.empty((0, len(SIGNALS)), np.float32)
    if len(rows[0]) != len(SIGNALS):
        raise ValueError(f"samples have {len(rows[0])} signals, not {len(SIGNALS)}: an earlier version kept them")
    return np.array([[np.nan if x is None else x for x in row] for row in rows], np.float32)
