"""The detector worker: frames in, detections out, in two lanes that share one model.

Live frames are looked at when they are fresh: the newest of each camera, and when the worker is late it reads on from
the end. Uploads are never skipped: their offset is committed only once their answer is acknowledged, and part of every
round is theirs. A picture that cannot be read becomes a dead letter and harms no neighbour. Inference has threads of
its own; the event loop never blocks, and a worker whose inference hangs ends itself.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from maskwatch import kafka, metrics
from maskwatch.errors import BrokerError, MaskwatchError, MessageError
from maskwatch.inference import Calibration, Detected, Detector, Refused
from maskwatch.kafka import Record
from maskwatch.messages import (
    LARGEST_JPEG,
    DeadLetter,
    Detection,
    FrameInfo,
    FrameRef,
    Prediction,
    encode,
    read_frame_headers,
)
from maskwatch.model import ShapeName
from maskwatch.settings import DetectorSettings, Settings
from maskwatch.topics import Name
from maskwatch.worker import notify_ready
from processors.freshness import Ages, Newest, Policy

POLL_MS = 250
COMMIT_EVERY_S = 1.0
RETRY_S = 1.0
CALIBRATION_S = 0.5
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


async def detect(settings: Settings, stop: asyncio.Event) -> None:
    """Run one worker until told to stop.

    Raises
    ------
    ModelError
        If the model is missing, altered or answers wrongly on its golden picture.
    BrokerError
        If Kafka cannot be reached at the start. Later outages are waited for.
    StuckError
        If inference hangs.
    """
    loop = asyncio.get_running_loop()
    detector, speed = await loop.run_in_executor(None, _ready_detector, settings)
    instance = settings.detector.instance or None
    try:
        async with (
            kafka.running(kafka.live_producer(settings, "gzip"), settings) as quick,
            kafka.running(kafka.durable_producer(settings), settings) as durable,
            kafka.running(kafka.group_consumer(settings, "detector-live", instance, "latest"), settings) as live,
            kafka.running(kafka.group_consumer(settings, "detector-upload", instance, "earliest"), settings) as uploads,
            asyncio.TaskGroup() as lanes,
        ):
            # Subscribed only now: a start that waits for partitions would wait for a dead member's session to end.
            live_lane = LiveLane(live, quick, detector, settings)
            kafka.subscribe(live, settings, [Name.FRAMES_LIVE], live_lane)
            kafka.subscribe(uploads, settings, [Name.FRAMES_UPLOAD])
            log.info(
                "detector ready", model=detector.card.name, version=detector.card.version, precision=speed.precision
            )
            notify_ready(speed.sentence())
            lanes.create_task(live_lane.run(stop))
            lanes.create_task(UploadLane(uploads, durable, detector, settings, live_lane).run(stop))
    except ExceptionGroup as group:
        if (expected := _expected(group)) is not None:
            raise expected from group
        raise
    finally:
        detector.close()


def _expected(error: Exception) -> MaskwatchError | None:
    """Return the first of a group's errors, if all are such as we raise on purpose."""
    if isinstance(error, ExceptionGroup):
        found = [_expected(one) for one in error.exceptions]
        return found[0] if all(found) else None
    return error if isinstance(error, MaskwatchError) else None


def _ready_detector(settings: Settings) -> tuple[Detector, Calibration]:
    detector = Detector(settings.detector.model, settings.detector)
    detector.check_golden("wide")
    return detector, detector.calibrate(CALIBRATION_S)


