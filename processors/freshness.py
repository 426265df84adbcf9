"""Which of the frames that were read are worth looking at: the newest of each camera, unless it is late.

Pure: records and the time come in, a plan comes out. Ages are counted from the broker's append time, so a camera
whose clock is wrong is neither favoured nor starved.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

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


class Plan(NamedTuple):
    """What to do with the frames that were read."""

    look: list[Record]
    """Freshest first is not wanted: oldest first, so that no camera waits twice."""
    skipped: dict[str, int]
    """Frames nobody looks at, by reason: ``replaced`` by a newer one, ``late``, over the ``batch``."""
    seek: list[TopicPartition]


def plan(read: Mapping[TopicPartition, Sequence[Record]], now: float, policy: Policy) -> Plan:
    """Choose what to look at.

    Parameters
    ----------
    read
        Records by partition, in order of offset.
    now
        Seconds since the epoch.
    policy
        How fresh is fresh.

    Returns
    -------
    Plan
        At most one frame a camera.
    """
    newest: dict[bytes, Record] = {}
    total = late = 0
    seek = []
    for partition, records in read.items():
        total += len(records)
        for record in records:
            newest[record.key or b""] = record
        if records and now - records[-1].timestamp / 1000 > policy.seek_after_s:
            seek.append(partition)
    replaced = total - len(newest)
    fresh = []
    for record in newest.values():
        if now - record.timestamp / 1000 > policy.age_budget_s:
            late += 1
        else:
            fresh.append(record)
    fresh.sort(key=lambda record: record.timestamp)
    # The ones that had to wait are the newest: they are seen again, newer, in the next batch.
    crowded = max(0, len(fresh) - policy.batch)
    skipped = {"replaced": replaced, "late": late, "batch": crowded}
    return Plan(fresh[: policy.batch], {reason: count for reason, count in skipped.items() if count}, seek)
