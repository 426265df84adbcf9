"""The data set of labels: what ``labels.v1`` says is kept in the store beside the pictures, and what is erased goes.

The topic is the truth, and the store what trainings read: one file for each frame with the newest record about it. The
API has put the picture there before it wrote the label. Offsets are committed only once the store has everything, and
doing a record again changes nothing, so that nothing is lost by a death between any two steps.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from consumers.pseudo import Pseudo
from consumers.retrying import until_done
from maskwatch import kafka, metrics
from maskwatch.errors import BrokerError, MessageError, StoreError
from maskwatch.kafka import Record
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import decode, encode
from maskwatch.settings import Settings
from maskwatch.store import Store
from maskwatch.topics import FORGET_MS, Name, partitions
from maskwatch.worker import notify_ready

POLL_MS = 1000
RETRY_S = 5.0
BATCH = 100
TIDY_EVERY_S = 600.0

UNLABELLED = timedelta(days=2)
"""A picture that no label names is kept so long: it may be about to get one."""

REMEMBERED = timedelta(days=31)
"""What was erased is refused for so long: by then no topic has its frame any more."""

FORGOTTEN_BY = timedelta(hours=2)
"""So long after an erasure its record is written again: a log is compacted only once it is written on."""

RETENTION = "retention"
"""Who erases what is older than `labels.days`."""

log = structlog.get_logger(__name__)


async def keep_labels(settings: Settings, stop: asyncio.Event) -> None:
    """Keep the data set of labels until told to stop.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached at the start, or refuses us. A store that is away is waited for.
    SettingsError
        If `store.url` names no place that can be reached.
    """
    store = Store(settings)
    async with (
        kafka.running(kafka.durable_producer(settings), settings) as producer,
        kafka.running(
            kafka.group_consumer(settings, "dataset", None, "earliest", kafka.PATIENT_WAIT_MS), settings
        ) as consumer,
    ):
        kafka.subscribe(consumer, settings, [Name.LABELS])
        notify_ready("keeping labels")
        dataset = Dataset(settings, store, producer)
        async with _labelling(settings, store, producer) as pseudo:
            tidied = time.monotonic()
            while not stop.is_set():
                if pseudo is not None and pseudo.done():
                    pseudo.result()
                await _keep_batch(consumer, dataset, settings, stop)
                # One member is enough; that of the first partition is always there.
                if (
                    time.monotonic() - tidied >= TIDY_EVERY_S
                    and partitions(settings, Name.LABELS)[0] in consumer.assignment()
                ):
                    tidied = time.monotonic()
                    await _tidy(dataset)


@asynccontextmanager
async def _labelling(
    settings: Settings, store: Store, producer: AIOKafkaProducer
) -> AsyncIterator["asyncio.Task[None] | None"]:
    """Let a model label beside, if that is set."""
    task = asyncio.create_task(Pseudo(settings, store, producer).run()) if settings.labels.pseudo else None
    try:
        yield task
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _keep_batch(consumer: AIOKafkaConsumer, dataset: "Dataset", settings: Settings, stop: asyncio.Event) -> None:
    try:
        batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
    except KafkaError as error:
        raise BrokerError(f"{Name.LABELS} at {settings.bootstrap_servers} cannot be read: {error!r}") from error
    for partition, records in batches.items():
        for record in records:
            # 1. Kept.
            keep = partial(dataset.take, record)
            if not await until_done(keep, stop, what="keeping a label", retry_s=RETRY_S):
                return
        # 2. Only then committed.
        done = {TopicPartition(partition.topic, partition.partition): records[-1].offset + 1}
        if why := await kafka.commit(consumer, done, settings):
            log.warning("offsets not committed", error=why)


async def _tidy(dataset: "Dataset") -> None:
    try:
        await dataset.tidy(datetime.now(UTC))
    except (StoreError, BrokerError) as error:
        log.warning("the data set is not tidied", error=str(error))


class Dataset:
    """What is done with each record, and now and then with the whole.

    Parameters
    ----------
    settings
        Name the cluster, and for how long labels are kept.
    store
        Where they are.
    producer
        Durable and running.
    """

    def __init__(self, settings: Settings, store: Store, producer: AIOKafkaProducer) -> None:
        self._settings = settings
        self._store = store
        self._producer = producer

    async def take(self, record: Record) -> None:
        """Keep what a record says; a record that cannot be read is skipped and counted.

        Raises
        ------
        StoreError
            If the store does not do it.
        BrokerError
            If an erasure has to be said again, and Kafka does not take it.
        """
        if record.value is None:
            return
        try:
            label = decode(record.value, FrameLabel)
        except MessageError as error:
            metrics.RECORDS_MALFORMED.labels(Name.LABELS).inc()
            log.warning("malformed record skipped", partition=record.partition, offset=record.offset, error=str(error))
            return
        known = await self._known(label.frame)
        if known is not None and known.state == "erased" != label.state:
            # Somebody who had not heard of the erasure has labelled it: that must not bring it back.
            await self._erase(label.sha256)
            await self._publish(Name.LABELS, msgspec.structs.replace(known, sha256=label.sha256 or known.sha256))
            return
        if known is not None and known.made_by != "model" == label.made_by:
            # What people have said is not replaced by what a model says, and is the newest again.
            await self._publish(Name.LABELS, known)
            return
        # 1. What is erased is gone; a label that names its picture has it.
        if label.state == "erased":
            await self._erase(label.sha256 or (known.sha256 if known else ""))
        elif label.state == "labelled" and not await self._store.within(self._store.has, label.sha256):
            metrics.LABELS_WITHOUT_PICTURE.inc()
            log.warning("a label's picture is not in the store", frame=label.frame, sha256=label.sha256)
        # 2. What is said is kept: of what was erased, that it was.
        await self._store.within(self._store.write_label, label.frame, record.value)
        metrics.LABELS_KEPT.labels(label.state).inc()

    async def tidy(self, now: datetime) -> None:
        """Remove pictures without a label, say erasures again, and let go of what is old.

        Raises
        ------
        StoreError
            If the store does not do it.
        BrokerError
            If Kafka does not take a record.
        """
        labels = [label async for label in self._labels()]
        for label in filter(None, labels):
            age = now - label.at
            if label.state != "erased":
                if 0 < self._settings.labels.days < age / timedelta(days=1):
                    # It is read again by ourselves, and then erased.
                    gone = FrameLabel(label.frame, "erased", now, RETENTION, sha256=label.sha256, source=label.source)
                    await self._publish(Name.LABELS, gone)
                    await self._publish(Name.LABEL_REQUESTS, gone, nothing=True)
            elif age > REMEMBERED:
                await self._publish(Name.LABELS, label, nothing=True)
                await self._store.within(self._store.remove_label, label.frame)
            elif timedelta(milliseconds=FORGET_MS) < age < FORGOTTEN_BY:
                await self._publish(Name.LABELS, label)
                await self._publish(Name.LABEL_REQUESTS, label, nothing=True)
        if None in labels:
            # It may name any picture.
            return
        named = {label.sha256 for label in labels if label is not None and label.state != "erased"}
        pictures = await self._store.within(self._store.pictures)
        for name, written in pictures.items():
            if name not in named and now - written > UNLABELLED:
                await self._store.within(self._store.remove, name)

    async def _labels(self) -> AsyncIterator[FrameLabel | None]:
        """Yield what the store says of each frame, None for what cannot be read; each file within the time-out."""
        kept = self._store.labels()
        while (raw := await self._store.within(lambda: next(kept, None))) is not None:
            try:
                yield decode(raw, FrameLabel)
            except MessageError as error:
                log.warning("a label in the store cannot be read", error=str(error))
                yield None

    async def _known(self, frame: str) -> FrameLabel | None:
        kept = await self._store.within(self._store.read_label, frame)
        try:
            return decode(kept, FrameLabel) if kept is not None else None
        except MessageError as error:
            # Whatever lies there, the topic's newest record takes its place.
            log.warning("a label in the store cannot be read", frame=frame, error=str(error))
            return None

    async def _erase(self, sha256: str) -> None:
        if sha256:
            await self._store.within(self._store.remove, sha256)

    async def _publish(self, name: Name, label: FrameLabel, *, nothing: bool = False) -> None:
        value, headers = encode(label, kind="maskwatch.label.v1", source="/dataset", id=label.frame, time=label.at)
        await kafka.send(
            self._producer,
            self._settings,
            name,
            key=label.frame,
            value=None if nothing else value,
            headers=[] if nothing else headers,
        )
