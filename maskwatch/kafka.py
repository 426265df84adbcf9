"""How we speak to Kafka: every client option that matters, set once.

The defaults of the client are unsafe for both kinds of traffic. Live frames must never be replayed after an outage,
so their producer gives up after a second; everything else must not be lost, so its producer is idempotent and waits
for all replicas. Values stay bytes at the client and are decoded in our own code: a raising deserializer would wedge
its partition. Topic names are given without the prefix, which is put before them here.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from maskwatch.errors import BrokerError, RefusedError, SettingsError
from maskwatch.messages import LARGEST_JPEG
from maskwatch.refusals import explained, forbidden, reason, refuse_expired
from maskwatch.settings import Settings

SESSION_TIMEOUT_MS = 10_000
"""The partitions of a killed worker are taken over after this long; brokers allow 6 s at least."""

HEARTBEAT_MS = 1_000
"""A member learns by its heartbeat that others join or leave; until all have learnt it, nobody reads."""

MAX_POLL_INTERVAL_MS = 60_000
LIVE_TIMEOUT_S = 1.0
"""A live frame that is not acknowledged by then is given up: an outage must not end in a burst of old frames."""

STOP_TIMEOUT_S = 5.0
FETCH_BYTES = 16 * 2**20
GROUP_WAIT_MS = 1000
"""So long the broker holds a request of a group's member that it has nothing for. Each names every partition and costs
both sides, so it sets what an idle stack costs. What comes meanwhile is given at once; only a new assignment may wait.
"""

PATIENT_WAIT_MS = 3000
"""The same for a group whose new member may begin a little later: nobody waits for what it does."""

LONE_WAIT_MS = 500
ROUTINE_MS = 1000
"""The client looks by itself so often whether there is something to ask for; whatever happens wakes it besides."""

RECORD_BYTES = LARGEST_JPEG + 100_000


class Record(Protocol):
    """What a consumer gives, as far as we use it; the client has no types of its own."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the epoch; the broker's append time on frame topics."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


_Client = TypeVar("_Client", AIOKafkaConsumer, AIOKafkaProducer)


def connection_options(settings: Settings) -> dict[str, Any]:
    """Return what every client needs to reach the cluster: address and credentials.

    Raises
    ------
    SettingsError
        If a certificate or key cannot be read.
    """
    kafka = settings.kafka
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": "maskwatch",
        "security_protocol": kafka.security,
    }
    if kafka.security.endswith("SSL"):
        try:
            context = ssl.create_default_context(cafile=str(kafka.ca_file) if kafka.ca_file else None)
            if kafka.cert_file:
                context.load_cert_chain(kafka.cert_file, kafka.key_file)
                refuse_expired(kafka.cert_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"kafka.ca_file, kafka.cert_file or kafka.key_file cannot be used: {error}") from error
        options["ssl_context"] = context
    if kafka.security.startswith("SASL"):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.username,
            "sasl_plain_password": kafka.password.get_secret_value(),
        }
    return options


def live_producer(settings: Settings, compression: Literal["gzip"] | None = None) -> AIOKafkaProducer:
    """Make the producer of what is live: one try, acknowledged by the leader, given up after a second.

    Parameters
    ----------
    settings
        Names the cluster.
    compression
        That of the topic, if it has one: otherwise the broker compresses every record itself, which costs it more.
    """
    return AIOKafkaProducer(
        **connection_options(settings),
        acks=1,
        enable_idempotence=False,
        compression_type=compression,
        linger_ms=0,
        max_request_size=RECORD_BYTES,
        max_batch_size=RECORD_BYTES,
        request_timeout_ms=int(LIVE_TIMEOUT_S * 1000),
        retry_backoff_ms=100,
        metadata_max_age_ms=30_000,
    )


def durable_producer(settings: Settings) -> AIOKafkaProducer:
    """Make the producer of everything that must not be lost: idempotent, acknowledged by all replicas."""
    return AIOKafkaProducer(
        **connection_options(settings),
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_request_size=RECORD_BYTES,
        max_batch_size=RECORD_BYTES,
        request_timeout_ms=int(settings.kafka.timeout_s * 1000),
        retry_backoff_ms=100,
        metadata_max_age_ms=30_000,
    )


