"""Recordings for tests: frames that cost nothing, written to a file."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from maskwatch.messages import FrameInfo, MarkedFace, frame_headers
from maskwatch.recording.format import Recorded
from maskwatch.recording.writing import RecordingWriter
from maskwatch.topics import Name

START_MS = 1_770_000_000_000


def frame(  # noqa: PLR0913  # what frames differ in
    camera: str = "door",
    sequence: int = 0,
    *,
    at_ms: int = 0,
    session: str = "recorded",
    topic: str = Name.FRAMES_LIVE.value,
    jpeg: bytes = b"jpeg",
) -> Recorded:
    """A frame as it was read from Kafka, with a truth and a header that nobody knows."""
    info = FrameInfo(
        camera=camera,
        session=session,
        sequence=sequence,
        captured=datetime.fromtimestamp((START_MS + at_ms - 20) / 1000, UTC),
        width=1280,
        height=720,
        truth=(MarkedFace("with_mask", (0.1, 0.2, 0.3, 0.4)),),
    )
    headers = (*frame_headers(info), ("x-unknown", b"\x00\xff"))
    return Recorded(topic, 3, 100 + sequence, START_MS + at_ms, camera.encode(), jpeg, headers)


def written(path: Path, records: Iterable[Recorded]) -> Path:
    """Write a recording."""
    with RecordingWriter(path) as writer:
        for record in records:
            writer.write(record)
    return path