class LiveLane(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Looks at the newest frame of each camera; reads, looks and publishes all at the same time.

    It listens to its consumer: what it has begun is done before another worker gets its partitions.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, detector: Detector, settings: Settings
    ) -> None:
        options = settings.detector
        self._consumer = consumer
        self._producer = producer
        self._detector = detector
        self._settings = settings
        self.round = live_round(options, detector.load("wide").pictures_at_once)
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
        async with asyncio.TaskGroup() as both:
            both.create_task(self._read(stop))
            both.create_task(self._look_and_publish(stop))

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

    async def _look_and_publish(self, stop: asyncio.Event) -> None:
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
            seen = await self._look(records)
            if publishing is not None:
                await publishing
            publishing = asyncio.create_task(self._publish(seen))
        if publishing is not None:
            await publishing
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
            outcomes = await _look_at(self._detector, [seen[place].record for place in looked], "wide")
            metrics.DETECT_SECONDS.observe((time.perf_counter() - start) / len(looked))
            metrics.BATCH_FRAMES.observe(len(looked))
            for place, outcome in zip(looked, outcomes, strict=True):
                seen[place] = _checked(seen[place]._replace(outcome=outcome))
        return seen

    async def _publish(self, seen: Sequence[Seen]) -> None:
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
        self._done |= _behind(one.record for one in seen)
        if time.monotonic() - self._committed >= COMMIT_EVERY_S:
            await self._commit_done()
        self._unpublished -= 1
        if not self._unpublished:
            self._all_published.set()

    async def _commit_done(self) -> None:
        self._committed = time.monotonic()
        done, self._done = self._done, {}
        await _commit(self._consumer, done, self._settings)

    async def _answer(self, one: Seen) -> None:
        if one.info is None or isinstance(one.outcome, Refused):
            reason = one.outcome.reason if isinstance(one.outcome, Refused) else ""
            await refuse(self._producer, self._settings, Name.FRAMES_LIVE_DLQ, one.record, reason, b"")
            metrics.FRAMES_REFUSED.labels("live").inc()
            return
        if self._newest.is_stale(one.record, time.monotonic()):
            metrics.FRAMES_SKIPPED.labels("late").inc()
            return
        detection = Detection(
            frame=frame_ref(one.info, one.record),
            model=self._detector.ref,
            detected=datetime.now(UTC),
            objects=one.outcome.faces,
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
        metrics.FRAMES_DETECTED.labels("live").inc()
        metrics.FRAME_AGE_SECONDS.observe(max(0.0, self._ages.age(one.record, time.monotonic())))


class UploadLane:
    """Answers every upload, in order, at least once."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        detector: Detector,
        settings: Settings,
        beside: LiveLane,
    ) -> None:
        self._consumer = consumer
        self._producer = producer
        self._detector = detector
        self._settings = settings
        self._beside = beside
        # Both lanes have one round in flight, so the sizes of their rounds are their shares.
        share = settings.detector.upload_share
        self._most = max(1, round(settings.detector.batch * share))
        self._most_beside_live = min(self._most, max(1, round(beside.round * share / (1 - share))))

    async def run(self, stop: asyncio.Event) -> None:
        """Answer until told to stop; what was begun is answered and committed."""
        while not stop.is_set():
            most = self._most_beside_live if self._beside.busy else self._most
            read = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=most)
            records = [record for several in read.values() for record in several]
            if not records:
                continue
            outcomes = await _look_at(self._detector, records, "square")
            # 1. Every answer is acknowledged; 2. only then the offsets move on.
            if await self._answer_all(list(zip(records, outcomes, strict=True)), stop):
                await _commit(self._consumer, _behind(records), self._settings)

    async def _answer_all(self, pairs: list[tuple[Record, Detected | Refused]], stop: asyncio.Event) -> bool:
        while True:
            answers = await asyncio.gather(*(self._answer(*pair) for pair in pairs), return_exceptions=True)
            failures = [answer for answer in answers if isinstance(answer, BaseException)]
            for failure in failures:
                if not isinstance(failure, BrokerError):
                    raise failure
            if not failures:
                return True
            log.warning("answers not acknowledged, trying again", failed=len(failures), error=str(failures[0]))
            # Answers are deterministic, so those that did arrive may arrive again.
            pairs = [pair for pair, answer in zip(pairs, answers, strict=True) if answer is not None]
            if stop.is_set():
                return False
            await asyncio.sleep(RETRY_S)

    async def _answer(self, record: Record, outcome: Detected | Refused) -> None:
        upload = (record.key or b"").decode(errors="replace")
        now = datetime.now(UTC)
        if isinstance(outcome, Refused):
            await refuse(
                self._producer, self._settings, Name.FRAMES_UPLOAD_DLQ, record, outcome.reason, record.value or b""
            )
            metrics.FRAMES_REFUSED.labels("upload").inc()
            prediction = Prediction(upload=upload, status="failed", detected=now, reason=outcome.reason)
        else:
            prediction = Prediction(
                upload=upload,
                status="done",
                detected=now,
                width=outcome.width,
                height=outcome.height,
                model=self._detector.ref,
                objects=outcome.faces,
            )
        value, headers = encode(prediction, kind="maskwatch.prediction.v1", source="/detector", id=upload, time=now)
        await kafka.send(self._producer, self._settings, Name.PREDICTIONS, key=upload, value=value, headers=headers)
        metrics.FRAMES_DETECTED.labels("upload").inc()


def live_round(options: DetectorSettings, pictures_at_once: int) -> int:
    """Return how many live frames are looked at in one round.

    Long rounds make frames old, short ones leave threads idle at their ends and send detections one by one, which costs
    Kafka and all who read them. Measured with 8 cameras on two threads, one picture a call: rounds of 8 gave an age of
    311 ms (p95) at full load, and rounds of 1 cost 5 % of the frames.

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


async def refuse(  # noqa: PLR0913, PLR0917  # a dead letter has this many parts
    producer: AIOKafkaProducer, settings: Settings, name: Name, record: Record, reason: str, value: bytes
) -> None:
    """Write a dead letter: key and headers as they came, why it was refused, and `value` for what is kept of it.

    Raises
    ------
    BrokerError
        If it is not acknowledged in time.
    """
    now = datetime.now(UTC)
    letter = DeadLetter(record.topic, record.partition, record.offset, reason, now, len(record.value or b""))
    refused, _ = encode(letter, kind="maskwatch.dead-letter.v1", source="/detector", id="", time=now)
    log.warning("frame refused", topic=record.topic, partition=record.partition, offset=record.offset, reason=reason)
    await kafka.send(
        producer,
        settings,
        name,
        key=(record.key or b"").decode(errors="replace"),
        value=value,
        headers=[*record.headers, ("refused", refused)],
    )


async def _look_at(detector: Detector, records: Sequence[Record], shape: ShapeName) -> list[Detected | Refused]:
    # What is larger than a record with a picture may be is not even opened.
    small = [record for record in records if len(record.value or b"") <= LARGEST_JPEG]
    outcomes = iter(await detector.detect([record.value or b"" for record in small], shape))
    return [
        next(outcomes) if size <= LARGEST_JPEG else Refused(f"{size} bytes are more than {LARGEST_JPEG}")
        for size in (len(record.value or b"") for record in records)
    ]


def _checked(seen: Seen) -> Seen:
    info, outcome = seen.info, seen.outcome
    if info is None or isinstance(outcome, Refused) or (info.width, info.height) == (outcome.width, outcome.height):
        return seen
    reason = f"headers say {info.width}x{info.height}, the picture is {outcome.width}x{outcome.height}"
    return seen._replace(outcome=Refused(reason))


def _behind(records: Iterable[Record]) -> dict[TopicPartition, int]:
    offsets: dict[TopicPartition, int] = {}
    for record in records:
        partition = TopicPartition(record.topic, record.partition)
        offsets[partition] = max(offsets.get(partition, 0), record.offset + 1)
    return offsets


async def _commit(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int], settings: Settings) -> None:
    """Commit what is still ours; a refusal is logged: the records will come again."""
    mine = {partition: offset for partition, offset in offsets.items() if partition in consumer.assignment()}
    if not mine:
        return
    try:
        async with asyncio.timeout(settings.kafka.timeout_s):
            await consumer.commit(mine)
    except (KafkaError, TimeoutError) as error:
        log.warning("offsets not committed", error=repr(error))