def transactional_producer(settings: Settings, role: str) -> AIOKafkaProducer:
    """Make the producer of what has one writer: starting it ends the transactions of any other of the same role."""
    return AIOKafkaProducer(
        **connection_options(settings),
        transactional_id=f"{settings.kafka.topic_prefix}{role}",
        transaction_timeout_ms=int(settings.kafka.timeout_s * 1000),
        acks="all",
        linger_ms=0,
        max_request_size=RECORD_BYTES,
        max_batch_size=RECORD_BYTES,
        request_timeout_ms=int(settings.kafka.timeout_s * 1000),
        retry_backoff_ms=100,
        metadata_max_age_ms=30_000,
    )


def group_consumer(
    settings: Settings, group: str, instance: str | None, start: str, wait_ms: int = GROUP_WAIT_MS
) -> AIOKafkaConsumer:
    """Make a consumer that shares its topics with the other members of its group.

    Parameters
    ----------
    settings
        Names the cluster and the prefix.
    group
        The group's name, without the prefix.
    instance
        Static member id: a restart within the session keeps its partitions. None joins as a dynamic member.
    start
        Where a partition without a committed offset is begun: ``latest`` or ``earliest``.
    wait_ms
        So long the broker holds a request that it has nothing for, in milliseconds. Where records are read in parts
        (`max_records`), others may have to wait for that.

    Notes
    -----
    Subscribe it with :func:`subscribe`. Nothing is committed by itself. The range assignor gives the same member the
    partitions of the same number in every topic, so topics with the same key are joined locally.
    """
    return AIOKafkaConsumer(
        **connection_options(settings),
        group_id=f"{settings.kafka.topic_prefix}{group}",
        group_instance_id=instance,
        partition_assignment_strategy=(RangePartitionAssignor,),
        enable_auto_commit=False,
        auto_offset_reset=start,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        rebalance_timeout_ms=SESSION_TIMEOUT_MS,
        max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
        max_poll_records=500,
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=2 * RECORD_BYTES,
        fetch_max_wait_ms=wait_ms,
        consumer_timeout_ms=ROUTINE_MS,
        isolation_level="read_committed",
        request_timeout_ms=int(settings.kafka.timeout_s * 1000) + wait_ms,
        metadata_max_age_ms=30_000,
    )


def lone_consumer(
    settings: Settings, partitions: Sequence[TopicPartition], wait_ms: int = LONE_WAIT_MS
) -> AIOKafkaConsumer:
    """Make a consumer that reads whole partitions by itself, without a group: nothing is committed.

    Parameters
    ----------
    settings
        Names the cluster.
    partitions
        What it reads, topics named with the prefix. What is gone from a partition is skipped.
    wait_ms
        So long the broker holds a request that it has nothing for, in milliseconds: each one costs both sides.
    """
    consumer = AIOKafkaConsumer(
        **connection_options(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=2 * RECORD_BYTES,
        isolation_level="read_committed",
        fetch_max_wait_ms=wait_ms,
        consumer_timeout_ms=ROUTINE_MS,
        request_timeout_ms=int(settings.kafka.timeout_s * 1000) + wait_ms,
        metadata_max_age_ms=30_000,
    )
    consumer.assign(partitions)
    return consumer


async def commit(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int], settings: Settings) -> str:
    """Commit offsets of the partitions that are still the consumer's.

    Parameters
    ----------
    consumer
        A member of a group, running.
    offsets
        Those behind the last record that is done.
    settings
        Name the time-out.

    Returns
    -------
    str
        Why they could not be committed, so that the records will come again; empty if they were.
    """
    mine = {partition: offset for partition, offset in offsets.items() if partition in consumer.assignment()}
    if not mine:
        return ""
    try:
        async with asyncio.timeout(settings.kafka.timeout_s):
            await consumer.commit(mine)
    except (KafkaError, TimeoutError) as error:
        return repr(error)
    return ""


def subscribe(
    consumer: AIOKafkaConsumer,
    settings: Settings,
    names: Sequence[str],
    listener: ConsumerRebalanceListener | None = None,
) -> None:
    """Subscribe to topics, named without the prefix."""
    consumer.subscribe([f"{settings.kafka.topic_prefix}{name}" for name in names], listener=listener)


