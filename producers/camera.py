"""A webcam on this machine, read through OpenCV.

A webcam gives frames at its own pace and keeps some back in a buffer. So every frame is taken from it, and only those
that are due are decoded: what is published is never older than the webcam's last frame.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from maskwatch.errors import SourceError
from producers.cadence import Cadence, Clock
from producers.source import Image, Shot

_LINUX = sys.platform.startswith("linux")


class Device(Protocol):
    """The part of ``cv2.VideoCapture`` that is used here."""

    def isOpened(self) -> bool:  # noqa: N802  # OpenCV's name
        """Tell whether there is a webcam behind it."""

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803
        """Ask the driver for something; False if it does not do that."""

    def grab(self) -> bool:
        """Take the next frame from the driver without decoding it; may block for 10 s."""

    def retrieve(self) -> tuple[bool, Image | None]:
        """Decode the frame that was grabbed last."""

    def release(self) -> None:
        """Let go of the webcam."""


class Webcam:
    """The webcam of a number.

    Parameters
    ----------
    index
        The number that the system gave it, from 0.
    rate
        Frames a second at most.
    longest_side
        Pixels to ask the webcam for; it gives the nearest size that it has.
    open_device
        Opens the webcam of a number.
    clock
        How time passes.

    Raises
    ------
    SourceError
        If there is no such webcam, or it cannot be used; the message says what to look at.
    """

    def __init__(
        self,
        index: int,
        *,
        rate: float,
        longest_side: int,
        open_device: Callable[[int], Device] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._index = index
        self._cadence = Cadence(rate)
        self._clock = clock
        self._device = (open_device or _open)(index)
        if not self._device.isOpened():
            self._device.release()
            raise SourceError(
                f"no webcam {index}: it is not plugged in, another program uses it, or this user may not; {_advice()}"
            )
        # Compressed frames let a webcam on USB 2 give large pictures at full rate. Drivers ignore what they do not do.
        self._device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._device.set(cv2.CAP_PROP_FRAME_WIDTH, longest_side)
        self._device.set(cv2.CAP_PROP_FRAME_HEIGHT, longest_side * 9 // 16)
        self._device.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def read(self) -> Shot:
        """Return the next frame that is due.

        Raises
        ------
        SourceError
            If the webcam gives no more.
        """
        while self._device.grab():
            if self._cadence.due(self._clock()):
                whole, image = self._device.retrieve()
                # The first frames of some webcams are cut off.
                if whole and image is not None:
                    return Shot(np.asarray(image, np.uint8))
        raise SourceError(
            f"webcam {self._index} gives no frames any more: it was unplugged, or another program took it"
        )

    def close(self) -> None:
        """Let go of the webcam."""
        self._device.release()


def _open(index: int) -> Device:
    if _LINUX and not Path(f"/dev/video{index}").exists():
        # OpenCV would warn about it in its own words, on every try.
        raise SourceError(f"no webcam {index}: there is no /dev/video{index}; {_advice()}")
    # OpenCV's stubs name the parameters otherwise.
    device: Device = cv2.VideoCapture(index, cv2.CAP_V4L2 if _LINUX else cv2.CAP_ANY)  # type: ignore[assignment]
    return device


def _advice() -> str:
    if _LINUX:
        return "«ls /dev/video*» lists those that are here, and «groups» must name video"
    return "look at the system's privacy settings for the camera"
