"""Tables that are topics, followed for as long as the API runs, without a group.

Each topic is read from its beginning, or from some time ago, and then followed; what keeps it from being read is
waited out, and a record that cannot be read is skipped and counted. What the records mean is the taker's business.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing

import structlog
from aiokafka.errors import KafkaError

from maskwatch import kafka, metrics, reading
from maskwatch.errors import BrokerError, MessageError
from maskwatch.settings import Settings
from maskwatch.topics import Name, partitions

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
        The topics, and how far back each begins, in seconds; infinity for its beginning.
    take
        Takes each record; in the event loop, so it must be quick.
    retry_s
        Seconds between two tries while a topic cannot be read.
    most
        For some of the topics: records of a partition, counted from its end, that are read at the start at most.

    Attributes
    ----------
    names : mapping
        The topics, as they were given.
    caught_up : dict
        By topic: set once all that was there at the start was taken.
    """

    def __init__(  # how to follow, and what
        self,
        settings: Settings,
        names: Mapping[Name, float],
        take: Take,
        *,
        retry_s: float = RETRY_S,
        most: Mapping[Name, int] | None = None,
    ) -> None:
        self.names = names
        self._settings = settings
        self._table = take
        self._retry_s = retry_s
        self._most = most or {}
        self.caught_up = {name: asyncio.Event() for name in names}
        self._problem = ""

    @property
    def missing(self) -> str:
        """Why not everything that was there has been read yet; empty once it has."""
        waiting = [name for name, event in self.caught_up.items() if not event.is_set()]
        return (self._problem or f"reading {', '.join(waiting)}") if waiting else ""

    async def follow(self, *names: Name) -> None:
        """Follow some of the topics for ever, with one consumer."""
        places = {place: self.names[name] for name in names for place in partitions(self._settings, name)}
        most = {
            place: self._most[name]
            for name in names
            if name in self._most
            for place in partitions(self._settings, name)
        }
        while True:
            caught_up = asyncio.Event()
            told = asyncio.create_task(self._tell(caught_up, names))
            try:
                async with aclosing(reading.follow_all(self._settings, places, caught_up, most)) as records:
                    async for record in records:
                        self._problem = ""
                        self._take(record)
            except (BrokerError, KafkaError) as error:
                self._problem = str(error)
                log.warning("topics cannot be read; trying again", topics=list(names), error=str(error))
            finally:
                told.cancel()
            await asyncio.sleep(self._retry_s)

    async def _tell(self, caught_up: asyncio.Event, names: Sequence[Name]) -> None:
        await caught_up.wait()
        for name in names:
            self.caught_up[name].set()

    def _take(self, record: kafka.Record) -> None:
        name = Name(record.topic.removeprefix(self._settings.kafka.topic_prefix))
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
