"""What the API knows of drift: a table that topics keep up to date, and the signals' past on request."""

from collections.abc import Coroutine

from api.drift_table import FEEDS, RECENT, RECENT_S, DriftTable
from api.following import Following
from api.history import SignalHistory
from maskwatch.settings import Settings


class DriftFeed:
    """Keeps a table of drift up to date.

    Parameters
    ----------
    settings
        Name the cluster.

    Attributes
    ----------
    table : DriftTable
        What is known so far.
    history : SignalHistory
        Reads the signals of the past.
    """

    def __init__(self, settings: Settings) -> None:
        self.table = DriftTable()
        self.history = SignalHistory(settings)
        self._following = (
            Following(settings, FEEDS, self.table.take),
            Following(settings, RECENT, self.table.take, back_s=RECENT_S),
        )

    @property
    def missing(self) -> str:
        """Why the table is not complete yet; empty once it is."""
        return "; ".join(missing for one in self._following if (missing := one.missing))

    def work(self) -> list[Coroutine[None, None, None]]:
        """Return what keeps the table up to date; each runs for ever."""
        return [one.follow(name) for one in self._following for name in one.names]
