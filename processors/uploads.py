"""The upload lane: every picture is answered, in order, at least once.

An upload's offset is committed only once its answer is acknowledged. While live frames wait, uploads get their share of
every round and no more.
"""

import asyncio
from datetime import UTC, datetime

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from maskwatch import kafka, metrics
from maskwatch.errors import BrokerError
from maskwatch.inference import Detected, Refused
from maskwatch.kafka import Record
from maskwatch.messages import ModelRef, Prediction, encode
from maskwatch.settings import Settings
from maskwatch.topics import Name
from processors.deadletters import key_of
from processors.lanes import POLL_MS, behind, commit, look_at, refuse
from processors.live import LiveLane
from processors.serving import Serving

RETRY_S = 1.0

log = structlog.get_logger(__name__)


class UploadLane:
    """Answers every upload, in order, at least once."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        serving: Serving,
        settings: Settings,
        beside: LiveLane,
    ) -> None:
        self._consumer = consumer
        self._producer = producer
        self._serving = serving
        self._settings = settings
        self._beside = beside
        # A live round begins only when a thread has nothing left of either lane's, so rounds take turns though two live
        # ones may be under way: their sizes are their shares, where answers take no longer than a live round.
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
            model, outcomes = await look_at(self._serving, records, "square")
            # 1. Every answer is acknowledged; 2. only then the offsets move on.
            if await self._answer_all(list(zip(records, outcomes, strict=True)), model, stop):
                await commit(self._consumer, behind(records), self._settings)

    async def _answer_all(
        self, pairs: list[tuple[Record, Detected | Refused]], model: ModelRef, stop: asyncio.Event
    ) -> bool:
        while True:
            answers = await asyncio.gather(*(self._answer(*pair, model) for pair in pairs), return_exceptions=True)
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

    async def _answer(self, record: Record, outcome: Detected | Refused, model: ModelRef) -> None:
        upload = key_of(record)
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
                model=model,
                objects=outcome.faces,
            )
        value, headers = encode(prediction, kind="maskwatch.prediction.v1", source="/detector", id=upload, time=now)
        await kafka.send(self._producer, self._settings, Name.PREDICTIONS, key=upload, value=value, headers=headers)
        if prediction.status == "done":
            metrics.FRAMES_DETECTED.labels("upload").inc()
