"""The drift monitor as a Faust app: detections in; windows of signals, episodes and label requests out.

Faust reads, shares partitions between processes and brings their state with them; everything that is computed is in
`processors.monitor` and its neighbours. What must not be lost is written by our own producer and acknowledged before
Faust may commit. What raises is caught and becomes a dead letter, because a stream that raises stops for good.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import faust
import structlog
from aiokafka import AIOKafkaProducer
from faust.types import TP, EventT, StreamT

from maskwatch import kafka, metrics
from maskwatch.drift_messages import CameraWindow, Episode
from maskwatch.errors import BrokerError, MessageError
from maskwatch.messages import Detection, decode, encode
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count, require
from maskwatch.worker import notify_ready
from processors.deadletters import letter
from processors.judging import Judging
from processors.monitors import Monitors
from processors.quality import Labels
from processors.requests import Requests
from processors.rewinding import RewindingConsumer

RETRY_S = 1.0
HAND_OVER_S = 3.0
BUFFER = 2000
"""Detections that wait between the client and the stream, at most."""

LETTER_BYTES = 10_000
"""Of a record that is refused, at most."""

COMMIT_S = 2.0

log = structlog.get_logger(__name__)


async def watch_drift(settings: Settings, stop: asyncio.Event) -> None:
    """Watch all cameras for drift until told to stop.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached at the start, lacks a topic, or refuses us. Later outages are waited for.
    """
    # Where it may not read them Faust asks for ever, and tells nobody why.
    await require(settings, [Name.DETECTIONS, Name.DRIFT_STATE])
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        app, requests, judging = make_app(settings, producer)
        beside = [asyncio.create_task(requests.run()), asyncio.create_task(judging.run())]
        try:
            await app.start()
            log.info("drift monitor ready")
            notify_ready("watching for drift")
            # Ends early, and raises, if the app crashes.
            await app.wait(_until(stop, beside))
            if app.crash_reason is not None:
                raise app.crash_reason
        finally:
            await app.stop()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)


async def _until(stop: asyncio.Event, beside: Sequence[asyncio.Task[None]]) -> None:
    """Wait for the stop, or for one of those beside to fail: then for ever nobody would do its work."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([stopping, *beside], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    for task in beside:
        if task.done():
            task.result()


