"""Detections for listeners over HTTP, for those without a Kafka client: read once, handed to everyone.

``detections.v1`` is read only while somebody listens, from then on. A listener has a bounded queue, newest wins: one
that is slow loses old detections, is told how many, and costs the others nothing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog
from aiokafka.errors import KafkaError

from maskwatch import kafka, metrics, reading
from maskwatch.errors import BrokerError, MaskwatchError, MessageError
from maskwatch.kafka import Record
from maskwatch.messages import CLASSES, Detection, Label, decode
from maskwatch.settings import Settings
from maskwatch.topics import Name, partitions

MOST_QUEUED = 256
"""Detections: some seconds of many cameras, 100 kB."""

POLL_MS = 200
RETRY_S = 1.0

log = structlog.get_logger(__name__)


class Filter(NamedTuple):
    """Which detections a listener wants."""

    cameras: Collection[str] = ()
    labels: Collection[Label] = ()
    """With a face of one of these; with or without faces if empty."""
    least_score: float = 0.0
    """With such a face of this score or more."""

    def wants(self, detection: Detection) -> bool:
        """Tell whether a detection is wanted."""
        if self.cameras and detection.frame.camera not in self.cameras:
            return False
        if not self.labels and not self.least_score:
            return True
        labels = self.labels or CLASSES
        return any(face.label in labels and face.score >= self.least_score for face in detection.objects)


class Heard(NamedTuple):
    """A detection as it came."""

    id: str
    """The frame's."""
    value: bytes
    """JSON."""
    lost: int
    """Detections before it that this listener was too slow for."""


class Listener:
    """Somebody who listens."""

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._queue: deque[tuple[str, bytes]] = deque()
        self._lost = 0
        self._changed = asyncio.Event()

    def offer(self, detection: Detection, value: bytes) -> None:
        """Queue a detection if it is wanted, in the place of the oldest if there is no room."""
        if not self._wanted.wants(detection):
            return
        if len(self._queue) >= MOST_QUEUED:
            self._queue.popleft()
            self._lost += 1
        self._queue.append((detection.frame.id, value))
        self._changed.set()

    async def next(self) -> Heard:
        """Wait for a detection and return it."""
        while not self._queue:
            self._changed.clear()
            await self._changed.wait()
        lost, self._lost = self._lost, 0
        return Heard(*self._queue.popleft(), lost)


class TooManyListenersError(MaskwatchError):
    """There are as many listeners as there may be."""


class DetectionStream:
    """Reads detections while somebody listens.

    Parameters
    ----------
    settings
        Name the cluster, and how many may listen.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._partitions = partitions(settings, Name.DETECTIONS)
        self._listeners: set[Listener] = set()
        self._wanted = asyncio.Event()

    @asynccontextmanager
    async def listening(self, wanted: Filter) -> AsyncIterator[Listener]:
        """Let somebody listen.

        Raises
        ------
        TooManyListenersError
            If there are as many as there may be.
        """
        most = self._settings.api.max_listeners
        if len(self._listeners) >= most:
            raise TooManyListenersError(f"{most} listen already, as many as there may be")
        listener = Listener(wanted)
        self._listeners.add(listener)
        self._wanted.set()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                self._wanted.clear()

    async def run(self) -> None:
        """Read for ever, while somebody listens; a cluster that is away is waited for."""
        while True:
            await self._wanted.wait()
            try:
                await self._read()
            except (BrokerError, KafkaError) as error:
                log.warning("detections cannot be read; trying again", error=str(error))
                await asyncio.sleep(RETRY_S)

    async def _read(self) -> None:
        consumer = kafka.lone_consumer(self._settings, self._partitions)
        async with kafka.running(consumer, self._settings):
            span = await reading.span(consumer, self._settings, self._partitions, 0)
            for partition, end in span.ends.items():
                consumer.seek(partition, end)
            while self._listeners:
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        self._offer(record)

    def _offer(self, record: Record) -> None:
        try:
            detection = decode(record.value, Detection)
        except MessageError as error:
            metrics.RECORDS_MALFORMED.labels(Name.DETECTIONS).inc()
            where = {"partition": record.partition, "offset": record.offset}
            log.warning("malformed record skipped", topic=record.topic, **where, error=str(error))
            return
        for listener in self._listeners:
            listener.offer(detection, record.value or b"")
