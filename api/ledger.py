"""Answers to uploads: who waits for one gets it when it comes, and who asks later finds it.

Every API process reads all of ``predictions.v1`` by itself, without a group, so that any of them can answer. What is
kept for all of them lies in an index (:mod:`api.upload_index`): the first answer to an upload, in the order of the
topic, is the answer. An index that was lost is made again from the two topics before anything is promised.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from api.upload_index import Place, ValkeyIndex
from maskwatch import kafka, metrics, reading
from maskwatch.errors import BrokerError, MessageError, StoreError
from maskwatch.kafka import Record
from maskwatch.messages import Prediction, decode
from maskwatch.settings import Settings
from maskwatch.topics import Name, partitions

MOST_REMEMBERED = 2_000
"""Answers that need not be looked up: a thousand bytes each."""

POLL_MS = 100
QUIET_MS = 5000
"""Once all that was there is known."""

RETRY_S = 1.0

log = structlog.get_logger(__name__)


class Ledger:
    """Follows the answers.

    Parameters
    ----------
    settings
        Name the cluster and the prefix.
    index
        What is known to every API process.
    """

    def __init__(self, settings: Settings, index: ValkeyIndex) -> None:
        self._settings = settings
        self._index = index
        self._answers = partitions(settings, Name.PREDICTIONS)
        self._recent: OrderedDict[str, Prediction] = OrderedDict()
        self._waiting: dict[str, set[asyncio.Future[Prediction]]] = {}
        self._reading = asyncio.Lock()
        self._indexed = False
        self._problem = ""

    @property
    def missing(self) -> str:
        """Why not every answer can be found yet; empty once it can."""
        return "" if self._indexed else self._problem or f"reading {Name.PREDICTIONS}"

    @contextmanager
    def waiting(self, upload: str) -> Iterator[asyncio.Future[Prediction]]:
        """Wait for an answer; begin before the upload is published, so that none is missed."""
        future: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        if (known := self._recent.get(upload)) is not None:
            future.set_result(known)
        self._waiting.setdefault(upload, set()).add(future)
        try:
            yield future
        finally:
            left = self._waiting[upload] - {future}
            self._waiting[upload] = left
            if not left:
                del self._waiting[upload]

    async def find(self, upload: str) -> Prediction | None:
        """Return the answer to an upload; None if there is none yet.

        Raises
        ------
        StoreError
            If the index does not answer.
        BrokerError
            If the answer cannot be read.
        """
        if (known := self._recent.get(upload)) is not None:
            return known
        place = await self._index.place(upload)
        return None if place is None else await self._read(place)

    async def run(self) -> None:
        """Follow the answers for ever; whatever is away is waited for."""
        while True:
            try:
                await self._follow()
            except (BrokerError, KafkaError) as error:
                self._say(str(error))
            await asyncio.sleep(RETRY_S)

    def _say(self, problem: str) -> None:
        self._indexed = False
        if self._problem != problem:
            self._problem = problem
            log.warning("not every answer is known; trying again", error=problem)

    async def _follow(self) -> None:
        consumer = kafka.lone_consumer(self._settings, self._answers)
        async with kafka.running(consumer, self._settings):
            span = await reading.span(consumer, self._settings, self._answers, 0)
            for partition, end in span.ends.items():
                consumer.seek(partition, end)
            # Who waits here is answered from the start; the index takes part once it is there.
            recovering: asyncio.Task[reading.Span] | None = asyncio.create_task(self._recover(consumer))
            try:
                while True:
                    batches = await consumer.getmany(timeout_ms=QUIET_MS if self._indexed else POLL_MS)
                    records = [record for batch in batches.values() for record in batch]
                    if recovering is None:
                        recovering = await self._take(records, consumer)
                    else:
                        self._give(answer for answer, _ in _answers(records))
                    if recovering is not None and recovering.done():
                        span, recovering = recovering.result(), None
                        for partition, offset in span.starts.items():
                            consumer.seek(partition, offset)
                    if recovering is None and not self._indexed:
                        self._indexed = await _has_read(consumer, span.ends)
                        self._problem = "" if self._indexed else self._problem
            finally:
                self._indexed = False
                if recovering is not None:
                    recovering.cancel()
                    await asyncio.gather(recovering, return_exceptions=True)

    async def _take(self, records: Sequence[Record], consumer: AIOKafkaConsumer) -> asyncio.Task[reading.Span] | None:
        """Give answers, and note them in the index; if that is away, begin to wait for it."""
        if not records:
            return None
        answers = list(_answers(records))
        read_until = {record.partition: record.offset + 1 for record in records}
        try:
            first = await self._index.answer([(answer.upload, place) for answer, place in answers], read_until)
        except StoreError as error:
            self._say(str(error))
            self._give(answer for answer, _ in answers)
            return asyncio.create_task(self._recover(consumer))
        self._give(answer for (answer, _), is_first in zip(answers, first, strict=True) if is_first)
        return None

    async def _recover(self, consumer: AIOKafkaConsumer) -> reading.Span:
        """Wait for the index, and say from where to where answers must be read for it."""
        while True:
            try:
                span = await reading.span(consumer, self._settings, self._answers, math.inf)
                read_until = await self._index.read_until()
                if not read_until:
                    await self._tell_of_uploads()
                    await self._index.begin({p.partition: offset for p, offset in span.starts.items()})
            except (BrokerError, KafkaError, StoreError) as error:
                self._say(str(error))
            else:
                starts = {p: max(offset, read_until.get(p.partition, 0)) for p, offset in span.starts.items()}
                return reading.Span(starts, span.ends)
            await asyncio.sleep(RETRY_S)

    async def _tell_of_uploads(self) -> None:
        uploads = partitions(self._settings, Name.FRAMES_UPLOAD)
        consumer = kafka.lone_consumer(self._settings, uploads)
        async with kafka.running(consumer, self._settings):
            span = await reading.span(consumer, self._settings, uploads, math.inf)
            for partition, start in span.starts.items():
                consumer.seek(partition, start)
            while not await _has_read(consumer, span.ends):
                batches = await consumer.getmany(timeout_ms=POLL_MS)
                if found := dict(_body_hashes(record for batch in batches.values() for record in batch)):
                    await self._index.publish(found)

    def _give(self, answers: Iterable[Prediction]) -> None:
        for answer in answers:
            first = self._recent.setdefault(answer.upload, answer)
            if len(self._recent) > MOST_REMEMBERED:
                self._recent.popitem(last=False)
            for future in self._waiting.get(answer.upload, ()):
                if not future.done():
                    future.set_result(first)

    async def _read(self, place: Place) -> Prediction | None:
        """Read one record; None if the topic keeps it no more."""
        partition = self._answers[place.partition]
        async with self._reading:
            consumer = kafka.lone_consumer(self._settings, [partition])
            async with kafka.running(consumer, self._settings):
                consumer.seek(partition, place.offset)
                try:
                    async with asyncio.timeout(self._settings.kafka.timeout_s):
                        record: Record = await consumer.getone(partition)
                except (KafkaError, TimeoutError) as error:
                    raise BrokerError(f"the answer at {partition} {place.offset} cannot be read: {error!r}") from error
        return decode(record.value, Prediction) if record.offset == place.offset else None


async def _has_read(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    return all([await consumer.position(partition) >= end for partition, end in ends.items()])


def _answers(records: Iterable[Record]) -> Iterator[tuple[Prediction, Place]]:
    for record in records:
        try:
            yield decode(record.value, Prediction), Place(record.partition, record.offset)
        except MessageError as error:
            metrics.RECORDS_MALFORMED.labels(Name.PREDICTIONS).inc()
            where = {"partition": record.partition, "offset": record.offset}
            log.warning("malformed record skipped", topic=record.topic, **where, error=str(error))


def _body_hashes(records: Iterable[Record]) -> Iterator[tuple[str, str]]:
    for record in records:
        body_hash = dict(record.headers).get("ce_bodyhash")
        if record.key and body_hash:
            yield record.key.decode(errors="replace"), body_hash.decode(errors="replace")
