"""What is in a recording: how many records of which topics, and which cameras in which sizes."""

import msgspec

from maskwatch.messages import JPEG
from maskwatch.quantities import say_count
from maskwatch.recording.format import Recorded


class CameraSummary(msgspec.Struct):
    """What a recording holds of one camera on one topic."""

    frames: int = 0
    bytes: int = 0
    """Of the pictures alone."""
    sizes: list[tuple[int, int]] = []  # msgspec copies defaults
    """Width and height in pixels, each pair once, in the order they came."""


class TopicSummary(msgspec.Struct):
    """What a recording holds of one topic."""

    records: int = 0
    bytes: int = 0
    """Of keys, values and headers, before compression."""
    cameras: dict[str, CameraSummary] = {}
    """By camera id; only of records that are frames."""


class Contents(msgspec.Struct):
    """What is in a recording, as its writer counted it."""

    topics: dict[str, TopicSummary] = {}
    first_ms: int | None = None
    last_ms: int | None = None
    """Earliest and latest time of a record, in milliseconds since the epoch; None without records."""

    @property
    def records(self) -> int:
        """Return how many records there are in all."""
        return sum(topic.records for topic in self.topics.values())

    @property
    def seconds(self) -> float:
        """Return the time from the first record to the last; 0 without records."""
        return 0.0 if self.first_ms is None or self.last_ms is None else (self.last_ms - self.first_ms) / 1000

    @property
    def cameras(self) -> list[str]:
        """Return the ids of all cameras, in alphabetical order."""
        return sorted({camera for topic in self.topics.values() for camera in topic.cameras})

    def told(self) -> str:
        """Say in words how much there is.

        Examples
        --------
        >>> Contents({"frames.live.v1": TopicSummary(3, 0, {"door": CameraSummary(2)})}).told()
        '2 frames of 1 camera and 1 other record'
        """
        frames = sum(camera.frames for topic in self.topics.values() for camera in topic.cameras.values())
        others = self.records - frames
        told = f"{say_count(frames, 'frame')} of {say_count(len(self.cameras), 'camera')}"
        if not frames:
            return f"{say_count(others, 'record')}"
        return f"{told} and {say_count(others, 'other record')}" if others else told

    def count(self, record: Recorded) -> None:
        """Count one record."""
        topic = self.topics.setdefault(record.topic, TopicSummary())
        value = record.value or b""
        topic.records += 1
        topic.bytes += record.size
        self.first_ms = record.timestamp_ms if self.first_ms is None else min(self.first_ms, record.timestamp_ms)
        self.last_ms = record.timestamp_ms if self.last_ms is None else max(self.last_ms, record.timestamp_ms)
        headers = dict(record.headers)
        if headers.get("content-type") != JPEG.encode() or not headers.get("ce_camera"):
            return
        camera = topic.cameras.setdefault(headers["ce_camera"].decode(errors="replace"), CameraSummary())
        camera.frames += 1
        camera.bytes += len(value)
        try:
            size = int(headers["ce_width"]), int(headers["ce_height"])
        except (KeyError, TypeError, ValueError):
            return
        if size not in camera.sizes:
            camera.sizes.append(size)
