"""The live lane: the newest frame of each camera, looked at once or not at all.

When the worker is late it reads on from the end. A picture that cannot be read becomes a dead letter and harms no
neighbour. Reading, looking and publishing go on at the same time.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from maskwatch import kafka, metrics
from maskwatch.errors import BrokerError, MessageError
from maskwatch.inference import Detected, Refused
from maskwatch.kafka import Record
from maskwatch.messages import Detection, FrameInfo, FrameRef, ModelRef, encode, read_frame_headers
from maskwatch.settings import DetectorSettings, Settings
from maskwatch.topics import Name
from processors.freshness import Ages, Newest, Policy
from processors.lanes import POLL_MS, behind, commit, look_at, refuse
from processors.serving import Serving
from processors.shadow import Shadow

COMMIT_EVERY_S = 1.0
LEAST_CALLS = 2
"""For each thread in a round of live frames, where a call takes one picture."""

HAND_OVER_S = 3.0
"""The rest of the group waits for as long as a worker lets go of its partitions."""

log = structlog.get_logger(__name__)


class Seen(NamedTuple):
    """A live frame and what came of it; `info` is None when its headers cannot be read."""

    record: Record
    info: FrameInfo | None
    outcome: Detected | Refused
    model: ModelRef | None = None
    """Which one looked at it; None where none did."""


class LiveLane(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Looks at the newest frame of each camera; reads, looks and publishes all at the same time.

    It listens to its consumer: what it has begun is done before another worker gets its partitions.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, serving: Serving, settings: Settings
    ) -> None:
        options = settings.detector
        self._shadow = Shadow(serving, producer, settings)
        self._consumer = consumer
        self._producer = producer
        self._serving = serving
        self._settings = settings
        self.round = live_round(options, serving.pictures_at_once)
        self._ages = Ages()
        self._newest = Newest(Policy(options.age_budget_s, options.seek_after_s, self.round), self._ages)
        self._arrived = asyncio.Event()
        self._unpublished = 0
        self._all_published = asyncio.Event()
        self._all_published.set()
        self._done: dict[TopicPartition, int] = {}
        self._committed = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Look until told to stop; what was begun is published and committed."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read(stop))
            tasks.create_task(self._look_and_publish(stop, tasks))

    @property
    def busy(self) -> bool:
        """Whether frames wait."""
        return bool(self._newest)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Finish what was begun and commit it, so that nobody does it again; what only waits is left to the next."""
        self._newest.forget()
        try:
            async with asyncio.timeout(HAND_OVER_S):
                await self._all_published.wait()
                await self._commit_done()
        except TimeoutError:
            log.warning("partitions are handed over in mid-batch", partitions=len(revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Do nothing: each partition is read on from where it was committed."""

    async def _read(self, stop: asyncio.Event) -> None:
        # Without a pause, so that what is looked at next is the newest there is, not what lay in the client's buffer.
        while not stop.is_set():
            read = await self._consumer.getmany(timeout_ms=POLL_MS)
            await self._seek_ahead(self._newest.offer(read, time.monotonic()))
            if self._newest:
                self._arrived.set()
        self._arrived.set()

    async def _look_and_publish(self, stop: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        # Threads do not end a round together: as soon as one of them is free the next round begins, which leaves none
        # idle. No more than two are under way, and they are published in their order.
        publishing: asyncio.Task[None] | None = None
        while not stop.is_set():
            await self._arrived.wait()
            records = self._newest.take(time.monotonic())
            if not self._newest:
                self._arrived.clear()
            self._count_skipped()
            if not records:
                continue
            self._unpublished += 1
            self._all_published.clear()
            looking = tasks.create_task(self._look(records))
            before, publishing = publishing, tasks.create_task(self._publish(looking, publishing))
            await self._serving.until_free(looking, len(records), "wide")
            if before is not None:
                await before
        if publishing is not None:
            await publishing
        await self._shadow.close()
        await self._commit_done()

    def _count_skipped(self) -> None:
        for reason, count in self._newest.skipped.items():
            metrics.FRAMES_SKIPPED.labels(reason).inc(count)
        self._newest.skipped.clear()

    async def _seek_ahead(self, partitions: Sequence[TopicPartition]) -> None:
        mine = [partition for partition in partitions if partition in self._consumer.assignment()]
        if not mine:
            return
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.kafka.timeout_s):
                before = {partition: await self._consumer.position(partition) for partition in mine}
                await self._consumer.seek_to_end(*mine)
                ends = {partition: await self._consumer.position(partition) for partition in mine}
        except (KafkaError, TimeoutError) as error:
            log.warning("late, and cannot seek ahead", error=repr(error))
            return
        self._ages.sought(ends, began)
        skipped = sum(ends[partition] - before[partition] for partition in mine)
        metrics.FRAMES_SKIPPED.labels("sought-past").inc(max(0, skipped))
        log.info("late: reading on from the end", partitions=len(mine), skipped=skipped)

    async def _look(self, records: Sequence[Record]) -> list[Seen]:
        seen: list[Seen] = []
        looked: list[int] = []
        for record in records:
            try:
                info = read_frame_headers(record.headers)
            except MessageError as error:
                seen.append(Seen(record, None, Refused(str(error))))
                continue
            looked.append(len(seen))
            seen.append(Seen(record, info, Refused("not looked at")))
        if looked:
            start = time.perf_counter()
            model, outcomes = await look_at(self._serving, [seen[place].record for place in looked], "wide")
            metrics.DETECT_SECONDS.observe((time.perf_counter() - start) / len(looked))
            metrics.BATCH_FRAMES.observe(len(looked))
            for place, outcome in zip(looked, outcomes, strict=True):
                seen[place] = _checked(seen[place]._replace(outcome=outcome, model=model))
        return seen

    async def _publish(self, looking: asyncio.Task[list[Seen]], before: asyncio.Task[None] | None) -> None:
        seen = await looking
        if before is not None:
            await before
        # 1. Everything is acknowledged, or given up: a live frame is never tried twice.
        answers = await asyncio.gather(*(self._answer(one) for one in seen), return_exceptions=True)
        lost = [answer for answer in answers if isinstance(answer, BrokerError)]
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, BrokerError):
                raise answer
        if lost:
            metrics.FRAMES_SKIPPED.labels("unacknowledged").inc(len(lost))
            log.warning("detections not acknowledged", lost=len(lost), error=str(lost[0]))
        # 2. Only then may the offsets move on. Once a second is enough: late frames are skipped anyway.
        self._done |= behind(one.record for one in seen)
        if time.monotonic() - self._committed >= COMMIT_EVERY_S:
            await self._commit_done()
        self._unpublished -= 1
        if not self._unpublished:
            self._all_published.set()

    async def _commit_done(self) -> None:
        self._committed = time.monotonic()
        done, self._done = self._done, {}
        await commit(self._consumer, done, self._settings)

    async def _answer(self, one: Seen) -> None:
        if one.info is None or one.model is None or isinstance(one.outcome, Refused):
            reason = one.outcome.reason if isinstance(one.outcome, Refused) else ""
            await refuse(self._producer, self._settings, Name.FRAMES_LIVE_DLQ, one.record, reason, b"")
            metrics.FRAMES_REFUSED.labels("live").inc()
            return
        if self._newest.is_stale(one.record, time.monotonic()):
            metrics.FRAMES_SKIPPED.labels("late").inc()
            return
        detection = Detection(
            frame=frame_ref(one.info, one.record),
            model=one.model,
            detected=datetime.now(UTC),
            objects=one.outcome.faces,
            signals=one.outcome.signals,
        )
        value, headers = encode(
            detection,
            kind="maskwatch.detection.v1",
            source="/detector",
            id=one.info.id,
            time=detection.detected,
        )
        await kafka.send(
            self._producer,
            self._settings,
            Name.DETECTIONS,
            key=one.info.camera,
            value=value,
            headers=headers,
            timeout_s=kafka.LIVE_TIMEOUT_S,
        )
        self._shadow.offer(detection.frame, one.record.value or b"", one.model, one.outcome.faces)
        metrics.FRAMES_DETECTED.labels("live").inc()
        metrics.FRAME_AGE_SECONDS.observe(max(0.0, self._ages.age(one.record, time.monotonic())))


def live_round(options: DetectorSettings, pictures_at_once: int) -> int:
    """Return how many live frames are looked at in one round.

    Long rounds make frames old, short ones send detections one by one, which costs Kafka and all who read them.
    Measured with 8 cameras on two threads, one picture a call: rounds of 8 gave an age of 311 ms (p95) at full load,
    rounds of 2 cost Kafka and its readers 3 ms more a frame, and rounds of 1 cost 5 % of the frames.

    Parameters
    ----------
    options
        Threads, batch and the uploads' share of it.
    pictures_at_once
        What one call of the network takes.

    Examples
    --------
    >>> live_round(DetectorSettings(), 1), live_round(DetectorSettings(), 16)
    (4, 12)
    """
    return min(
        options.threads * max(LEAST_CALLS, pictures_at_once), max(1, round(options.batch * (1 - options.upload_share)))
    )


def frame_ref(info: FrameInfo, record: Record) -> FrameRef:
    """Say which frame a record holds, and where it lies."""
    return FrameRef(
        id=info.id,
        camera=info.camera,
        session=info.session,
        sequence=info.sequence,
        captured=info.captured,
        width=info.width,
        height=info.height,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
    )


def _checked(seen: Seen) -> Seen:
    info, outcome = seen.info, seen.outcome
    if info is None or isinstance(outcome, Refused) or (info.width, info.height) == (outcome.width, outcome.height):
        return seen
    reason = f"headers say {info.width}x{info.height}, the picture is {outcome.width}x{outcome.height}"
    return seen._replace(outcome=Refused(reason))
