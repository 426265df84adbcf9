"""Alerts: one for each episode of drift that somebody should know of, to alerts.v1, the log and a webhook.

An episode that begins so soon after the last that nobody need be told says so itself. What was told and not committed
is told again after a crash, with the same id. What came of a round of training is told to the log and the webhook: it
is in ``runs.v1`` itself, where the console reads it.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

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
        If `alerts.webhook` is no address.
    """
    webhook = Webhook(settings.alerts) if settings.alerts.webhook.get_secret_value() else None
    raised = {alert.id for alert in await _held(settings)}
    async with (
        kafka.running(kafka.durable_producer(settings), settings) as producer,
        kafka.running(
            kafka.group_consumer(settings, "alerts", None, "earliest", kafka.PATIENT_WAIT_MS), settings
        ) as consumer,
    ):
        kafka.subscribe(consumer, settings, [Name.DRIFT, Name.RUNS])
        notify_ready(f"alerts to {webhook.host}" if webhook else "alerts to the log")
        await _Alerting(settings, webhook, raised, producer).run(consumer, stop)


async def _held(settings: Settings) -> list[Alert]:
    """Return the alerts that the topic holds."""
    found = []
    for record in await reading.held(settings, Name.ALERTS, partition_count(Name.ALERTS)):
        try:
            found.append(decode(record.value, Alert))
        except MessageError as error:
            _malformed(Name.ALERTS, record, error)
    return found


class _Alerting:
    """What was raised already, and how the next is."""

    def __init__(
        self, settings: Settings, webhook: Webhook | None, raised: set[str], producer: AIOKafkaProducer
    ) -> None:
        self._settings = settings
        self._webhook = webhook
        self._raised = raised
        self._producer = producer

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
                    await self._take(record)
                    done = {TopicPartition(record.topic, record.partition): record.offset + 1}
                    if why := await kafka.commit(consumer, done, self._settings):
                        log.warning("offsets not committed", error=why)

    async def _take(self, record: Record) -> None:
        if record.topic.removeprefix(self._settings.kafka.topic_prefix) == Name.RUNS:
            await self._take_run(record)
        else:
            await self._take_episode(record)

    async def _take_run(self, record: Record) -> None:
        try:
            run = decode(record.value, Run) if record.value is not None else None
        except MessageError as error:
            _malformed(Name.RUNS, record, error)
            return
        alert = round_alert(run, datetime.now(UTC)) if run is not None else None
        if alert is None:
            return
        log.warning("round", run=alert.id, text=alert.text, promote=alert.promote, conditions=list(alert.conditions))
        taken = self._webhook is None or await self._webhook.post(msgspec.json.encode(alert), alert.id)
        metrics.ALERTS.labels("told" if taken else "not-told").inc()

    async def _take_episode(self, record: Record) -> None:
        try:
            episode = decode(record.value, Episode)
        except MessageError as error:
            _malformed(Name.DRIFT, record, error)
            return
        if not needs_alert(episode, episode.id in self._raised):
            return
        alert = Alert(episode.id, episode.camera, episode.kind, datetime.now(UTC), episode.text)
        value, headers = encode(alert, kind="maskwatch.alert.v1", source="/alerts", id=alert.id, time=alert.raised)
        # 1. Kept, so that the console shows it.
        await self._keep(alert, value, headers)
        self._raised.add(episode.id)
        # 2. Told.
        log.warning("alert", alert=alert.id, camera=alert.camera, kind=alert.kind, text=alert.text)
        taken = self._webhook is None or await self._webhook.post(value, alert.id)
        # 3. Only then is the episode done; who commits is above.
        metrics.ALERTS.labels("told" if taken else "not-told").inc()

    async def _keep(self, alert: Alert, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        while True:
            try:
                await kafka.send(
                    self._producer, self._settings, Name.ALERTS, key=alert.camera, value=value, headers=headers
                )
            except BrokerError as error:
                log.warning("alert not kept yet; trying again", error=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return


def needs_alert(episode: Episode, known: bool) -> bool:  # noqa: FBT001  # one of two things that matter
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
