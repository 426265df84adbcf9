"""What the tests of the detector's faults have in common: cameras on both halves of the partitions, and patience."""

import time

from maskwatch.topics import Name
from tests.support.stage import until
from tests.support.traffic import Subscriber

TOPICS = (Name.FRAMES_LIVE, Name.FRAMES_UPLOAD, Name.DETECTIONS, Name.PREDICTIONS, Name.FRAMES_LIVE_DLQ, Name.MODELS)
CAMERAS = ("door", "yard", "gate", "hall")
RATE = 5
SLOW_S = 0.1
"""With this, two threads are busy nearly always: whatever happens to a worker happens in mid-batch."""

BATCH = 12
"""Frames that a worker has in hand, at most."""

BUDGET_S = 4.0
"""A detection that is older than this is never published; by the default of `detector.age_budget_s`."""


async def all_seen(seen: Subscriber, moment: float, timeout_s: float) -> float:
    """Wait until of every camera a frame from after a moment is detected, and return how long after it that was."""
    await until(lambda: seen.cameras_since(moment) >= set(CAMERAS), timeout_s, "every camera is detected")
    return time.time() - moment


def stale(seen: Subscriber, moment: float) -> list[float]:
    """Return the ages of the detections that arrived after a moment and were too old to be published."""
    # What was sent in time may arrive a little later.
    return [arrival.age for arrival in seen.since(moment) if arrival.age > BUDGET_S + 1]
