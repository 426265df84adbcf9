"""What the API knows of labels: a table that topics keep up to date."""

import math

from api.following import Following
from api.label_table import LabelTable
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count

FEEDS = {Name.LABELS: math.inf, Name.LABEL_REQUESTS: math.inf}


class LabelFeed:
    """Keeps a table of labels up to date.

    Parameters
    ----------
    settings
        Name the cluster, and how many requests are kept.

    Attributes
    ----------
    table : LabelTable
        What is known so far.
    """

    def __init__(self, settings: Settings) -> None:
        self.table = LabelTable(settings.labels.queue)
        # Requests carry their pictures: a month of them is not read through at every start.
        newest = -(-settings.labels.queue // partition_count(Name.LABEL_REQUESTS))
        self._following = Following(settings, FEEDS, self.table.take, most={Name.LABEL_REQUESTS: newest})

    @property
    def missing(self) -> str:
        """Why the table is not complete yet; empty once it is."""
        return self._following.missing

    async def run(self) -> None:
        """Keep the table up to date for ever."""
        await self._following.follow(*FEEDS)
