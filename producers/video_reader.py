"""Decodes one uploaded video, in a process of its own; started by :mod:`producers.video`.

Containers are an allowlist, and none may lead to another file or address.
"""

import resource
from collections.abc import Iterator
from io import BytesIO
from multiprocessing.connection import Connection

import av
import av.error
import numpy as np
from av.container import InputContainer

from producers.upload import LONGEST_SIDE
from producers.video import END, PICTURE, REASON, STILL, Order

CUT_S = 1.0
"""A video that ends so much sooner than it says was cut off."""

MOST_MEMORY = 3 * 2**30
"""Bytes of addresses, those of libraries included."""

_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",
    # It is read from memory; what it names elsewhere stays there.
    "protocol_whitelist": "data",
}


class _Refused(Exception):  # noqa: N818  # no error of ours
    """More than is taken; the text is for people."""


def read(order: Order, connection: Connection) -> None:
    """Send pictures, then the end, or why there is none."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    try:
        for message in _pictures(order):
            connection.send_bytes(message)
        connection.send_bytes(END)
    except _Refused as refused:
        connection.send_bytes(REASON + str(refused).encode())
    except (BrokenPipeError, ConnectionResetError):
        return
    except (av.error.FFmpegError, ValueError, MemoryError):
        connection.send_bytes(REASON + b"the video is truncated, corrupt or of a kind that is not read")


def _pictures(order: Order) -> Iterator[bytes]:
    av.logging.set_level(None)
    due, limits = 0.0, order.limits
    with av.open(BytesIO(order.data), "r", options=_OPTIONS) as container:
        if not container.streams.video:
            raise _Refused("the file holds no video")
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        if stream.codec_context.width * stream.codec_context.height > limits.max_pixels:
            raise _Refused(f"pictures of the video have more than {limits.max_pixels} pixels")
        time = 0.0
        for frame in container.decode(stream):
            time = frame.time or 0.0
            if time > limits.longest_s:
                raise _Refused(f"the video is longer than {limits.longest_s:g} s")
            if time >= due:
                yield _packed(frame)
                due += 1 / limits.rate
        if not due:
            raise _Refused("the file holds no picture")
        if time + CUT_S < _promised_s(container, stream):
            raise _Refused(f"the video is truncated: it ends after {time:.1f} s")


def _promised_s(container: InputContainer, stream: "av.VideoStream") -> float:
    """Return how long the video says that it is, in seconds; 0 if it says nothing."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _packed(frame: "av.VideoFrame") -> bytes:
    scale = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    # Even sides: every pixel format can be scaled to them.
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
    pixels = frame.to_ndarray(format="bgr24", width=width, height=height)
    # Phones hold their pictures sideways and say by how much.
    upright = np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)), np.uint8)
    height, width = upright.shape[:2]
    return STILL.pack(PICTURE, width, height, frame.time or 0.0) + upright.tobytes()