def make_app(settings: Settings, producer: AIOKafkaProducer) -> tuple[faust.App, Requests, Judging]:
    """Make the app, not yet started, what fetches pictures for its label requests, and what follows labels.

    Parameters
    ----------
    settings
        The whole tree.
    producer
        Durable and running; for all but the state, which Faust writes.
    """
    prefix = settings.kafka.topic_prefix
    # Faust wants a folder, though nothing is kept in it: the state is in memory and in its topic.
    folder = settings.data_dir / "run" / "faust"
    folder.mkdir(parents=True, exist_ok=True)
    servers = [f"kafka://{server}" for server in settings.bootstrap_servers.split(",")]
    app = faust.App(
        f"{prefix}drift",
        broker=servers,
        broker_credentials=_credentials(settings),
        broker_client_id="maskwatch",
        broker_session_timeout=kafka.SESSION_TIMEOUT_MS / 1000,
        broker_heartbeat_interval=kafka.HEARTBEAT_MS / 1000,
        broker_rebalance_timeout=kafka.SESSION_TIMEOUT_MS / 1000,
        broker_request_timeout=max(settings.kafka.timeout_s, kafka.SESSION_TIMEOUT_MS / 1000),
        broker_max_poll_interval=kafka.MAX_POLL_INTERVAL_MS / 1000,
        broker_commit_interval=COMMIT_S,
        # A partition of which nothing is committed yet was read by nobody, or by somebody who was killed: what lies
        # there is news, and what is not is known by its session and sequence.
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.drift.instance or None,
        datadir=folder,
        producer_max_request_size=kafka.RECORD_BYTES,
        store="memory://",
        stream_buffer_maxsize=BUFFER,
        # What is under way when it stops is finished; what waits behind it comes again.
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=partition_count(Name.DETECTIONS),
        web_enabled=False,
    )
    app.transport.Consumer = RewindingConsumer  # type: ignore[misc]  # of this app alone
    bytes_only: dict[str, Any] = {
        "key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw",
    }  # fmt: skip
    kept = app.Table(
        "drift-state",
        partitions=partition_count(Name.DRIFT_STATE),
        # Nothing is acknowledged there, as in the topics that Faust makes itself: else its watchdog takes a state that
        # it writes, and reads only when it recovers, for a stream that is stuck, and says so every five seconds.
        changelog_topic=app.topic(f"{prefix}{Name.DRIFT_STATE}", acks=False, **bytes_only),
        key_type=bytes,
        value_type=bytes,
    )
    labels = Labels()
    monitors = Monitors(settings, kept, labels)
    requests = Requests(settings, producer, monitors.choose_another)
    watching = Watching(settings, producer, monitors, requests)
    detections = app.topic(f"{prefix}{Name.DETECTIONS}", **bytes_only)

    @app.agent(detections, concurrency=1)
    async def watch(stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            await watching.take(event)

    mine: set[int] = set()

    def cameras_of(places: set[TP]) -> set[int]:
        return {tp.partition for tp in places if tp.topic == f"{prefix}{Name.DETECTIONS}"}

    @app.on_partitions_assigned.connect(weak=False)
    async def take_over(_sender: object, assigned: set[TP], **_: object) -> None:
        mine.update(cameras_of(assigned))

    @app.on_partitions_revoked.connect(weak=False)
    async def hand_over(_sender: object, revoked: set[TP], **_: object) -> None:
        mine.difference_update(cameras_of(revoked))
        await watching.hand_over(cameras_of(revoked))

    return app, requests, Judging(settings, monitors, labels, mine, watching.tell)


class Watching:
    """What is done with each detection."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, monitors: Monitors, requests: Requests) -> None:
        self._settings = settings
        self._producer = producer
        self._monitors = monitors
        self._requests = requests

    async def take(self, event: EventT[bytes]) -> None:
        """Take a detection in, and tell what came of it; one that cannot be read becomes a dead letter."""
        message = event.message
        try:
            detection = decode(event.value, Detection)
            watched = self._monitors.take(detection, message.partition, time.monotonic())
        except MessageError as error:
            await self._refuse(event, str(error))
            return
        except Exception as error:
            log.exception("a detection cannot be taken", partition=message.partition, offset=message.offset)
            await self._refuse(event, repr(error))
            return
        metrics.DETECTIONS_WATCHED.labels(watched.outcome).inc()
        metrics.CAMERAS_WATCHED.set(len(self._monitors))
        for record in watched.records:
            await self.tell(record)
        if watched.request is not None:
            self._requests.put(watched.request)

    async def hand_over(self, partitions: set[int]) -> None:
        """Keep what is known of the cameras of some partitions, for whoever gets them."""
        states = list(self._monitors.let_go(partitions))
        try:
            async with asyncio.timeout(HAND_OVER_S):
                for camera, state in states:
                    await kafka.send(
                        self._producer, self._settings, Name.DRIFT_STATE, key=camera, value=state, headers=()
                    )
        except (BrokerError, TimeoutError) as error:
            # Then the others go on from what was kept a minute ago.
            log.warning("cameras are handed over as they were", cameras=len(states), error=repr(error))

    async def tell(self, record: CameraWindow | Episode) -> None:
        """Publish a record, for as long as that takes."""
        if isinstance(record, Episode):
            metrics.EPISODES.labels(record.kind, record.phase).inc()
            log.info(
                "episode", phase=record.phase, camera=record.camera, kind=record.kind, episode=record.id,
                text=record.text, reason=record.reason,
            )  # fmt: skip
            value, headers = encode(
                record, kind="maskwatch.episode.v1", source="/drift", id=record.id, time=record.updated
            )
            await self._send(Name.DRIFT, record.camera, value, headers)
            return
        identity = f"{record.camera}:{record.end:%Y%m%dT%H%M%S%f}"
        value, headers = encode(
            record, kind="maskwatch.camera-window.v1", source="/drift", id=identity, time=record.end
        )
        await self._send(Name.SIGNALS, record.camera, value, headers)

    async def _refuse(self, event: EventT[bytes], reason: str) -> None:
        message = event.message
        log.warning("detection refused", partition=message.partition, offset=message.offset, reason=reason)
        metrics.DETECTIONS_WATCHED.labels("refused").inc()
        # As aiokafka gave it, whatever Faust's types allow besides.
        record, kept = cast("kafka.Record", message), (message.value or b"")[:LETTER_BYTES]
        await self._send(Name.DETECTIONS_DLQ, *letter(record, reason, "/drift", kept, datetime.now(UTC)))

    async def _send(self, name: Name, key: str, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        """Send until it is acknowledged: while Kafka is away nothing comes either."""
        while True:
            try:
                await kafka.send(self._producer, self._settings, name, key=key, value=value, headers=headers)
            except BrokerError as error:
                log.warning("not told yet; trying again", topic=name, error=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return


def _credentials(settings: Settings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    options = kafka.connection_options(settings)
    context = options.get("ssl_context")
    if settings.kafka.security.startswith("SASL"):
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
            mechanism=options["sasl_mechanism"],
        )
    return faust.SSLCredentials(context) if context is not None else None
