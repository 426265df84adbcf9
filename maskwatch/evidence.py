"""The picture of a frame that is no longer live, as far as it was recorded.

A detection names its frame on ``frames.live.v1``, which keeps a minute. What is kept for a day is a frame a second of
each camera on ``frames.recording.v1``: whoever wants to see what was there gets the frame itself where it was
recorded, and else its nearest neighbour.
"""

import asyncio
from datetime import datetime, timedelta
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from maskwatch import kafka
from maskwatch.errors import BrokerError, MessageError
from maskwatch.kafka import Record
from maskwatch.messages import FrameInfo, FrameRef, read_frame_headers
from maskwatch.settings import Settings
from maskwatch.topics import Name

TIMEOUT_S = 10.0
NEAR = timedelta(seconds=3)
"""A neighbour further away than this shows something else."""

AHEAD = timedelta(seconds=30)
"""By so much a camera's clock may be ahead of Kafka's, by which the place is found."""

POLL_MS = 200


class Evidence(NamedTuple):
    """A recorded picture."""

    info: FrameInfo
    jpeg: bytes
    exact: bool
    """Whether it is the very frame that was asked for."""


async def picture(settings: Settings, frame: FrameRef, timeout_s: float = TIMEOUT_S) -> Evidence | None:
    """Return the recorded picture that is nearest to a frame.

    Parameters
    ----------
    settings
        Name the cluster.
    frame
        As a detection names it. Both topics have the same key and the same number of partitions, so its recording lies
        in the partition of the same number.
    timeout_s
        Longest time for it, in seconds.

    Returns
    -------
    Evidence or None
        None if nothing near it was recorded, or if that is gone by now.

    Raises
    ------
    BrokerError
        If Kafka does not answer in time.
    """
    place = TopicPartition(f"{settings.kafka.topic_prefix}{Name.FRAMES_RECORDING}", frame.partition)
    consumer = kafka.lone_consumer(settings, [place])
    try:
        async with asyncio.timeout(timeout_s), kafka.running(consumer, settings):
            return await _nearest(consumer, place, frame)
    except (TimeoutError, KafkaError) as error:
        raise BrokerError(f"the picture of {frame.id} was not read within {timeout_s:g} s: {error!r}") from error


async def _nearest(consumer: AIOKafkaConsumer, place: TopicPartition, frame: FrameRef) -> Evidence | None:
    end = (await consumer.end_offsets([place]))[place]
    since = int((frame.captured - NEAR - AHEAD).timestamp() * 1000)
    first = (await consumer.offsets_for_times({place: since})).get(place)
    best: Evidence | None = None
    if first is None:
        return None
    consumer.seek(place, first.offset)
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=POLL_MS, max_records=50)).get(place, []):
            found = _read(record)
            if found is None or found[0].camera != frame.camera:
                continue
            info, jpeg = found
            if info.id == frame.id:
                return Evidence(info, jpeg, exact=True)
            if info.captured > frame.captured + NEAR:
                return best
            if _apart(info.captured, frame) <= (_apart(best.info.captured, frame) if best else NEAR):
                best = Evidence(info, jpeg, exact=False)
    return best


def _read(record: Record) -> tuple[FrameInfo, bytes] | None:
    try:
        return read_frame_headers(record.headers), record.value or b""
    except MessageError:
        return None


def _apart(captured: datetime, frame: FrameRef) -> timedelta:
    return abs(captured - frame.captured)
