"""What people's labels say of the model, beside the detections: followed whole, and told with the episodes.

Labels are keyed by frame and cut into 8 partitions, detections by camera into 32, so no process has the labels of just
its own cameras. Each follows all of them without a group: they are few, a label has a hundred bytes here, they are kept
for ever by their topic so that nothing need be kept of them elsewhere, and a label that comes days later finds whoever
looks after its camera by then. Episodes are followed too, for most labels come once they have ended.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from itertools import islice

import msgspec
import structlog
from aiokafka.errors import KafkaError

from maskwatch import metrics, reading
from maskwatch.drift_messages import Confirmation, Episode
from maskwatch.errors import BrokerError, MessageError
from maskwatch.kafka import Record
from maskwatch.messages import decode
from maskwatch.settings import Settings
from maskwatch.topics import Name, partitions
from processors.monitors import Monitors
from processors.quality import COMPARED, Judged, Labels, confirmation

RETRY_S = 5.0
LOOK_S = 2.0
"""Labels that come in a burst are told of together."""

MOST_EPISODES = 2000
"""The oldest are forgotten first: whoever may write to the topic must not fill our memory."""

OfOpen = Callable[[str, str, Confirmation | None], Episode | None]

log = structlog.get_logger(__name__)


class Episodes:
    """What labels say of episodes. Pure, apart from what it keeps.

    Parameters
    ----------
    settings
        The whole tree.
    labels
        What is known of them; kept up to date here.
    """

    def __init__(self, settings: Settings, labels: Labels) -> None:
        self._settings = settings
        self._labels = labels
        self._episodes: dict[str, tuple[Episode, int]] = {}
        self._told: dict[str, tuple[int, Confirmation | None]] = {}
        self._changed: set[str] = set()

    def take(self, record: Record) -> None:
        """Take a record of ``labels.v1`` or ``drift.v1``.

        Raises
        ------
        MessageError
            If it is not what its topic promises.
        """
        if record.topic.endswith(Name.LABELS):
            if camera := self._labels.take((record.key or b"").decode(errors="replace"), record.value):
                self._changed.add(camera)
            return
        episode = decode(record.value, Episode)
        self._episodes[episode.id] = (episode, record.partition)
        self._changed.add(episode.camera)
        while len(self._episodes) > MOST_EPISODES:
            oldest = next(iter(self._episodes))
            del self._episodes[oldest]
            self._told.pop(oldest, None)

    def told_anew(self, mine: set[int], of_open: OfOpen) -> Iterator[Episode]:
        """Yield the episodes of which labels say something else than they did.

        Parameters
        ----------
        mine
            Partitions of the cameras that this process looks after: others tell of the others.
        of_open
            Gives the newest record of an open episode, with what labels say; None if it has just ended.
        """
        changed, self._changed = self._changed, set()
        for episode, partition in list(self._episodes.values()):
            if episode.camera not in changed:
                continue
            if partition not in mine:
                # Whoever looks after it tells; should that be this process later, it is looked at then.
                self._changed.add(episode.camera)
                continue
            said = self._confirmation(episode)
            if said == episode.confirmation:
                continue
            if episode.ended is not None:
                yield msgspec.structs.replace(episode, confirmation=said)
            elif (told := of_open(episode.camera, episode.id, said)) is not None:
                yield told
            else:
                # Its camera is silent, or its end is on the way: it is looked at again.
                self._changed.add(episode.camera)

    def _confirmation(self, episode: Episode) -> Confirmation | None:
        mine = [one for one in self._labels.of_camera(episode.camera) if one.model == episode.model.sha256]
        during = [one.agreement for one in mine if _within(one, episode)]
        if not during:
            return None
        before = self._usual(mine, episode)
        if len(before) < self._settings.drift.confirm_labels:
            # A camera that is new, or that nobody has labelled yet, is held against all others of the same model.
            others = [one for one in self._labels.of_others(episode.camera) if one.model == episode.model.sha256]
            before = self._usual(sorted([*mine, *others], key=lambda one: one.captured), episode)
        asked = hash((*before, None, *during))
        known = self._told.get(episode.id)
        if known is None or known[0] != asked:
            # Of a camera with many episodes a label changes the last one.
            known = self._told[episode.id] = asked, confirmation(before, during, self._settings.drift)
        return known[1]

    def _usual(self, judged: list[Judged], episode: Episode) -> list[float]:
        """Return the agreement on the newest frames from before an episode that are of no other one."""
        episodes = defaultdict[str, list[Episode]](list)
        for known, _ in self._episodes.values():
            episodes[known.camera].append(known)
        usual = (
            one.agreement
            for one in reversed(judged)
            if one.captured < episode.since and not any(_within(one, known) for known in episodes[one.camera])
        )
        return list(islice(usual, COMPARED))[::-1]


def _within(one: Judged, episode: Episode) -> bool:
    return episode.since <= one.captured and (episode.ended is None or one.captured <= episode.ended)


class Judging:
    """Follows labels and episodes, and tells with an episode what labels say of it.

    Parameters
    ----------
    settings
        Name the cluster.
    monitors
        Have the open episodes.
    labels
        Are kept up to date for them, too.
    mine
        The partitions of the cameras that this process looks after; whoever has it keeps it up to date.
    tell
        Publishes an episode.
    """

    def __init__(
        self,
        settings: Settings,
        monitors: Monitors,
        labels: Labels,
        mine: set[int],
        tell: Callable[[Episode], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._monitors = monitors
        self._episodes = Episodes(settings, labels)
        self._mine = mine
        self._tell = tell
        self._caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow and tell until cancelled; while Kafka is away it waits."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._follow())
            both.create_task(self._look())

    async def _follow(self) -> None:
        places = {place: math.inf for name in (Name.LABELS, Name.DRIFT) for place in partitions(self._settings, name)}
        while True:
            try:
                async with aclosing(reading.follow_all(self._settings, places, self._caught_up)) as records:
                    async for record in records:
                        self._take(record)
            except (BrokerError, KafkaError) as error:
                # Drift is watched all the same.
                log.warning("labels cannot be read; trying again", error=str(error))
            await asyncio.sleep(RETRY_S)

    async def _look(self) -> None:
        await self._caught_up.wait()
        while True:
            for episode in list(self._episodes.told_anew(self._mine, self._monitors.confirm)):
                said = episode.confirmation
                log.info("labels of an episode", episode=episode.id, text=said.text if said else "none any more")
                await self._tell(episode)
            await asyncio.sleep(LOOK_S)

    def _take(self, record: Record) -> None:
        try:
            self._episodes.take(record)
        except MessageError as error:
            metrics.RECORDS_MALFORMED.labels(record.topic).inc()
            log.warning("malformed record skipped", topic=record.topic, offset=record.offset, error=str(error))
