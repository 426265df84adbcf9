"""Which of the frames that were read are worth looking at: the newest of each camera, unless it is late.

Pure: records and the time come in. Ages are counted from the broker's append time, so a camera whose clock is wrong is
neither favoured nor starved; and by no wall clock of this machine, so a wrong one does no harm here either.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from aiokafka import TopicPartition

from maskwatch.kafka import Record

DRIFT = 1e-4
"""How much faster one clock may run than another."""

STALE_AFTER = 2
"""A detection may be this many times as old as a frame that is worth looking at."""


class Policy(msgspec.Struct, frozen=True):
    """How fresh is fresh."""

    age_budget_s: float
    """Older frames are skipped, in seconds since the append."""
    seek_after_s: float
    """A partition whose newest frame is older than this is read on from its end."""
    batch: int
    """Frames looked at together, at most."""


class _Sought(NamedTuple):
    """From where on a partition is read, and when that was its end."""

    offset: int
    at: float


class _Least(NamedTuple):
    """The least lag that was seen, and when."""

    lag: float
    at: float


class Ages:
    """How old frames are, told without asking a wall clock: this machine's may be wrong, and either may jump.

    A frame's lag is the time from its append, by the broker's clock, to its reading, by a clock here that only never
    goes back. The two share no zero, but nothing is read before it was appended: the least lag of a partition belongs
    to a frame of age 0, and every other frame is as old as its lag exceeds that. What was appended after the partition
    was sought to its end cannot be older than that is ago; if it seems to be, then a clock was set, and the least lag
    is learnt anew. Until a first frame was read after a seek, every frame is infinitely old.
    """

    def __init__(self) -> None:
        self._least: dict[TopicPartition, _Least] = {}
        self._sought: dict[TopicPartition, _Sought] = {}
        self._latest: _Least | None = None

    def sought(self, ends: Mapping[TopicPartition, int], at: float) -> None:
        """Learn that partitions are read on from their ends.

        Parameters
        ----------
        ends
            Offset of the next frame, by partition.
        at
            When the ends were asked for, in seconds on any clock that never goes back.
        """
        self._sought |= {partition: _Sought(offset, at) for partition, offset in ends.items()}

    def learn(self, record: Record, now: float) -> None:
        """Learn from a frame that was read at this moment."""
        partition = _partition(record)
        lag = now - record.timestamp / 1000
        # Partitions of one cluster are lent each other's: its brokers agree about the time, more or less.
        least = self._least.get(partition, self._latest)
        sought = self._sought.get(partition)
        if sought is not None and record.offset >= sought.offset:
            del self._sought[partition]
            if least is None or lag - _drifted(least, now) > now - sought.at:
                least = _Least(lag, now)
        if least is not None:
            self._latest = self._least[partition] = _Least(min(lag, _drifted(least, now)), now)

    def age(self, record: Record, now: float) -> float:
        """Return a frame's age in seconds; infinite as long as it cannot be told."""
        least = self._least.get(_partition(record), self._latest)
        return math.inf if least is None else now - record.timestamp / 1000 - _drifted(least, now)


class Newest:
    """The newest frame of each camera that waits to be looked at; never more than one a camera.

    `skipped` counts the frames that nobody will look at, by reason: ``replaced`` by a newer one, or ``late``. Whoever
    reports them clears it.
    """

    def __init__(self, policy: Policy, ages: Ages) -> None:
        self.skipped: Counter[str] = Counter()
        self._policy = policy
        self._ages = ages
        self._waiting: dict[bytes, Record] = {}

    def offer(self, read: Mapping[TopicPartition, Sequence[Record]], now: float) -> list[TopicPartition]:
        """Take in what was read.

        Parameters
        ----------
        read
            Records by partition, in order of offset.
        now
            Seconds on the clock of the ages.

        Returns
        -------
        list of TopicPartition
            Those so far behind that reading on from their end serves better.
        """
        behind = []
        for partition, records in read.items():
            if records:
                self._ages.learn(records[-1], now)
                if self._ages.age(records[-1], now) > self._policy.seek_after_s:
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
            Seconds on the clock of the ages.
        """
        for camera, record in list(self._waiting.items()):
            if self._ages.age(record, now) > self._policy.age_budget_s:
                del self._waiting[camera]
                self.skipped["late"] += 1
        oldest = sorted(self._waiting, key=lambda camera: self._waiting[camera].timestamp)
        return [self._waiting.pop(camera) for camera in oldest[: self._policy.batch]]

    def is_stale(self, record: Record, now: float) -> bool:
        """Tell whether a frame has become too old, since it was taken, for anybody to see what was seen on it."""
        return self._ages.age(record, now) > STALE_AFTER * self._policy.age_budget_s

    def forget(self) -> None:
        """Let go of all that waits: somebody else looks at it."""
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)


def _partition(record: Record) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


def _drifted(least: _Least, now: float) -> float:
    return least.lag + DRIFT * (now - least.at)
