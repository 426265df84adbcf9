"""Guards what was promoted: follows what both models see and what people say, and asks for a roll-back if it is worse.

It only asks, by a command like anybody's: the rollout decides, and refuses what has come too late. Its command names
the champion that it has watched, so that asking twice, or two of them asking, changes nothing.
"""

import asyncio
import math
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from maskwatch import metrics, promoting, reading
from maskwatch.errors import BrokerError, MessageError
from maskwatch.kafka import Record
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import decode
from maskwatch.model_messages import Champion, ModelCommand
from maskwatch.settings import Settings
from maskwatch.shadow_messages import Shadowed
from maskwatch.topics import Name, partition_count, partitions
from processors.relapse import Relapse

RETRY_S = 5.0
LOOK_S = 2.0
BY = "watch"
"""Who asks."""

log = structlog.get_logger(__name__)


class Watched:
    """The champion under watch. Pure, apart from what it keeps.

    Parameters
    ----------
    settings
        The whole tree.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._champion: Champion | None = None
        self._relapse = Relapse(settings.rollout)

    def take(self, name: str, record: Record) -> None:
        """Take a record of ``models.v1``, ``shadow.v1`` or ``labels.v1``.

        Raises
        ------
        MessageError
            If it is not what its topic promises.
        """
        if name == Name.MODELS:
            champion = decode(record.value, Champion)
            # A topic that is not compacted yet has those before it, too.
            if self._champion is None or champion.since > self._champion.since:
                self._champion, self._relapse = champion, Relapse(self._settings.rollout)
        elif name == Name.SHADOW:
            shadowed = decode(record.value, Shadowed)
            # What is said of another promotion is of other models.
            if self._champion is not None and shadowed.promotion == self._champion.command:
                self._relapse.add(shadowed)
        else:
            label = decode(record.value, FrameLabel) if record.value is not None else None
            self._relapse.hear((record.key or b"").decode(errors="replace"), label)

    def wish(self, now: datetime) -> ModelCommand | None:
        """Return the wish to roll the champion back; None if it is not to be, or if it is not time to look."""
        champion = self._champion
        if champion is None or champion.rolled_back:
            return None
        if now - champion.since > timedelta(hours=self._settings.rollout.watch_hours):
            return None
        if not (why := self._relapse.verdict()):
            return None
        serves = champion.model.sha256 if champion.model is not None else ""
        return ModelCommand(
            id=f"watch-{champion.command}", kind="roll-back", by=BY, at=now, instead_of=serves, why=why
        )  # fmt: skip


class Guard:
    """Follows the topics, and asks.

    Parameters
    ----------
    settings
        Name the cluster.
    producer
        Durable and running.
    mine
        Tells whether this process is the one that rolls models out: the others watch in case it dies.
    """

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, mine: Callable[[], bool]) -> None:
        self._settings = settings
        self._producer = producer
        self._mine = mine
        self._watched = Watched(settings)
        self._caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow and look until cancelled; while Kafka is away it waits."""
        if not self._settings.rollout.watch_hours:
            return
        async with asyncio.TaskGroup() as both:
            both.create_task(self._follow())
            both.create_task(self._look())

    async def _follow(self) -> None:
        back_s = self._settings.rollout.watch_hours * 3600
        far = {Name.MODELS: math.inf, Name.SHADOW: back_s, Name.LABELS: back_s}
        places = {place: far[name] for name in far for place in partitions(self._settings, name)}
        while True:
            try:
                # What is said of a promotion means nothing until it is known.
                for record in await reading.held(self._settings, Name.MODELS, partition_count(Name.MODELS)):
                    self._take(record)
                async with aclosing(reading.follow_all(self._settings, places, self._caught_up)) as records:
                    async for record in records:
                        self._take(record)
            except (BrokerError, KafkaError) as error:
                log.warning("the champion cannot be watched; trying again", error=str(error))
            await asyncio.sleep(RETRY_S)

    def _take(self, record: Record) -> None:
        name = record.topic.removeprefix(self._settings.kafka.topic_prefix)
        try:
            self._watched.take(name, record)
        except MessageError as error:
            metrics.RECORDS_MALFORMED.labels(name).inc()
            log.warning("malformed record skipped", topic=record.topic, offset=record.offset, error=str(error))

    async def _look(self) -> None:
        await self._caught_up.wait()
        while True:
            await asyncio.sleep(LOOK_S)
            wish = self._watched.wish(datetime.now(UTC)) if self._mine() else None
            if wish is not None:
                log.warning("the champion does worse than the one before", why=wish.why)
                if self._settings.rollout.automatic:
                    await self._ask(wish)

    async def _ask(self, wish: ModelCommand) -> None:
        while True:
            try:
                await promoting.send(wish, self._producer, self._settings, "/watch")
            except BrokerError as error:
                log.warning("not asked yet; trying again", error=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return
