"""Until when an erased picture still lies in Kafka. Pure: the topics' contract tells, and time comes in as an argument.

No reader shows it any more; but what Kafka keeps by age goes with its age, and what it keeps by key goes when its log
is compacted.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from maskwatch.label_messages import FrameLabel
from maskwatch.topics import FORGET_MS, TOPICS, Name

COMPACTED_BY = timedelta(milliseconds=2 * FORGET_MS)
"""An hour: half of it until the log is rolled, half for the broker's cleaner."""

FRAMES = (Name.FRAMES_LIVE, Name.FRAMES_RECORDING)
COMPACTED = (Name.LABELS, Name.LABEL_REQUESTS)
LATE = timedelta(minutes=10)
"""Topics are cut by whole segments: the last of an age goes a little later."""


def remains(label: FrameLabel, now: datetime) -> Iterator[tuple[Name, datetime]]:
    """Yield where an erased picture still lies, and until when at most.

    Parameters
    ----------
    label
        That it was erased.
    now
        What is past is left out.
    """
    for name in COMPACTED:
        if (until := label.at + COMPACTED_BY) > now:
            yield name, until
    if label.captured is None:
        return
    for name in FRAMES:
        kept = timedelta(milliseconds=next(topic.retention_ms for topic in TOPICS if topic.name is name))
        if (until := label.captured + kept + LATE) > now:
            yield name, until
