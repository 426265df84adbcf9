"""Join frames with what was seen on them, by frame id, in bounded memory.

A frame waits for its detection, or the other way round, whichever topic is read first. Newest wins: once a frame of a
camera was joined, whatever is older is given up, and nothing older is ever given out. Nothing here reads a clock or
a topic: times come in as arguments.
"""

from collections import deque
from datetime import datetime, timedelta

import msgspec

from maskwatch.messages import Detection, FrameInfo, LiveFrame

RATE_WINDOW = timedelta(seconds=5)


class Limits(msgspec.Struct, frozen=True):
    """How much may wait, and for how long."""

    window_s: float = 3.0
    """Seconds that a frame waits for its detection, and a detection for its frame."""
    per_camera: int = 60
    """Frames, and as many detections, that wait for one camera."""
    total_bytes: int = 64 * 2**20
    """JPEG bytes that wait for all cameras together."""
    forget_s: float = 60.0
    """A camera without a joined frame for so long begins anew."""


class Joined(msgspec.Struct, frozen=True):
    """A frame with what was seen on it."""

    live: LiveFrame
    jpeg: bytes

    @property
    def camera(self) -> str:
        """Return the camera's id."""
        return self.live.frame.camera


class _Frame(msgspec.Struct, frozen=True):
    info: FrameInfo
    jpeg: bytes
    published: datetime
    since: float


class _Waiting(msgspec.Struct, frozen=True):
    detection: Detection
    since: float


class _Camera:
    """What is known of one camera: who waits, and the last frame that was joined."""

    def __init__(self) -> None:
        self.frames: dict[str, _Frame] = {}
        self.detections: dict[str, _Waiting] = {}
        self.last: _Frame | None = None
        self.dropped = 0
        self.published: deque[datetime] = deque()

    def is_newer(self, frame: _Frame) -> bool:
        """Tell whether a frame comes after the last joined one.

        Within a session the sequence decides. Sessions follow each other in the order of the broker's append times.
        """
        if self.last is None:
            return True
        if frame.info.session == self.last.info.session:
            return frame.info.sequence > self.last.info.sequence
        return frame.published > self.last.published

    def advance(self, frame: _Frame) -> None:
        """Make a frame the last joined one, and count what was skipped before it."""
        if self.last is None or frame.info.session != self.last.info.session:
            self.dropped = 0
        else:
            self.dropped += frame.info.sequence - self.last.info.sequence - 1
        self.last = frame
        self.published.append(frame.published)
        while self.published[0] < frame.published - RATE_WINDOW:
            self.published.popleft()

    def rate(self) -> float:
        """Return joined frames a second over the last few seconds; 0 until there were two."""
        span = (self.published[-1] - self.published[0]).total_seconds()
        return round((len(self.published) - 1) / span, 2) if span > 0 else 0.0


class Joiner:
    """The frames and detections that wait for each other.

    Parameters
    ----------
    limits
        How much may wait, and for how long.

    Attributes
    ----------
    unjoined : int
        Frames that were given up so far.
    """

    def __init__(self, limits: Limits) -> None:
        self.unjoined = 0
        self._limits = limits
        self._cameras: dict[str, _Camera] = {}
        self._bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """Return the JPEG bytes that wait."""
        return self._bytes

    def add_frame(self, info: FrameInfo, jpeg: bytes, published: datetime, now: float) -> Joined | None:
        """Take a frame.

        Parameters
        ----------
        info, jpeg
            The record's headers and value.
        published
            The broker's append time.
        now
            Seconds on any clock that never goes back.

        Returns
        -------
        Joined or None
            The frame with its detection, if that was there already and nothing newer was given out.
        """
        camera = self._cameras.setdefault(info.camera, _Camera())
        frame = _Frame(info, jpeg, published, now)
        waiting = camera.detections.pop(info.id, None)
        if not camera.is_newer(frame):
            self.unjoined += 1
            return None
        if waiting is not None:
            return self._join(camera, frame, waiting.detection)
        self._drop(camera, info.id)
        camera.frames[info.id] = frame
        self._bytes += len(jpeg)
        if len(camera.frames) > self._limits.per_camera:
            self._give_up(camera)
        while self._bytes > self._limits.total_bytes:
            self._give_up(min(self._cameras.values(), key=_oldest))
        return None

    def add_detection(self, detection: Detection, now: float) -> Joined | None:
        """Take a detection.

        Parameters
        ----------
        detection
            The record's value.
        now
            Seconds on any clock that never goes back.

        Returns
        -------
        Joined or None
            The detection with its frame, if that was there already.
        """
        camera = self._cameras.setdefault(detection.frame.camera, _Camera())
        frame = self._drop(camera, detection.frame.id)
        if frame is not None:
            return self._join(camera, frame, detection)
        camera.detections[detection.frame.id] = _Waiting(detection, now)
        if len(camera.detections) > self._limits.per_camera:
            del camera.detections[next(iter(camera.detections))]
        return None

    def expire(self, now: float) -> None:
        """Give up what has waited for too long, and forget cameras that are gone.

        Parameters
        ----------
        now
            Seconds on the clock of the other calls.
        """
        latest = now - self._limits.window_s
        for name, camera in list(self._cameras.items()):
            while camera.frames and _oldest(camera) < latest:
                self._give_up(camera)
            while camera.detections and next(iter(camera.detections.values())).since < latest:
                del camera.detections[next(iter(camera.detections))]
            if camera.last is not None and camera.last.since < now - self._limits.forget_s:
                camera.last = None
                camera.published.clear()
            if not (camera.frames or camera.detections or camera.last):
                del self._cameras[name]

    def _join(self, camera: _Camera, frame: _Frame, detection: Detection) -> Joined:
        camera.advance(msgspec.structs.replace(frame, jpeg=b""))
        for identity in [name for name, other in camera.frames.items() if not camera.is_newer(other)]:
            self._drop(camera, identity)
            self.unjoined += 1
        return Joined(
            LiveFrame(
                frame=detection.frame,
                model=detection.model,
                detected=detection.detected,
                objects=detection.objects,
                published=frame.published,
                rate=camera.rate(),
                dropped=camera.dropped,
            ),
            frame.jpeg,
        )

    def _drop(self, camera: _Camera, identity: str) -> _Frame | None:
        frame = camera.frames.pop(identity, None)
        if frame is not None:
            self._bytes -= len(frame.jpeg)
        return frame

    def _give_up(self, camera: _Camera) -> None:
        self._drop(camera, next(iter(camera.frames)))
        self.unjoined += 1


def _oldest(camera: _Camera) -> float:
    """Return since when a camera's oldest frame has waited; never for a camera without one."""
    return next(iter(camera.frames.values())).since if camera.frames else float("inf")
