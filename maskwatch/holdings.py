"""What lies in Kafka, who reads it and how far behind they are: what an operator wants to know of the topics."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from maskwatch import kafka, topics
from maskwatch.errors import BrokerError
from maskwatch.logdirs import Occupancy, occupancy
from maskwatch.settings import Settings
from maskwatch.topics import TOPICS, Name

GROUPS: Mapping[str, tuple[str, tuple[Name, ...]]] = {
    "detector-live": ("detector", (Name.FRAMES_LIVE,)),
    "detector-upload": ("detector", (Name.FRAMES_UPLOAD,)),
    "live": ("live", (Name.FRAMES_LIVE, Name.DETECTIONS)),
    "drift": ("drift", (Name.DETECTIONS,)),
    "alerts": ("alerts", (Name.DRIFT,)),
    "dataset": ("dataset", (Name.LABELS,)),
    "rollout": ("rollout", (Name.COMMANDS,)),
    "retrain": ("retrainer", (Name.COMMANDS,)),
    "archive": ("archive", (Name.PREDICTIONS,)),
}
"""Consumer groups, the stage that each is of, and what it reads."""


class Holding(msgspec.Struct, frozen=True):
    """One topic."""

    name: Name
    records: int
    bytes: int
    oldest: datetime | None
    """Of the oldest record; None in an empty topic."""
    kept: str
    """For how long, by the contract."""
    lag: Mapping[str, int]
    """Records that each group has not read yet."""


class Readers(msgspec.Struct, frozen=True):
    """One consumer group."""

    group: str
    stage: str
    hosts: tuple[str, ...]
    """One for each member."""


class Holdings(msgspec.Struct, frozen=True):
    """What lies in Kafka at a moment."""

    topics: tuple[Holding, ...]
    readers: tuple[Readers, ...]
    free: int | None
    """Bytes left on the fullest broker's disk; None if the brokers are too old to say."""
    total: int | None


async def holdings(settings: Settings, timeout_s: float) -> Holdings:
    """Look at every topic that we have and that the broker has.

    Parameters
    ----------
    settings
        Name the cluster and the prefix.
    timeout_s
        Longest time for all of it, in seconds.

    Raises
    ------
    BrokerError
        If Kafka does not answer in time.
    """
    admin = AIOKafkaAdminClient(**kafka.connection_options(settings), request_timeout_ms=int(timeout_s * 1000))
    try:
        async with asyncio.timeout(timeout_s):
            try:
                await admin.start()
                return await _look(admin, settings)
            finally:
                await admin.close()
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerError(f"Kafka at {settings.bootstrap_servers} does not say what it holds: {error!r}") from error


async def _look(admin: AIOKafkaAdminClient, settings: Settings) -> Holdings:
    prefix = settings.kafka.topic_prefix
    there = set(await admin.list_topics())
    ours = [topic for topic in TOPICS if f"{prefix}{topic.name}" in there]
    places = [place for topic in ours for place in topics.partitions(settings, topic.name)]
    taken = await occupancy(admin)
    begins, ends, oldest = await _offsets(settings, places)
    committed = {group: await _committed(admin, f"{prefix}{group}") for group in GROUPS}
    readers = await _readers(admin, prefix)
    return Holdings(
        tuple(_holding(settings, topic, taken, begins, ends, oldest, committed) for topic in ours),
        readers,
        taken.free,
        taken.total,
    )


async def _offsets(
    settings: Settings, places: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int], dict[TopicPartition, int]]:
    # All are named, so that their leaders are asked for at once and not one topic after the other; none is read.
    consumer = kafka.lone_consumer(settings, places)
    consumer.pause(*places)
    async with kafka.running(consumer, settings):
        ends = await consumer.end_offsets(places)
        begins = await consumer.beginning_offsets(places)
        # The first record since the beginning of time is the oldest: the broker looks it up, nothing is read.
        found = await consumer.offsets_for_times({place: 0 for place in places if ends[place] > begins[place]})
    return begins, ends, {place: at.timestamp for place, at in found.items() if at is not None}


async def _committed(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    found: Mapping[TopicPartition, Any] = await admin.list_consumer_group_offsets(group)
    return {place: at.offset for place, at in found.items() if at.offset >= 0}


async def _readers(admin: AIOKafkaAdminClient, prefix: str) -> tuple[Readers, ...]:
    found = []
    for group, (stage, _) in GROUPS.items():
        # One at a time: aiokafka 0.14 reads the answer for several (version 3) as that of version 2, and stumbles.
        (answer,) = await admin.describe_consumer_groups([f"{prefix}{group}"])
        _error, _group, _state, _type, _protocol, members, *_ = answer.groups[0]
        found.append(Readers(group, stage, tuple(member[2].lstrip("/") for member in members)))
    return tuple(found)


def _holding(  # noqa: PLR0913, PLR0917  # what was looked up, by kind
    settings: Settings,
    topic: topics.Topic,
    taken: Occupancy,
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    oldest: Mapping[TopicPartition, int],
    committed: Mapping[str, Mapping[TopicPartition, int]],
) -> Holding:
    places = topics.partitions(settings, topic.name)
    first = min((oldest[place] for place in places if place in oldest), default=None)
    lag = {
        group: sum(max(0, ends[place] - max(begins[place], read[place])) for place in places if place in read)
        for group, read in committed.items()
        if topic.name in GROUPS[group][1] and read
    }
    return Holding(
        topic.name,
        sum(ends[place] - begins[place] for place in places),
        taken.bytes.get(f"{settings.kafka.topic_prefix}{topic.name}", 0),
        datetime.fromtimestamp(first / 1000, UTC) if first is not None else None,
        topic.kept(),
        lag,
    )
