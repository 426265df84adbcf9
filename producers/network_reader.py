"""Reads one network camera, in a process of its own: what hangs in a library or decodes rubbish is killed with it.

FFmpeg reads, through PyAV. Every frame is taken as it comes, so that nothing old waits in a buffer; only those that
are due are converted and sent to the parent. Started by :mod:`producers.network`.
"""

import os
import struct
import time
from multiprocessing.connection import Connection
from typing import NamedTuple

import av
import av.error
import numpy as np

from producers.addresses import Network
from producers.cadence import Cadence
from producers.guard import Guard

FRAME = struct.Struct("<cII")
"""What begins a frame: a tag, width and height; then height x width x 3 bytes, BGR."""

PICTURE, REASON = b"=", b"!"
"""Tags: a reason is text, and the last message."""

TOO_LATE = "it does not answer in time"
MOST_DAMAGED = 300
"""Packets in a row that cannot be decoded: 10 s of most cameras, and more than between two key frames."""

PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,hls,crypto,data"
"""FFmpeg may use these and no other, wherever a playlist or a redirection leads; ``file`` is not among them."""

_OPTIONS = {
    "protocol_whitelist": PROTOCOLS,
    "fflags": "nobuffer",
    "flags": "low_delay",
    "analyzeduration": "2000000",
    "probesize": "1000000",
}
_RTSP_OPTIONS = {"rtsp_transport": "tcp"}


class Order(NamedTuple):
    """What to read; pickled to the child, so that no command line names it."""

    url: str
    """With user and password."""
    rate: float
    longest_side: int
    open_timeout_s: float
    read_timeout_s: float
    allowed: tuple[Network, ...] | None
    """Networks that it may lead to though they are not cameras'; None: it may lead anywhere."""


class Patience:
    """How long the camera has given nothing.

    Parameters
    ----------
    limit_s
        How long it may.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since = time.monotonic()

    def renew(self, limit_s: float) -> None:
        """Note that something came; from now on it may be silent for `limit_s` seconds."""
        self._limit_s = limit_s
        self._since = time.monotonic()

    def is_over(self) -> bool:
        """Tell whether it was silent for as long as it may."""
        # FFmpeg looks at its clock now and then.
        return time.monotonic() - self._since > 0.9 * self._limit_s


def read(order: Order, connection: Connection) -> None:
    """Send frames until the stream ends or the parent is gone; before the end say why, as text."""
    patience = Patience(order.open_timeout_s)
    # FFmpeg would go past the guard to hosts that are listed here.
    os.environ.pop("no_proxy", None)
    guard = None if order.allowed is None else Guard(order.allowed, order.read_timeout_s)
    try:
        why = _frames(order, connection, patience, guard)
    except (BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent says it
        # What FFmpeg breaks off because the time is over it reports as anything.
        why = TOO_LATE if patience.is_over() else explain(error)
    if guard is not None and guard.refused:
        why = guard.refused
    try:
        connection.send_bytes(REASON + why.encode())
    except OSError:
        return


def _frames(order: Order, connection: Connection, patience: Patience, guard: Guard | None) -> str:
    av.logging.set_level(None)
    cadence = Cadence(order.rate)
    timeout = (order.open_timeout_s, order.read_timeout_s)
    with av.open(order.url, options=_options(order.url, guard), timeout=timeout) as container:
        if not container.streams.video:
            return "it gives sound and no picture"
        stream = container.streams.video[0]
        # One decoding thread: what many cameras share is better spent on a frame of each.
        stream.thread_type = "NONE"
        damaged = 0
        patience.renew(order.read_timeout_s)
        for packet in container.demux(stream):
            # When its time is over FFmpeg gives what it has of a packet, and would wait again: an old picture, late.
            if patience.is_over():
                return TOO_LATE
            patience.renew(order.read_timeout_s)
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                # A packet that was lost on the way; the next key frame mends it.
                damaged += 1
                if damaged > MOST_DAMAGED:
                    return "it gives nothing that can be decoded"
                continue
            for frame in frames:
                damaged = 0
                if cadence.due(time.monotonic()):
                    connection.send_bytes(_packed(frame, order.longest_side))
    return "the stream has ended"


def _options(url: str, guard: Guard | None) -> dict[str, str]:
    if url.startswith("rtsp"):
        return {**_OPTIONS, **_RTSP_OPTIONS}
    return _OPTIONS if guard is None else {**_OPTIONS, "http_proxy": guard.url}


def _packed(frame: "av.VideoFrame", longest_side: int) -> bytes:
    scale = min(1.0, longest_side / max(frame.width, frame.height))
    # Even sides: every pixel format can be scaled to them.
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
    pixels = frame.to_ndarray(format="bgr24", width=width, height=height)
    return FRAME.pack(PICTURE, width, height) + np.ascontiguousarray(pixels, np.uint8).tobytes()


_WHY: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError), "it refuses user or password"),
    ((av.error.HTTPNotFoundError,), "it has no stream at this path"),
    ((av.error.ConnectionRefusedError,), "nothing listens there"),
    ((av.error.TimeoutError, av.error.ExitError), TOO_LATE),
    ((av.error.EOFError,), "it ended the connection"),
    ((av.error.InvalidDataError,), "what it sends is no video that FFmpeg reads"),
    ((av.error.ProtocolNotFoundError,), "it leads to an address of a kind that is not read"),
)


def explain(error: BaseException) -> str:
    """Say for people why a camera cannot be read; never what FFmpeg said, which names the address."""
    for kinds, why in _WHY:
        if isinstance(error, kinds):
            return why
    if isinstance(error, OSError):
        return f"it cannot be reached ({os.strerror(error.errno or 0) if error.errno else type(error).__name__})"
    return f"it cannot be read ({type(error).__name__})"
