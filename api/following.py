"""Tables that are topics, followed for as long as the API runs, without a group.

Each topic is read from its beginning, or from some time ago, and then followed; what keeps it from being read is
waited out, and a record that cannot be read is skipped and counted. What the records mean is the taker's business.
"""

import asyncio
import math
from collections.abc import Callable, Collection

import structlog
from aiokafka.errors import KafkaError

from maskwatch import kafka, metrics, reading
from maskwatch.errors import BrokerError, MessageError
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count

RETRY_S = 5.0

Take = Callable[[Name, kafka.Record], None]
"""Takes one record into a table; raises MessageError if it is not what its topic promises."""

log = structlog.get_logger(__name__)


class Following:
    """Follows topics into a table.

    Parameters
    ----------
    settings
        Name the cluster.
    names
        The topics.
    take
        Takes each record; in the event loop, so it must be quick.
    back_s
        How far back to begin, in seconds; infinity for the beginning.
    retry_s
        Seconds between two tries while a topic cannot be read.

    Attributes
    ----------
    names : tuple of Name
        The topics.
    caught_up : dict
        By topic: set once all that was there at the start was taken.
    """

    def __init__(
        self,
        settings: Settings,
        names: Collection[Name],
        take: Take,
        *,
        back_s: float = math.inf,
        retry_s: float = RETRY_S,
    ) -> None:
        self.names = tuple(names)
        self._settings = settings
        self._table = take
        self._back_s = back_s
        self._retry_s = retry_s
        self.caught_up = {name: asyncio.Event() for name in names}
        self._problem = ""

    @property
    def missing(self) -> str:
        """Why not everything that was there has been read yet; empty once it has."""
        waiting = [name for name, event in self.caught_up.items() if not event.is_set()]
        return (self._problem or f"reading {', '.join(waiting)}") if waiting else ""

    async def follow(self, name: Name) -> None:
        """Follow one topic for ever."""
        count, caught_up = partition_count(name), self.caught_up[name]
        while True:
            try:
                async for record in reading.follow(self._settings, name, count, caught_up, self._back_s):
                    self._problem = ""
                    self._take(name, record)
            except (BrokerError, KafkaError) as error:
                self._problem = str(error)
                log.warning("topic cannot be read; trying again", topic=name, error=str(error))
            await asyncio.sleep(self._retry_s)

    def _take(self, name: Name, record: kafka.Record) -> None:
        try:
            self._table(name, record)
        except MessageError as error:
            metrics.RECORDS_MALFORMED.labels(name).inc()
            log.warning(
                "malformed record skipped",
                topic=name,
                partition=record.partition,
                offset=record.offset,
                error=str(error),
            )
