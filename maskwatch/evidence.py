"""The picture of a frame that is no longer live, as far as it was recorded.

A detection names its frame on ``frames.live.v1``, which keeps a minute. What is kept for a day is a frame a second of
each camera on ``frames.recording.v1``: whoever wants to see what was there gets the frame itself where it was
recorded, and else its nearest neighbour.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from maskwatch import kafka, reading
from maskwatch.errors import BrokerError, MessageError
from maskwatch.kafka import Record
from maskwatch.messages import Box, Detection, FrameInfo, FrameRef, decode, read_frame_headers
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


async def very_picture(settings: Settings, frame: FrameRef, timeout_s: float = TIMEOUT_S) -> bytes | None:
    """Return the very picture of a frame: from the recording, else from where it was live; None if it is gone.

    Parameters
    ----------
    settings
        Name the cluster.
    frame
        As a detection names it.
    timeout_s
        Longest time for it, in seconds, wherever it is looked for.

    Raises
    ------
    BrokerError
        If Kafka does not answer in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            found = await picture(settings, frame, timeout_s)
            return found.jpeg if found is not None and found.exact else await _live_picture(settings, frame)
    except (TimeoutError, KafkaError) as error:
        raise BrokerError(f"the picture of {frame.id} was not read within {timeout_s:g} s: {error!r}") from error


async def _live_picture(settings: Settings, frame: FrameRef) -> bytes | None:
    record = await reading.record_at(settings, TopicPartition(frame.topic, frame.partition), frame.offset)
    if record is None or dict(record.headers).get("ce_id") != frame.id.encode():
        return None
    return bytes(record.value or b"")


async def faces(settings: Settings, info: FrameInfo, partition: int, timeout_s: float = TIMEOUT_S) -> list[Box] | None:
    """Return where a model saw faces on a frame, None if nobody has told what was seen on it.

    Parameters
    ----------
    settings
        Name the cluster.
    info
        The frame.
    partition
        Where its camera's records lie, in every topic of so many partitions.
    timeout_s
        Longest time for it, in seconds.

    Raises
    ------
    BrokerError
        If Kafka does not answer in time.
    """
    place = TopicPartition(f"{settings.kafka.topic_prefix}{Name.DETECTIONS}", partition)
    consumer = kafka.lone_consumer(settings, [place])
    try:
        async with asyncio.timeout(timeout_s), kafka.running(consumer, settings):
            async for detection in _detections(consumer, place, info):
                if detection.frame.id == info.id:
                    return [face.box for face in detection.objects]
    except (TimeoutError, KafkaError) as error:
        raise BrokerError(f"what was seen on {info.id} was not read within {timeout_s:g} s: {error!r}") from error
    return None


async def _detections(consumer: AIOKafkaConsumer, place: TopicPartition, info: FrameInfo) -> AsyncIterator[Detection]:
    """Yield the detections of a frame's camera, from before the frame until after it."""
    end = (await consumer.end_offsets([place]))[place]
    since = int((info.captured - AHEAD).timestamp() * 1000)
    first = (await consumer.offsets_for_times({place: since})).get(place)
    if first is None:
        return
    consumer.seek(place, first.offset)
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=POLL_MS)).get(place, []):
            with suppress(MessageError):
                detection = decode(record.value, Detection)
                if detection.frame.camera != info.camera:
                    continue
                if detection.frame.captured > info.captured + NEAR:
                    return
                yield detection


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
