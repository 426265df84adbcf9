"""What the API knows of drift: a table that topics keep up to date, and the signals' past on request."""

from api.drift_table import FEEDS, DriftTable
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
        self._following = Following(settings, FEEDS, self.table.take)

    @property
    def missing(self) -> str:
        """Why the table is not complete yet; empty once it is."""
        return self._following.missing

    async def run(self) -> None:
        """Keep the table up to date for ever."""
        await self._following.follow(*FEEDS)
