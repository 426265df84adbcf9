"""Signals of the past, read from Kafka when somebody looks at them: a week of every camera is too much to keep.

A camera's windows lie in one partition, among those of a few others. Each reading has a bound in time, in records and
in company: whoever finds too many others reading waits, and is asked to come back when that takes too long.
"""

import asyncio
from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from maskwatch import kafka, metrics
from maskwatch.drift_messages import CameraWindow
from maskwatch.errors import BrokerError, MaskwatchError, MessageError
from maskwatch.kafka import Record
from maskwatch.messages import decode
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count

AT_A_TIME = 4
TIMEOUT_S = 10.0
POLL_MS = 200
MOST_RECORDS = 60_000
"""A week of six cameras at a window a minute."""


class BusyError(MaskwatchError):
    """So many others read that there was no turn in time."""


class Past(NamedTuple):
    """Some of a camera's windows."""

    windows: list[CameraWindow]
    next: datetime
    """Behind the last of them, by Kafka's clock: what comes later is found from here, however late it is written."""


class SignalHistory:
    """Reads windows of signals.

    Parameters
    ----------
    settings
        Name the cluster.
    timeout_s
        Longest time for one reading, waiting for its turn included.
    """

    def __init__(self, settings: Settings, timeout_s: float = TIMEOUT_S) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(AT_A_TIME)

    async def windows(self, camera: str, since: datetime, until: datetime) -> Past:
        """Return a camera's windows that were written in a span of time, in the order in which they were.

        Parameters
        ----------
        camera
            Its id.
        since, until
            By Kafka's clock, since included; what the windows themselves say is by the camera's.

        Raises
        ------
        BrokerError
            If Kafka does not give them in time.
        BusyError
            If too many others read.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._turns.acquire()
        except TimeoutError:
            raise BusyError(f"{AT_A_TIME} others read signals, as many as may at a time") from None
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._read(camera, since, _milliseconds(until))
        except (TimeoutError, KafkaError) as error:
            raise BrokerError(f"{camera}'s signals were not read within {self._timeout_s:g} s: {error!r}") from error
        finally:
            self._turns.release()

    async def _read(self, camera: str, since: datetime, until_ms: int) -> Past:
        place = partition_of(self._settings, Name.SIGNALS, camera)
        consumer = kafka.lone_consumer(self._settings, [place])
        windows: list[CameraWindow] = []
        async with kafka.running(consumer, self._settings):
            end = (await consumer.end_offsets([place]))[place]
            first = (await consumer.offsets_for_times({place: _milliseconds(since)})).get(place)
            if first is None:
                return Past([], since)
            consumer.seek(place, first.offset)
            last = min(end, first.offset + MOST_RECORDS)
            while await consumer.position(place) < last:
                for record in (await consumer.getmany(place, timeout_ms=POLL_MS)).get(place, []):
                    if record.timestamp >= until_ms:
                        return Past(windows, since)
                    since = datetime.fromtimestamp((record.timestamp + 1) / 1000, UTC)
                    if record.key == camera.encode():
                        windows += _read_window(record)
        return Past(windows, since)


def _read_window(record: Record) -> list[CameraWindow]:
    try:
        return [decode(record.value, CameraWindow)]
    except MessageError:
        # Whoever follows the topic has said so.
        metrics.RECORDS_MALFORMED.labels(Name.SIGNALS).inc()
        return []


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def partition_of(settings: Settings, name: Name, camera: str) -> TopicPartition:
    """Return where a camera's records lie in a topic, as every client's default partitioner has it."""
    number = (murmur2(camera.encode()) & 0x7FFFFFFF) % partition_count(name)
    return TopicPartition(f"{settings.kafka.topic_prefix}{name}", number)
