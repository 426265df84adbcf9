"""Keep the latest picture of each camera in Valkey, with what was seen on it.

Reads frames and detections, joins them (:mod:`consumers.join`) and writes one record per camera, newest wins, in one
round trip per batch. It begins at the end of both topics and commits nothing: an old picture is of no use to a
viewer. While Valkey is away, records are counted and dropped, never queued.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, Self

import structlog
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from consumers.join import Joined, Joiner, Limits
from maskwatch import kafka, metrics, worker
from maskwatch.errors import BrokerError, MessageError, StoreError
from maskwatch.kafka import Record
from maskwatch.messages import Detection, decode, read_frame_headers
from maskwatch.overlay import last_key, live_key, pack
from maskwatch.settings import Settings
from maskwatch.topics import Name

POLL_MS = 500
"""So often it is looked whether to stop, and who waits in vain, while nothing comes."""

LAST_INTERVAL_S = 1.0
"""A camera's last picture is refreshed at most this often: it is for when the camera is gone. So is the picture of a
camera that nobody looks at, for whoever comes next.
"""

RETRY_S = 0.5
"""After a failure Valkey is left alone for this long."""

WARN_INTERVAL_S = 10.0
"""Malformed records are warned about at most this often; the metric counts them all."""

log = structlog.get_logger(__name__)


class Records(Protocol):
    """Where records come from: a Kafka consumer, or a list in tests."""

    async def getmany(self, *, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Record]]:
        """Return what there is, or wait for it, no longer than `timeout_ms`. Raises KafkaError."""
        ...


class Pictures(Protocol):
    """Where the latest pictures are kept: Valkey, or a dict in tests."""

    async def keep(self, pictures: Sequence[Joined], now: float) -> None:
        """Replace the pictures of these cameras, within a bound. Raises StoreError."""
        ...


class ValkeyPictures:
    """The latest pictures in Valkey.

    Whether somebody looks at a camera is what Valkey answers to an announcement: how many have heard it. Only for those
    every picture is written.

    Parameters
    ----------
    settings
        Name the store, its time-outs, and how long pictures are kept.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last: dict[str, float] = {}
        self._watched: frozenset[str] = frozenset()
        timeout_s = settings.valkey.timeout_s
        self._client = Redis.from_url(
            settings.valkey_url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # One new connection at once, since Valkey may just have been restarted; then the caller decides.
            retry=Retry(NoBackoff(), 1),
            max_connections=1,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def keep(self, pictures: Sequence[Joined], now: float) -> None:
        """Write the pictures and announce them, in one round trip.

        Raises
        ------
        StoreError
            If Valkey did not answer in time or refused.
        """
        live = self._settings.live
        due = {p.camera for p in pictures if now - self._last.get(p.camera, -LAST_INTERVAL_S) >= LAST_INTERVAL_S}
        pipe = self._client.pipeline(transaction=False)
        for picture in pictures:
            if picture.camera in due or picture.camera in self._watched:
                record = pack(picture.live, picture.jpeg)
                pipe.set(live_key(picture.camera), record, ex=live.fresh_s)
                if picture.camera in due:
                    pipe.set(last_key(picture.camera), record, ex=live.last_s)
        # Announced after all are written, which their order in the pipe sees to.
        for picture in pictures:
            pipe.publish(live_key(picture.camera), picture.live.frame.id)
        try:
            async with asyncio.timeout(self._settings.valkey.timeout_s):
                heard = (await pipe.execute())[-len(pictures) :]
        except (RedisError, TimeoutError, OSError) as error:
            # What comes back may be empty.
            self._last.clear()
            raise StoreError(f"Valkey does not take pictures: {error!r}") from error
        told = {picture.camera: viewers for picture, viewers in zip(pictures, heard, strict=True)}
        self._last = {camera: at for camera, at in self._last.items() if now - at < LAST_INTERVAL_S}
        self._last |= dict.fromkeys(due, now)
        # Of a camera that is gone nothing is kept.
        silent = self._watched & (self._last.keys() - told.keys())
        self._watched = silent | {camera for camera, viewers in told.items() if viewers}


class _Writer:
    """Gives pictures to the store, and drops them while it is away."""

    def __init__(self, pictures: Pictures, retry_s: float) -> None:
        self._pictures = pictures
        self._retry_s = retry_s
        self._retry_at: float | None = None

    async def write(self, joined: Iterable[Joined], now: float) -> None:
        newest = list({picture.camera: picture for picture in joined}.values())
        if not newest:
            return
        if self._retry_at is not None and now < self._retry_at:
            metrics.STORE_FAILURES.inc(len(newest))
            return
        try:
            await self._pictures.keep(newest, now)
        except StoreError as error:
            metrics.STORE_FAILURES.inc(len(newest))
            if self._retry_at is None:
                log.warning("pictures are dropped while Valkey is away", error=str(error))
            self._retry_at = time.monotonic() + self._retry_s
        else:
            if self._retry_at is not None:
                log.info("Valkey takes pictures again")
            self._retry_at = None


class _Reader:
    """Reads one record after the other into the join; what cannot be read is counted and skipped."""

    def __init__(self, joiner: Joiner, frames: str) -> None:
        self._joiner = joiner
        self._frames = frames
        self._warned = -WARN_INTERVAL_S

    def read(self, record: Record, now: float) -> Joined | None:
        try:
            if record.topic != self._frames:
                return self._joiner.add_detection(decode(record.value, Detection), now)
            return self._joiner.add_frame(read_frame_headers(record.headers), _jpeg(record), _appended(record), now)
        except MessageError as error:
            metrics.RECORDS_MALFORMED.labels(record.topic).inc()
            if now - self._warned >= WARN_INTERVAL_S:
                self._warned = now
                log.warning(
                    "malformed record skipped",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    error=str(error),
                )
            return None


def _jpeg(record: Record) -> bytes:
    if not record.value:
        raise MessageError("the frame has no picture")
    return record.value


def _appended(record: Record) -> datetime:
    try:
        return datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise MessageError(f"{record.timestamp} ms is no time: {error}") from error


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Tells once that partitions were assigned: from then on nothing is missed."""

    def __init__(self) -> None:
        self._told = False

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Do nothing: what waits in the join expires by itself."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Tell whoever started us. Without commits each partition is begun at its end."""
        log.info("partitions assigned", partitions=len(assigned))
        if not self._told:
            self._told = True
            worker.notify_ready("reading frames and detections")


async def keep_live(settings: Settings, stop: asyncio.Event) -> None:
    """Join frames with their detections and keep each camera's latest in Valkey, until told to stop.

    Parameters
    ----------
    settings
        The whole tree.
    stop
        Ends the stage after the batch at hand.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached at the start, or refuses us later.
    """
    consumer = kafka.group_consumer(settings, "live", settings.live.instance or None, "latest")
    joiner = Joiner(Limits(window_s=settings.live.join_window_s))
    frames = f"{settings.kafka.topic_prefix}{Name.FRAMES_LIVE}"
    async with ValkeyPictures(settings) as pictures, kafka.running(consumer, settings):
        # Subscribed only now: a start that waits for its partitions would wait for a dead member's session to end.
        kafka.subscribe(consumer, settings, [Name.FRAMES_LIVE, Name.DETECTIONS], _Assignment())
        try:
            await join_records(consumer, frames, joiner, pictures, stop)
        except KafkaError as error:
            raise BrokerError(f"{frames} at {settings.bootstrap_servers} cannot be read: {error!r}") from error


async def join_records(  # noqa: PLR0913  # two topics in, one store out
    records: Records,
    frames: str,
    joiner: Joiner,
    pictures: Pictures,
    stop: asyncio.Event,
    *,
    retry_s: float = RETRY_S,
) -> None:
    """Join what comes and keep the newest of each camera, until told to stop.

    Parameters
    ----------
    records
        Frames and detections.
    frames
        The topic that the frames are in, with its prefix; all other records are detections.
    joiner
        Who waits for whom.
    pictures
        Where the newest goes. While it fails, pictures are dropped.
    stop
        Ends the loop after the batch at hand.
    retry_s
        How long the store is left alone after a failure, in seconds.

    Raises
    ------
    KafkaError
        If the records cannot be read any more.
    """
    reader, writer = _Reader(joiner, frames), _Writer(pictures, retry_s)
    given_up = 0
    while not stop.is_set():
        batches = await records.getmany(timeout_ms=POLL_MS)
        now = time.monotonic()
        joined = [
            picture
            for batch in batches.values()
            for record in batch
            if (picture := reader.read(record, now)) is not None
        ]
        joiner.expire(now)
        metrics.FRAMES_JOINED.inc(len(joined))
        metrics.FRAMES_UNJOINED.inc(joiner.unjoined - given_up)
        given_up = joiner.unjoined
        await writer.write(joined, now)
