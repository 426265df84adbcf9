"""The one writer of ``models.v1``: takes commands, and changes which model serves.

What a command changes and the command's own offset are one transaction: killed anywhere, either all of it is there or
nothing, and the command comes again. Whoever owns the commands' only partition starts a producer with the one
transactional id there is, which fences an older owner that still lives.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Self, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from maskwatch import kafka, metrics, reading
from maskwatch.errors import BrokerError, MessageError
from maskwatch.kafka import Record
from maskwatch.messages import decode, encode
from maskwatch.model_messages import Champion, ModelCommand, ModelVersion
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count
from maskwatch.worker import notify_ready
from processors.guard import Guard
from processors.promotion import Decision, decide

GROUP = "rollout"
KEY = "detector"
"""Of ``models.v1``: which model it is about; there is one kind."""
POLL_MS = 1000

_Known = TypeVar("_Known", Champion, ModelVersion)

log = structlog.get_logger(__name__)


async def roll_out(settings: Settings, stop: asyncio.Event) -> None:
    """Take commands until told to stop.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached or refuses, or another rollout has taken over: whoever started this starts it anew.
    """
    ownership = _Ownership()
    async with (
        kafka.running(
            kafka.group_consumer(settings, GROUP, None, "earliest", kafka.PATIENT_WAIT_MS), settings
        ) as consumer,
        _guarding(settings, consumer) as guarding,
        AsyncExitStack() as stack,
    ):
        kafka.subscribe(consumer, settings, [Name.COMMANDS], ownership)
        notify_ready("models are rolled out by command")
        writer: Writer | None = None
        try:
            while not stop.is_set():
                if guarding.done():
                    guarding.result()
                read = await consumer.getmany(timeout_ms=POLL_MS, max_records=1)
                for record in (record for records in read.values() for record in records):
                    if writer is None or ownership.fresh:
                        ownership.fresh = False
                        await stack.aclose()
                        writer = await stack.enter_async_context(Writer(settings))
                    await writer.take(record)
        except (KafkaError, TimeoutError) as error:
            raise BrokerError(f"{Name.COMMANDS} at {settings.bootstrap_servers}: {error!r}") from error


@asynccontextmanager
async def _guarding(settings: Settings, consumer: AIOKafkaConsumer) -> AsyncIterator[asyncio.Task[None]]:
    """Watch the champion beside; whoever owns the commands asks for a roll-back."""
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        task = asyncio.create_task(Guard(settings, producer, lambda: bool(consumer.assignment())).run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class _Ownership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Whether the commands have become ours since that was last looked at."""

    def __init__(self) -> None:
        self.fresh = True

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Do nothing: the next owner fences this one."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:  # noqa: ARG002  # aiokafka's
        """Remember it: what another owner has written meanwhile is to be read."""
        self.fresh = True


class Writer:
    """Knows champion and versions, and writes what a command changes; an async context manager.

    Entering it fences every other writer; leaving it changes nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer = kafka.transactional_producer(settings, GROUP)
        self._stack = AsyncExitStack()
        self._champion: Champion | None = None
        self._versions: dict[str, ModelVersion] = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(kafka.running(self._producer, self._settings))
            # Only now, when nobody else can write any more.
            async for champion in self._known(Name.MODELS, Champion):
                self._champion = champion
            async for version in self._known(Name.MODEL_VERSIONS, ModelVersion):
                self._versions[version.model.sha256] = version
            self._stack = stack.pop_all()
        return self

    async def _known(self, name: Name, kind: type[_Known]) -> AsyncIterator[_Known]:
        for record in await reading.held(self._settings, name, partition_count(name)):
            try:
                yield decode(record.value, kind)
            except MessageError as error:
                # Whoever wrote it, models are rolled out all the same.
                metrics.RECORDS_MALFORMED.labels(name).inc()
                log.warning("malformed record skipped", topic=record.topic, offset=record.offset, error=str(error))

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def take(self, record: Record) -> None:
        """Do what a command says; one that cannot be read is passed over.

        Raises
        ------
        KafkaError
            If another writer has taken over, or the broker refuses: nothing was written then.
        TimeoutError
            If the broker does not answer in time.
        """
        try:
            command = decode(record.value, ModelCommand)
        except MessageError as error:
            log.warning("malformed record skipped", topic=record.topic, offset=record.offset, error=str(error))
            decision = Decision("refused: it cannot be read")
        else:
            decision = decide(command, self._champion, self._versions, datetime.now(UTC))
            log.info("command", id=command.id, kind=command.kind, by=command.by, told=decision.told)
        limit = self._settings.kafka.timeout_s
        # The inner bound is for the change, the outer one for taking it back as well: the client would wait with that
        # for as long as the broker is away.
        async with asyncio.timeout(2 * limit), asyncio.timeout(limit), self._producer.transaction():
            if decision.champion is not None:
                value, headers = encode(
                    decision.champion, kind="maskwatch.champion.v1", source="/rollout",
                    id=decision.champion.command, time=decision.champion.since,
                )  # fmt: skip
                await self._send(Name.MODELS, KEY, value, headers)
            for version in decision.versions:
                value, headers = encode(
                    version, kind="maskwatch.model-version.v1", source="/rollout",
                    id=version.model.sha256, time=version.changed,
                )  # fmt: skip
                await self._send(Name.MODEL_VERSIONS, version.model.sha256, value, headers)
            done = {TopicPartition(record.topic, record.partition): record.offset + 1}
            await self._producer.send_offsets_to_transaction(done, f"{self._settings.kafka.topic_prefix}{GROUP}")
        # Known only once it is true.
        if decision.champion is not None:
            self._champion = decision.champion
        self._versions |= {version.model.sha256: version for version in decision.versions}

    async def _send(self, name: Name, key: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        topic = f"{self._settings.kafka.topic_prefix}{name}"
        await self._producer.send_and_wait(topic, value=value, key=key.encode(), headers=headers)
