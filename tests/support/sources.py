"""Fakes at the seams of capture: time, sources, a webcam, and somewhere for frames to go."""

import threading
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from maskwatch.messages import FrameInfo, MarkedFace, SceneKnobs
from producers.source import Image, Shot


def picture(width: int = 64, height: int = 48, level: int = 128) -> Image:
    """A plain picture of one grey level."""
    return np.full((height, width, 3), level, np.uint8)


class FakeTime:
    """A clock that moves only while somebody waits; both a Clock and a Wait."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.stopped = False

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        if seconds:
            self.waits.append(seconds)
        self.now += seconds
        return self.stopped


class ListSource:
    """Gives pictures from a list, then ends, fails, or blocks until `released`."""

    def __init__(
        self,
        pictures: Iterable[Image],
        *,
        truth: tuple[MarkedFace, ...] | None = None,
        error: Exception | None = None,
        released: threading.Event | None = None,
    ) -> None:
        self._pictures: Iterator[Image] = iter(pictures)
        self._truth = truth
        self._error = error
        self._released = released
        self.closed = 0

    def read(self) -> Shot | None:
        image = next(self._pictures, None)
        if image is not None:
            return Shot(image, self._truth)
        if self._released is not None:
            self._released.wait(30)
        if self._error is not None:
            raise self._error
        return None

    def close(self) -> None:
        self.closed += 1


class FakeScene:
    """Gives pictures for ever, as bright as its knobs say."""

    def __init__(self, width: int = 64, height: int = 48) -> None:
        self._size = (width, height)
        self._light = 1.0
        self.turns: list[SceneKnobs] = []

    def read(self) -> Shot:
        return Shot(picture(*self._size, level=round(80 * self._light)))

    def turn(self, knobs: SceneKnobs) -> None:
        self.turns.append(knobs)
        self._light = knobs.light

    def close(self) -> None:
        pass


class FakeWebcam:
    """What ``cv2.VideoCapture`` is to a webcam: `frames` by number, None for one that cannot be decoded."""

    def __init__(self, frames: Iterable[Image | None], time: FakeTime, interval: float, *, opened: bool = True) -> None:
        self._frames = iter(frames)
        self._time = time
        self._interval = interval
        self._opened = opened
        self._current: Image | None = None
        self.asked: dict[int, float] = {}
        self.decoded = 0
        self.released = 0

    def isOpened(self) -> bool:  # noqa: N802  # OpenCV's name
        return self._opened

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803
        self.asked[propId] = value
        return propId != cv2.CAP_PROP_BUFFERSIZE

    def grab(self) -> bool:
        try:
            self._current = next(self._frames)
        except StopIteration:
            return False
        self._time.now += self._interval
        return True

    def retrieve(self) -> tuple[bool, Image | None]:
        self.decoded += 1
        return self._current is not None, self._current

    def release(self) -> None:
        self.released += 1


class ListPublisher:
    """Keeps what was published; acknowledges nothing while `away`."""

    def __init__(self) -> None:
        self.frames: list[tuple[FrameInfo, bytes, bool]] = []
        self.away = False

    async def publish(self, info: FrameInfo, jpeg: bytes, *, record: bool) -> bool:
        self.frames.append((info, jpeg, record))
        return not self.away
