"""What is known of labels: the requests that wait for one, and the newest label of each frame.

Every API process reads ``labels.v1`` from its beginning, and of ``label-requests.v1`` the newest, whose pictures stay
in Kafka until somebody looks. The table is pure; :class:`api.label_feed.LabelFeed` fills it.
"""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from maskwatch.drift_messages import LabelRequest, read_label_request_headers
from maskwatch.errors import MessageError
from maskwatch.kafka import Record
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import decode
from maskwatch.topics import Name

MOST_LABELS = 200_000
"""Whoever may write to the topic must not fill our memory."""


class Waiting(NamedTuple):
    """A frame that people are asked to label, and where its picture lies in ``label-requests.v1``."""

    request: LabelRequest
    partition: int
    offset: int


class LabelTable:
    """Requests and labels, by frame.

    Parameters
    ----------
    most
        Requests that are kept; the oldest are forgotten first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._requests: dict[str, Waiting] = {}
        self._labels: dict[str, FrameLabel] = {}
        self._of_source: Counter[str] = Counter()
        self._times: list[datetime] = []
        """When each label was made that counts, in order."""
        self._skipped = 0

    def take(self, name: Name, record: Record) -> None:
        """Take one record; an empty one takes back what was said under its key.

        Raises
        ------
        MessageError
            If the record is not what its topic promises, or there is no room for it.
        """
        key = (record.key or b"").decode(errors="replace")
        if name is Name.LABELS:
            if record.value is None:
                self._forget(key)
            else:
                self.take_label(decode(record.value, FrameLabel))
        elif record.value is None:
            self._requests.pop(key, None)
        else:
            self.take_request(Waiting(read_label_request_headers(record.headers), record.partition, record.offset))

    def take_label(self, label: FrameLabel) -> None:
        """Take a label; what is erased stays so, and what people say no model replaces, whatever comes later.

        Raises
        ------
        MessageError
            If there is no room for it.
        """
        known = self._labels.get(label.frame)
        if known is not None and known.state == "erased" != label.state:
            return
        if known is not None and known.made_by != "model" == label.made_by:
            return
        if known is None and len(self._labels) >= MOST_LABELS:
            raise MessageError(f"there are {MOST_LABELS} labels already")
        self._forget(label.frame)
        self._labels[label.frame] = label
        self._skipped += label.state == "skipped"
        if label.counts:
            self._of_source[label.source] += 1
            insort(self._times, label.at)

    def take_request(self, found: Waiting) -> None:
        """Take a request; the oldest are forgotten first."""
        self._requests.pop(found.request.frame.id, None)
        self._requests[found.request.frame.id] = found
        while len(self._requests) > self._most:
            del self._requests[min(self._requests, key=lambda frame: self._requests[frame].request.requested)]

    def waiting(self) -> Iterator[Waiting]:
        """Yield the frames that no person has said anything about, the newest first."""
        for found in sorted(self._requests.values(), key=lambda one: one.request.requested, reverse=True):
            label = self._labels.get(found.request.frame.id)
            if label is None or label.made_by == "model":
                yield found

    def request(self, frame: str) -> Waiting | None:
        """Return the request for a frame, whether or not it has been answered; None if there is none."""
        return self._requests.get(frame)

    def label(self, frame: str) -> FrameLabel | None:
        """Return what was said about a frame, None if nothing was."""
        return self._labels.get(frame)

    def is_erased(self, frame: str) -> bool:
        """Tell whether a frame was erased."""
        known = self._labels.get(frame)
        return known is not None and known.state == "erased"

    def labels(self, most: int, which: Callable[[FrameLabel], bool]) -> list[FrameLabel]:
        """Return some labels at most, the newest first."""
        return heapq.nlargest(most, filter(which, self._labels.values()), key=lambda label: label.at)

    def of_picture(self, sha256: str) -> list[FrameLabel]:
        """Return the labels that name a picture."""
        return [label for label in self._labels.values() if sha256 and label.sha256 == sha256]

    def counted(self, source: str | None = None) -> int:
        """Return how many labels count towards a retrain: those by people, of a source or of all."""
        return self._of_source.total() if source is None else self._of_source[source]

    def counted_since(self, when: datetime | None) -> int:
        """Return how many labels count towards a retrain that were made after a moment, or ever."""
        return len(self._times) - (bisect_right(self._times, when) if when is not None else 0)

    @property
    def skipped(self) -> int:
        """How many frames were skipped."""
        return self._skipped

    def sources(self) -> dict[str, int]:
        """Return how many labels of each source count, the most first."""
        return dict((+self._of_source).most_common())

    def _forget(self, frame: str) -> None:
        if (known := self._labels.pop(frame, None)) is not None:
            self._skipped -= known.state == "skipped"
            if known.counts:
                self._of_source[known.source] -= 1
                del self._times[bisect_left(self._times, known.at)]
