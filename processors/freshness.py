"""Which of the frames that were read are worth looking at: the newest of each camera, unless it is late.

Pure: records and the time come in. Ages are counted from the broker's append time, so a camera whose clock is wrong is
neither favoured nor starved.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from aiokafka import TopicPartition

from maskwatch.kafka import Record


class Policy(msgspec.Struct, frozen=True):
    """How fresh is fresh."""

    age_budget_s: float
    """Older frames are skipped, in seconds since the append."""
    seek_after_s: float
    """A partition whose newest frame is older than this is read on from its end."""
    batch: int
    """Frames looked at together, at most."""


class Newest:
    """The newest frame of each camera that waits to be looked at; never more than one a camera.

    `skipped` counts the frames that nobody will look at, by reason: ``replaced`` by a newer one, or ``late``. Whoever
    reports them clears it.
    """

    def __init__(self, policy: Policy) -> None:
        self.skipped: Counter[str] = Counter()
        self._policy = policy
        self._waiting: dict[bytes, Record] = {}

    def offer(self, read: Mapping[TopicPartition, Sequence[Record]], now: float) -> list[TopicPartition]:
        """Take in what was read.

        Parameters
        ----------
        read
            Records by partition, in order of offset.
        now
            Seconds since the epoch.

        Returns
        -------
        list of TopicPartition
            Those so far behind that reading on from their end serves better.
        """
        behind = []
        for partition, records in read.items():
            if records and _age(records[-1], now) > self._policy.seek_after_s:
                behind.append(partition)
                self.skipped["late"] += len(records)
                continue
            for record in records:
                camera = record.key or b""
                if camera in self._waiting:
                    self.skipped["replaced"] += 1
                self._waiting[camera] = record
        return behind

    def take(self, now: float) -> list[Record]:
        """Hand out what is to be looked at now, at most a batch.

        The oldest go first: who is left for the next batch is then the oldest there, so no camera waits twice.

        Parameters
        ----------
        now
            Seconds since the epoch.
        """
        for camera, record in list(self._waiting.items()):
            if _age(record, now) > self._policy.age_budget_s:
                del self._waiting[camera]
                self.skipped["late"] += 1
        oldest = sorted(self._waiting, key=lambda camera: self._waiting[camera].timestamp)
        return [self._waiting.pop(camera) for camera in oldest[: self._policy.batch]]

    def __len__(self) -> int:
        return len(self._waiting)


def _age(record: Record, now: float) -> float:
    return now - record.timestamp / 1000