@asynccontextmanager
async def running(client: _Client, settings: Settings) -> AsyncIterator[_Client]:
    """Start a client, and stop it at the end whatever happens, both within a bound.

    Raises
    ------
    BrokerError
        If the cluster cannot be reached in time; RefusedError if it refuses, also later what it is asked for.
    """
    try:
        try:
            async with asyncio.timeout(settings.kafka.timeout_s):
                await client.start()
        except (KafkaError, TimeoutError, OSError) as error:
            raise await _failed(settings, error, "cannot be used") from error
        try:
            yield client
        except Exception as error:
            # Whether a client may do what it does is found out while it does it.
            if refused := forbidden(error, settings.kafka):
                raise RefusedError(f"Kafka at {settings.bootstrap_servers} refuses: {refused}") from error
            raise
    finally:
        # Also when somebody did not want to wait for the start: what was opened by then is open.
        await _stop(client)


@asynccontextmanager
async def administering(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open a client that asks about the cluster or changes it, within a bound for all that is done with it.

    Raises
    ------
    BrokerError
        If the cluster does not answer in time; RefusedError if it refuses.
    """
    admin = AIOKafkaAdminClient(**connection_options(settings), request_timeout_ms=int(settings.kafka.timeout_s * 1000))
    try:
        async with asyncio.timeout(settings.kafka.timeout_s * 3):
            try:
                await admin.start()
                yield admin
            finally:
                await admin.close()
    except (KafkaError, TimeoutError, OSError) as error:
        raise await _failed(settings, error, "does not answer") from error


async def _failed(settings: Settings, error: Exception, what: str) -> BrokerError:
    refused = explained(error, settings.kafka) or await reason(settings.kafka, connection_options(settings))
    why = refused or "is it running? «maskwatch up» starts one, kafka.bootstrap_servers names yours"
    return (RefusedError if refused else BrokerError)(
        f"Kafka at {settings.bootstrap_servers} {what} ({type(error).__name__}): {why}; "
        "«maskwatch doctor» tells what is reachable"
    )


async def _stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    # A client that cannot reach its broker would wait for ever to say goodbye.
    if await _ends(client.stop()) or not isinstance(client, AIOKafkaProducer):
        return
    # Given up with records in hand, it would go on trying to send them for as long as the loop lives.
    await _ends(client._sender.close())  # noqa: SLF001
    await _ends(client.client.close())


async def _ends(work: Awaitable[None]) -> bool:
    task = asyncio.ensure_future(work)
    ended, _ = await asyncio.wait([task], timeout=STOP_TIMEOUT_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return bool(ended)


async def send(  # noqa: PLR0913  # a record has this many parts
    producer: AIOKafkaProducer,
    settings: Settings,
    name: str,
    *,
    key: str,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]],
    timeout_s: float | None = None,
) -> float:
    """Send one record and wait until it is acknowledged.

    Parameters
    ----------
    timeout_s
        Longest wait in seconds; `kafka.timeout_s` without it. An idempotent producer never gives up by itself.

    Returns
    -------
    float
        The record's time, in seconds since the epoch: by the broker's clock where the topic takes its append time.

    Raises
    ------
    BrokerError
        If it was not acknowledged in time. An idempotent record may still arrive later.
    """
    topic = f"{settings.kafka.topic_prefix}{name}"
    try:
        async with asyncio.timeout(timeout_s or settings.kafka.timeout_s):
            taken = await producer.send_and_wait(topic, value=value, key=key.encode(), headers=list(headers))
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerError(f"{topic} at {settings.bootstrap_servers} did not take a record: {error!r}") from error
    return float(taken.timestamp) / 1000


async def check(settings: Settings, timeout_s: float) -> None:
    """Ask the cluster for its metadata, to see that it is there and lets us in.

    Raises
    ------
    BrokerError
        If there is no answer within `timeout_s` seconds.
    """
    admin = AIOKafkaAdminClient(**connection_options(settings), request_timeout_ms=int(timeout_s * 1000))
    try:
        async with asyncio.timeout(timeout_s):
            try:
                await admin.start()
            finally:
                await admin.close()
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerError(f"Kafka at {settings.bootstrap_servers} does not answer: {error!r}") from error
