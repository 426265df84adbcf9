"""The one recording that everything is measured on: the drawn demo scene, encoded beforehand as a camera would."""

from datetime import UTC, datetime
from pathlib import Path

from maskwatch.errors import RecordingError
from maskwatch.messages import Camera, FrameInfo, frame_headers
from maskwatch.recording.format import Recorded
from maskwatch.recording.reading import read
from maskwatch.recording.writing import RecordingWriter
from maskwatch.topics import Name
from producers.jpeg import to_jpeg
from producers.scene import Scene

FRAMES = 300
SIZE = (1280, 720)
SEED = 1
CAMERA = "bench"


def recorded_jpegs(path: Path) -> list[bytes]:
    """Return the pictures of the recording, which is made if it is not there; 300 of 1280x720, about 76 kB each."""
    try:
        return [record.value for record in read(path) if record.value]
    except (RecordingError, OSError):
        _record(path)
        return [record.value for record in read(path) if record.value]


def _record(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    now = 0.0
    scene = Scene(SIZE, SEED, clock=lambda: now)
    camera = Camera(id=CAMERA, source="scene")
    try:
        with RecordingWriter(path, force=True) as writer:
            for number in range(FRAMES):
                now = number / 10
                shot = scene.read()
                jpeg = to_jpeg(shot.image, camera)
                assert jpeg is not None  # 720p fits
                info = FrameInfo(
                    CAMERA, "s1", number, datetime.fromtimestamp(now, UTC), jpeg.width, jpeg.height, shot.truth
                )
                headers = tuple(frame_headers(info))
                writer.write(
                    Recorded(Name.FRAMES_LIVE, 0, number, round(now * 1000), CAMERA.encode(), jpeg.data, headers)
                )
    finally:
        scene.close()
