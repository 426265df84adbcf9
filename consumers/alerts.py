"""Alerts: one for each episode of drift that somebody should know of, to alerts.v1, the log and a webhook.

An episode that begins so soon after the last that nobody need be told says so itself. What was told and not committed
is told again after a crash, with the same id. What came of a round of training is told to the log and the webhook: it
is in ``runs.v1`` itself, where the console reads it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from consumers.retrying import until_done
from consumers.webhook import Webhook
from maskwatch import kafka, metrics, reading, verdicts
from maskwatch.drift_messages import Alert, Episode
from maskwatch.errors import BrokerError, MessageError
from maskwatch.kafka import Record
from maskwatch.messages import decode, encode
from maskwatch.model_messages import RoundAlert, Run
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count
from maskwatch.worker import notify_ready

POLL_MS = 1000
RETRY_S = 1.0
NEWS = timedelta(days=1)
"""What came of a round longer ago is no news: whoever starts this for the first time is not told of all there were."""

log = structlog.get_logger(__name__)


async def raise_alerts(settings: Settings, stop: asyncio.Event) -> None:
    """Raise alerts until told to stop.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached at the start, or refuses us. Later outages are waited for.
    SettingsError
        If `alerts.webhook` is no address, or names a user.
    """
    webhook = Webhook(settings.alerts) if settings.alerts.webhook.get_secret_value() else None
    async with (
        kafka.running(kafka.durable_producer(settings), settings) as producer,
        kafka.running(
            kafka.group_consumer(settings, "alerts", None, "earliest", kafka.PATIENT_WAIT_MS), settings
        ) as consumer,
    ):
        alerting = _Alerting(settings, webhook, producer)
        kafka.subscribe(consumer, settings, [Name.DRIFT, Name.RUNS], alerting)
        notify_ready(f"alerts to {webhook.host}" if webhook else "alerts to the log")
        await alerting.run(consumer, stop)


async def _held(settings: Settings) -> list[Alert]:
    """Return the alerts that the topic holds."""
    found = []
    for record in await reading.held(settings, Name.ALERTS, partition_count(Name.ALERTS)):
        try:
            found.append(decode(record.value, Alert))
        except MessageError as error:
            _malformed(Name.ALERTS, record, error)
    return found


class _Alerting(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """What was raised already, and how the next is."""

    def __init__(self, settings: Settings, webhook: Webhook | None, producer: AIOKafkaProducer) -> None:
        self._settings = settings
        self._webhook = webhook
        self._raised: set[str] | None = None
        """None: to be read again, for another may have raised some meanwhile."""
        self._producer = producer

    def on_partitions_revoked(self, revoked: object) -> None:
        """Another raises alerts from now on."""

    def on_partitions_assigned(self, assigned: object) -> None:  # noqa: ARG002  # aiokafka's
        """Forget what was raised: who had these before may have raised more."""
        self._raised = None

    async def run(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                # One at a time: a webhook that is away may take most of the time that the group allows.
                read = await consumer.getmany(timeout_ms=POLL_MS, max_records=1)
            except KafkaError as error:
                raise BrokerError(
                    f"{Name.DRIFT} and {Name.RUNS} at {self._settings.bootstrap_servers} cannot be read: {error!r}"
                ) from error
            for records in read.values():
                for record in records:
                    if not await self._take(record, stop):
                        # It comes again.
                        return
                    done = {TopicPartition(record.topic, record.partition): record.offset + 1}
                    if why := await kafka.commit(consumer, done, self._settings):
                        log.warning("offsets not committed", error=why)

    async def _take(self, record: Record, stop: asyncio.Event) -> bool:
        """Do what a record asks for; return whether that is done."""
        name = Name(record.topic.removeprefix(self._settings.kafka.topic_prefix))
        try:
            if name is Name.RUNS:
                run = decode(record.value, Run) if record.value is not None else None
                alert = round_alert(run, datetime.now(UTC)) if run is not None else None
                return alert is None or await self._tell_round(alert, stop)
            return await self._take_episode(decode(record.value, Episode), stop)
        except MessageError as error:
            _malformed(name, record, error)
            return True

    async def _tell_round(self, alert: RoundAlert, stop: asyncio.Event) -> bool:
        log.warning("round", run=alert.id, text=alert.text, promote=alert.promote, conditions=list(alert.conditions))
        return await self._post(msgspec.json.encode(alert), alert.id, stop)

    async def _take_episode(self, episode: Episode, stop: asyncio.Event) -> bool:
        if not needs_alert(episode, known=False):
            return True
        if self._raised is None and not await self._until_done(self._read_raised, stop, "reading what was raised"):
            return False
        raised = self._raised if self._raised is not None else set()
        if not needs_alert(episode, known=episode.id in raised):
            return True
        alert = Alert(episode.id, episode.camera, episode.kind, datetime.now(UTC), episode.text)
        value, headers = encode(alert, kind="maskwatch.alert.v1", source="/alerts", id=alert.id, time=alert.raised)
        # 1. Kept, so that the console shows it.
        keep = partial(
            kafka.send, self._producer, self._settings, Name.ALERTS, key=alert.camera, value=value, headers=headers
        )
        if not await self._until_done(keep, stop, "keeping an alert"):
            return False
        raised.add(episode.id)
        # 2. Told. Only then is the episode done; who commits is above.
        log.warning("alert", alert=alert.id, camera=alert.camera, kind=alert.kind, text=alert.text)
        return await self._post(value, alert.id, stop)

    async def _post(self, body: bytes, identity: str, stop: asyncio.Event) -> bool:
        taken = self._webhook is None or await self._webhook.post(body, identity, stop)
        if not taken and stop.is_set():
            return False
        metrics.ALERTS.labels("told" if taken else "not-told").inc()
        return True

    async def _read_raised(self) -> None:
        self._raised = {alert.id for alert in await _held(self._settings)}

    @staticmethod
    async def _until_done(work: Callable[[], Awaitable[object]], stop: asyncio.Event, what: str) -> bool:
        return await until_done(work, stop, what=what, retry_s=RETRY_S)


def needs_alert(episode: Episode, *, known: bool) -> bool:
    """Tell whether an alert is to be raised for a record of an episode.

    A beginning that comes again was not done with, so it is told again; whatever else is known was told. Of an episode
    whose beginning is gone the first record that is left is told of, if it is still open.
    """
    if not episode.alert or episode.phase == "end":
        return False
    return episode.phase == "start" or not known


def round_alert(run: Run, now: datetime) -> RoundAlert | None:
    """Return what is told of a round; None while it runs, if somebody stopped it, or if it is no news.

    Examples
    --------
    >>> noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    >>> run = Run(id="r1", state="failed", started=noon, updated=noon, why="", labels=100, said="disk full")
    >>> round_alert(run, noon).text
    'a round of training failed: disk full'
    """
    if run.kind != "retrain" or run.state == "running" or run.stopped_by or now - run.updated > NEWS:
        return None
    if run.verdict is None:
        text = "a round of training " + (f"failed: {run.said}" if run.state == "failed" else "ended without a verdict")
        return RoundAlert(id=run.id, raised=now, text=text, promote=None)
    return RoundAlert(
        id=run.id,
        raised=now,
        text=verdicts.sentence(run.verdict),
        promote=run.verdict.promote,
        conditions=tuple(verdicts.rows(run.verdict)),
    )


def _malformed(name: Name, record: Record, error: MessageError) -> None:
    metrics.RECORDS_MALFORMED.labels(name).inc()
    log.warning("malformed record skipped", partition=record.partition, offset=record.offset, error=str(error))
