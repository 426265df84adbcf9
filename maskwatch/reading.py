"""Reading a topic without a group: what it holds now, and what comes.

Tables that are topics, such as the wished-for cameras, are read from their beginning and followed; whoever needs them
only once reads what is there. Where to begin and where now is, a span tells.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from maskwatch import kafka
from maskwatch.errors import BrokerError, RefusedError
from maskwatch.kafka import Record
from maskwatch.refusals import forbidden
from maskwatch.settings import Settings

POLL_MS = 200
FOLLOW_WAIT_MS = 5000
"""Who follows asks no more often while nothing comes; what comes is given at once."""

QUIET_MS = 60_000
"""Once all is read that was there, nothing but a record is waited for."""


class Span(NamedTuple):
    """What some partitions held at a moment: offsets to begin with, and those behind the last record."""

    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]


async def span(
    consumer: AIOKafkaConsumer, settings: Settings, partitions: Sequence[TopicPartition], back_s: float
) -> Span:
    """Tell what partitions hold from some time ago until now.

    Parameters
    ----------
    consumer
        Running.
    settings
        Name the cluster.
    partitions
        Which.
    back_s
        How far back to begin, in seconds: 0 for now, infinity for the oldest that is still there.

    Raises
    ------
    BrokerError
        If the broker does not answer in time.
    """
    try:
        async with asyncio.timeout(settings.kafka.timeout_s * 2):
            ends = await consumer.end_offsets(partitions)
            if not back_s:
                return Span(ends, ends)
            if math.isinf(back_s):
                return Span(await consumer.beginning_offsets(partitions), ends)
            since = int((time.time() - back_s) * 1000)
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
    except (KafkaError, TimeoutError, OSError) as error:
        raise _unread(settings, "what topics hold", error) from error
    return Span({p: at.offset if (at := found.get(p)) else ends[p] for p in partitions}, ends)


async def follow(
    settings: Settings, name: str, partitions: int, caught_up: asyncio.Event | None = None, back_s: float = math.inf
) -> AsyncGenerator[Record, None]:
    """Yield every record of a topic from its beginning, then go on with what comes; without a group.

    Parameters
    ----------
    partitions
        How many the topic has, see :data:`maskwatch.topics.TOPICS`.
    caught_up
        Set once all that was there at the start has been yielded and taken.
    back_s
        How far back to begin, in seconds, instead of at the beginning.

    Raises
    ------
    BrokerError
        If the cluster cannot be reached at the start. Later outages are waited for.
    """
    topic = f"{settings.kafka.topic_prefix}{name}"
    places = dict.fromkeys((TopicPartition(topic, number) for number in range(partitions)), back_s)
    async with aclosing(follow_all(settings, places, caught_up)) as records:
        async for record in records:
            yield record


async def follow_all(
    settings: Settings,
    places: Mapping[TopicPartition, float],
    caught_up: asyncio.Event | None = None,
    most: Mapping[TopicPartition, int] | None = None,
) -> AsyncGenerator[Record, None]:
    """Yield every record of some partitions from some time ago, then go on with what comes; one consumer for all.

    Parameters
    ----------
    places
        How far back each begins, in seconds; infinity for its beginning.
    caught_up
        Set once all that was there at the start has been yielded and taken.
    most
        For some partitions: so many records before its end it begins at the earliest, whatever `places` says.

    Raises
    ------
    BrokerError
        If the cluster cannot be reached at the start. Later outages are waited for.
    """
    consumer = kafka.lone_consumer(settings, list(places), FOLLOW_WAIT_MS)
    what = ", ".join(sorted({place.topic for place in places}))
    # Until it is known where to begin: the broker would hold a request for nothing, and the questions behind it.
    consumer.pause(*places)
    async with kafka.running(consumer, settings):
        async with _bounded(settings, what):
            ends: dict[TopicPartition, int] = {}
            for back_s in set(places.values()):
                there = await span(consumer, settings, [place for place in places if places[place] == back_s], back_s)
                ends |= there.ends
                for place, start in there.starts.items():
                    newest = there.ends[place] - most[place] if most and place in most else 0
                    consumer.seek(place, max(start, newest))
        consumer.resume(*places)
        while True:
            settled = caught_up is None or caught_up.is_set()
            if not settled:
                async with _bounded(settings, what):
                    settled = all([await consumer.position(place) >= ends[place] for place in places])
            if settled and caught_up is not None:
                caught_up.set()
            batches = await consumer.getmany(timeout_ms=QUIET_MS if settled else POLL_MS)
            for records in batches.values():
                for record in records:
                    yield record


async def past(
    settings: Settings, places: Sequence[TopicPartition], since: datetime | None = None
) -> AsyncGenerator[Record, None]:
    """Yield every record that some partitions hold from some time on until now, then end.

    Parameters
    ----------
    places
        Which; what comes meanwhile is left out.
    since
        With its zone; from the beginning without it.

    Raises
    ------
    BrokerError
        If the cluster cannot be reached, or gives nothing for a while.
    """
    consumer = kafka.lone_consumer(settings, places)
    what = ", ".join(sorted({place.topic for place in places}))
    consumer.pause(*places)
    async with kafka.running(consumer, settings):
        async with _bounded(settings, what):
            back_s = time.time() - since.timestamp() if since is not None else math.inf
            starts, ends = await span(consumer, settings, places, back_s)
        left = [place for place in places if starts[place] < ends[place]]
        for place in left:
            consumer.seek(place, starts[place])
        consumer.resume(*left)
        heard = time.monotonic()
        while left:
            async with _bounded(settings, what):
                batches = await consumer.getmany(*left, timeout_ms=POLL_MS)
            for place, records in batches.items():
                for record in records:
                    if record.offset < ends[place]:
                        yield record
            async with _bounded(settings, what):
                left = [place for place in left if await consumer.position(place) < ends[place]]
            if batches:
                heard = time.monotonic()
            elif time.monotonic() - heard > settings.kafka.timeout_s:
                raise BrokerError(f"{what} at {settings.bootstrap_servers} gives nothing any more; is Kafka away?")


async def record_at(settings: Settings, place: TopicPartition, offset: int) -> Record | None:
    """Return the very record of an offset, None if it is not there: too old, compacted away, or not written yet.

    It waits for as long as the broker gives nothing: whoever asks sets a bound.

    Parameters
    ----------
    settings
        Name the cluster.
    place
        The partition, its topic named with the prefix.
    offset
        Which of its records.

    Raises
    ------
    BrokerError
        If the cluster cannot be reached at the start.
    KafkaError
        If it refuses later.
    """
    consumer = kafka.lone_consumer(settings, [place])
    consumer.pause(place)
    async with kafka.running(consumer, settings):
        begin = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        if not begin <= offset < end:
            return None
        consumer.seek(place, offset)
        consumer.resume(place)
        # That nothing came says nothing of what is there: only a place behind it does.
        while await consumer.position(place) <= offset:
            came: Sequence[Record] = (await consumer.getmany(timeout_ms=POLL_MS, max_records=1)).get(place, ())
            for record in came:
                # What was compacted away is skipped: then this is another.
                return record if record.offset == offset else None
    return None


async def held(settings: Settings, name: str, partitions: int) -> list[Record]:
    """Return every record that a topic holds now; for topics that are small, such as compacted ones.

    Parameters
    ----------
    partitions
        How many the topic has, see :data:`maskwatch.topics.TOPICS`.

    Raises
    ------
    BrokerError
        If the cluster cannot be reached, or gives nothing for a while.
    """
    topic = f"{settings.kafka.topic_prefix}{name}"
    return [record async for record in past(settings, [TopicPartition(topic, number) for number in range(partitions)])]


@asynccontextmanager
async def _bounded(settings: Settings, topic: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(settings.kafka.timeout_s):
            yield
    except (KafkaError, TimeoutError, OSError) as error:
        raise _unread(settings, topic, error) from error


def _unread(settings: Settings, what: str, error: Exception) -> BrokerError:
    refused = forbidden(error, settings.kafka)
    return (RefusedError if refused else BrokerError)(
        f"{what} at {settings.bootstrap_servers} cannot be read: {refused or repr(error)}"
    )
