"""The archive: answers to uploads, kept for longer than a topic keeps them, as compressed JSON lines by day.

``{archive.url}/predictions/2026-11-01/{partition}-{offset}.jsonl.gz`` holds some answers of one partition from that
offset on, each a line as `predictions.v1` has it. Offsets are committed only once their file is written, so that none
is missing; after a crash one may stand in two files, with the same id. Days beyond `archive.days` are removed.
"""

import asyncio
import gzip
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consumers.retrying import until_done
from maskwatch import kafka, metrics
from maskwatch.errors import BrokerError, MessageError, StoreError
from maskwatch.files import Place
from maskwatch.kafka import Record
from maskwatch.messages import Prediction, decode
from maskwatch.settings import Settings
from maskwatch.topics import Name
from maskwatch.worker import notify_ready

POLL_MS = 2000
RETRY_S = 5.0
TIDY_EVERY_S = 3600.0
FOLDER = "predictions"

log = structlog.get_logger(__name__)


class Store:
    """Where the archive's files lie. Its calls block.

    Parameters
    ----------
    settings
        Name the place.

    Raises
    ------
    SettingsError
        If there is no such kind of place, or what reaches it is not installed; the message names the package.
    """

    def __init__(self, settings: Settings) -> None:
        url = settings.archive.url or (settings.data_dir.resolve() / "archive").as_uri()
        self._place = Place(url, "archive.url", settings.store.timeout_s)
        self._files, self._root = self._place.files, f"{self._place.root}/{FOLDER}"
        self.within = self._place.within

    def write(self, day: date, name: str, data: bytes) -> None:
        """Write a file of a day, whole or not at all.

        Raises
        ------
        StoreError
            If that cannot be done.
        """
        folder = f"{self._root}/{day.isoformat()}"
        try:
            self._place.write(f"{folder}/{name}", data)
        except Exception as error:  # each kind of store has errors of its own
            raise StoreError(f"{folder} (archive.url) cannot be written: {error!r}") from error

    def remove_before(self, first: date) -> list[str]:
        """Remove the days before this one; return which.

        Raises
        ------
        StoreError
            If that cannot be done.
        """
        try:
            if not self._files.exists(self._root):
                return []
            days = [path.rstrip("/").rpartition("/")[2] for path in self._files.ls(self._root, detail=False)]
            # ISO dates sort as they follow each other; what is no date is not ours.
            old = [day for day in days if _is_date(day) and day < first.isoformat()]
            for day in old:
                self._files.rm(f"{self._root}/{day}", recursive=True)
        except Exception as error:  # each kind of store has errors of its own
            raise StoreError(f"{self._root} cannot be tidied: {error!r}") from error
        return old


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


async def archive(settings: Settings, stop: asyncio.Event) -> None:
    """Archive answers until told to stop.

    Parameters
    ----------
    settings
        Name Kafka, and where the archive is.
    stop
        Ends it; what was read is written first.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached at the start, or refuses us. A store that is away is waited for.
    SettingsError
        If `archive.url` names no place that can be reached.
    """
    store = Store(settings)
    consumer = kafka.group_consumer(settings, "archive", None, "earliest", kafka.PATIENT_WAIT_MS)
    async with kafka.running(consumer, settings):
        kafka.subscribe(consumer, settings, [Name.PREDICTIONS])
        notify_ready("archiving answers")
        await _Archiving(settings, store, consumer).run(stop)


class _Archiving:
    """What was read and is not written yet."""

    def __init__(self, settings: Settings, store: Store, consumer: AIOKafkaConsumer) -> None:
        self._settings = settings
        self._store = store
        self._consumer = consumer
        self._held: list[Record] = []
        self._since = time.monotonic()
        self._tidied = -TIDY_EVERY_S

    async def run(self, stop: asyncio.Event) -> None:
        options = self._settings.archive
        while not stop.is_set():
            await self._read()
            waited = time.monotonic() - self._since
            if self._held and (waited >= options.flush_s or len(self._held) >= options.flush_records):
                await self._flush(stop)
            if time.monotonic() - self._tidied >= TIDY_EVERY_S:
                self._tidied = time.monotonic()
                await self._tidy()
        await self._flush(stop)

    async def _read(self) -> None:
        room = self._settings.archive.flush_records - len(self._held)
        try:
            batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=max(1, room))
        except KafkaError as error:
            where = f"{Name.PREDICTIONS} at {self._settings.bootstrap_servers}"
            raise BrokerError(f"{where} cannot be read: {error!r}") from error
        if not self._held:
            self._since = time.monotonic()
        self._held += [record for batch in batches.values() for record in batch]

    async def _flush(self, stop: asyncio.Event) -> None:
        """Write what is held, and commit; while the store is away, try again until told to stop."""
        if not self._held:
            return
        # 1. Written.
        if not await until_done(self._write, stop, what="writing the archive", retry_s=RETRY_S):
            return
        # 2. Only then committed.
        if why := await kafka.commit(self._consumer, behind(self._held), self._settings):
            log.warning("offsets not committed", error=why)
        self._held = []

    async def _write(self) -> None:
        for day, name, data in files(self._held):
            await self._store.within(self._store.write, day, name, data)

    async def _tidy(self) -> None:
        first = datetime.now(UTC).date() - timedelta(days=self._settings.archive.days)
        try:
            if removed := await self._store.within(self._store.remove_before, first):
                log.info("days were removed from the archive", days=len(removed))
        except StoreError as error:
            log.warning("the archive is not tidied", error=str(error))


def files(records: Iterable[Record]) -> list[tuple[date, str, bytes]]:
    """Return what is to be written: days, names and contents; what cannot be read is left out."""
    lines: dict[tuple[date, int], list[tuple[int, bytes]]] = {}
    for record in records:
        try:
            day = decode(record.value, Prediction).detected.astimezone(UTC).date()
        except MessageError as error:
            metrics.RECORDS_MALFORMED.labels(Name.PREDICTIONS).inc()
            log.warning("malformed record skipped", partition=record.partition, offset=record.offset, error=str(error))
            continue
        lines.setdefault((day, record.partition), []).append((record.offset, record.value or b""))
    return [
        # Without a time inside, the same records make the same file.
        (day, f"{partition}-{found[0][0]:012}.jsonl.gz", gzip.compress(b"".join(v + b"\n" for _, v in found), mtime=0))
        for (day, partition), found in lines.items()
    ]


def behind(records: Iterable[Record]) -> Mapping[TopicPartition, int]:
    """Return the offsets behind the last record of each partition."""
    return {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
