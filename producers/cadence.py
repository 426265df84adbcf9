"""When is the next picture due? Rates as pure decisions over a time that comes in, and a source that keeps to one."""

import random
import time
from collections.abc import Callable

from producers.source import Shot, Source

Clock = Callable[[], float]
"""Seconds on a clock that never goes backwards."""

Wait = Callable[[float], bool]
"""Waits for some seconds; True, at once, when the source is to stop."""

LONGEST_RETRY_S = 60.0


class Cadence:
    """Chooses from the moments that come by, at most `rate` a second.

    Parameters
    ----------
    rate
        Moments a second; 0 chooses none.

    Notes
    -----
    Moments that come a little early count, so that a source whose own rate is the cap loses none to jitter. The
    schedule goes on from when a moment was due, not from when it came, so that the rate is kept on average.

    Examples
    --------
    >>> cadence = Cadence(2)
    >>> [moment for moment in (0.0, 0.3, 0.6, 0.9, 1.2, 1.5) if cadence.due(moment)]
    [0.0, 0.6, 1.2, 1.5]
    """

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate if rate else None
        self._next: float | None = None

    def due(self, moment: float) -> bool:
        """Tell whether a moment, in seconds, is chosen; the next is due an interval later."""
        if self._interval is None:
            return False
        if self.remaining(moment) > self._interval / 10:
            return False
        following = (moment if self._next is None else self._next) + self._interval
        # After a gap nothing is made up for.
        self._next = following if following > moment else moment + self._interval
        return True

    def remaining(self, moment: float) -> float:
        """Return how many seconds after `moment` the next one is due; 0 if it is due now."""
        return 0.0 if self._next is None else max(0.0, self._next - moment)


class Paced:
    """A source that is asked only when a picture is due: for those that could always give one.

    Parameters
    ----------
    source
        What is asked.
    rate
        Pictures a second.
    clock, wait
        How time passes.
    """

    def __init__(self, source: Source, rate: float, *, clock: Clock = time.monotonic, wait: Wait) -> None:
        self._source = source
        self._cadence = Cadence(rate)
        self._clock = clock
        self._wait = wait

    def read(self) -> Shot | None:
        """Return the next picture when it is due; None at the end, or when told to stop."""
        if self._wait(self._cadence.remaining(self._clock())):
            return None
        self._cadence.due(self._clock())
        return self._source.read()

    def close(self) -> None:
        """Close what is paced."""
        self._source.close()


def retry_delay(failures: int, chance: float | None = None) -> float:
    """Say how long to wait before a source is opened again.

    Parameters
    ----------
    failures
        How often in a row it has failed, at least 1.
    chance
        0..1, spreads sources that failed together; drawn at random without it.

    Returns
    -------
    float
        Seconds: doubling from 1 to 60, less up to a half.

    Examples
    --------
    >>> [retry_delay(failures, chance=0) for failures in (1, 2, 3, 10)]
    [1.0, 2.0, 4.0, 60.0]
    >>> retry_delay(1, chance=1)
    1.0
    """
    spread = random.random() if chance is None else chance  # noqa: S311  # spreads load, guards nothing
    longest = min(LONGEST_RETRY_S, 2.0 ** min(failures - 1, 10))
    return max(1.0, longest * (1 - spread / 2))
