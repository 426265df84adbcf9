"""A short video that somebody uploaded, as a few pictures of it.

No decoder is to be trusted with what strangers send: a process of its own decodes (:mod:`producers.video_reader`), with
a bound on its memory, and is killed when it takes too long. What comes back are pixels.
"""

import multiprocessing
import struct
import time
from importlib import import_module
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from maskwatch.errors import PictureError
from maskwatch.messages import Camera
from producers.jpeg import to_jpeg
from producers.upload import LONGEST_SIDE

TIMEOUT_S = 60.0

STILL = struct.Struct("<cIId")
"""What begins a picture on its way here: a tag, width, height, seconds; then height x width x 3 bytes, BGR."""

PICTURE, REASON, END = b"=", b"!", b"."
"""Tags: a reason is text; it or the end is the last message."""

_MATROSKA = b"\x1aE\xdf\xa3"
_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
"""Brands of pictures that come in MP4's box."""

_AS_WRITTEN = Camera(id="upload", source="upload", longest_side=LONGEST_SIDE, quality=90)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["producers.network_reader"])


class Still(NamedTuple):
    """One picture of a video."""

    seconds: float
    """From its begin."""
    jpeg: bytes


class VideoLimits(NamedTuple):
    """What is taken of a video."""

    rate: float
    """Pictures of a second."""
    longest_s: float
    """Seconds of it; a longer one is refused."""
    max_pixels: int
    """Of one picture; larger ones are refused."""
    timeout_s: float = TIMEOUT_S
    """How long decoding may take."""


class Order(NamedTuple):
    """What the process is to decode."""

    data: bytes
    limits: VideoLimits


def is_video(data: bytes) -> bool:
    r"""Tell from its first bytes whether this is a video: MP4, QuickTime, Matroska, WebM or AVI.

    Examples
    --------
    >>> is_video(b"\0\0\0\x18ftypmp42"), is_video(b"\0\0\0\x18ftypavif"), is_video(b"\xff\xd8\xff")
    (True, False, False)
    """
    if data[4:8] == b"ftyp":
        return data[8:12] not in _PICTURES
    return data.startswith(_MATROSKA) or (data.startswith(b"RIFF") and data[8:12] == b"AVI ")


def stills(data: bytes, limits: VideoLimits) -> list[Still]:
    """Take pictures out of a video, evenly; takes seconds, so call it in a thread.

    Parameters
    ----------
    data
        MP4, QuickTime, Matroska, WebM or AVI.
    limits
        How many, and what is too much.

    Returns
    -------
    list of Still
        In the order of time, turned as the video says, 1920 pixels at most.

    Raises
    ------
    PictureError
        If it cannot be decoded, or only in part, or is more than the limits allow; the text says which.
    """
    connection, child = _context.Pipe(duplex=False)
    process = _context.Process(target=_read, args=(Order(data, limits), child), name="video", daemon=True)
    process.start()
    child.close()
    until = time.monotonic() + limits.timeout_s
    found: list[Still] = []
    try:
        while True:
            if not connection.poll(max(0.0, until - time.monotonic())):
                raise PictureError(f"the video took longer than {limits.timeout_s:g} s to decode")
            received = connection.recv_bytes()
            if received.startswith(REASON):
                raise PictureError(received[1:].decode())
            if not received.startswith(PICTURE):
                return found
            found.append(_still(received))
    except (EOFError, OSError) as error:
        raise PictureError("the video cannot be decoded: what reads it has crashed or took too much memory") from error
    finally:
        process.kill()
        process.join()
        process.close()
        connection.close()


def _read(order: Order, connection: Connection) -> None:
    # FFmpeg is heavy; who only asks does without.
    import_module("producers.video_reader").read(order, connection)


def _still(received: bytes) -> Still:
    _, width, height, seconds = STILL.unpack_from(received)
    image = np.frombuffer(received, np.uint8, offset=STILL.size).reshape(height, width, 3)
    jpeg = to_jpeg(image, _AS_WRITTEN)
    if jpeg is None:
        raise PictureError("a picture of the video does not fit into a record")
    return Still(seconds, jpeg.data)
