"""A network camera: RTSP, RTSPS, MJPEG over HTTP or HLS, read by a process that can be killed.

No library promises to come back from a call to a camera that is half dead. So each camera has a small process
(:mod:`producers.network_reader`), forked from one that has the libraries loaded already; one that gives nothing for too
long is killed, and a new one is made. User and password go to it over a pipe and are in no command line.
"""

import multiprocessing

import numpy as np

from maskwatch.errors import SourceError
from producers.addresses import Credentials, Network, joined
from producers.cadence import Wait
from producers.network_reader import FRAME, REASON, Order, read
from producers.source import Shot

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 10.0
GRACE_S = 3.0
"""What FFmpeg's own time-outs may be late by, before the process is killed."""

POLL_S = 0.2

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["producers.network_reader"])


class NetworkCamera:
    """A camera behind an address.

    Parameters
    ----------
    address
        Without user and password.
    credentials
        These, if it asks for them.
    rate
        Frames a second at most.
    longest_side
        Pixels; larger frames are scaled down where they are decoded.
    wait
        Waits for some seconds; True when the source is to stop.
    allowed
        Networks that redirections and playlists may lead to though they are not cameras'; None: they may lead anywhere.
    open_timeout_s, read_timeout_s
        How long the first frame, and any further, may take to come.

    Notes
    -----
    It opens with the first `read`.
    """

    def __init__(  # noqa: PLR0913  # what a wish says about a camera, and time
        self,
        address: str,
        credentials: Credentials | None,
        *,
        rate: float,
        longest_side: int,
        wait: Wait,
        allowed: tuple[Network, ...] | None = None,
        open_timeout_s: float = OPEN_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._address = address
        self._wait = wait
        # A camera of one frame a minute is not silent between two.
        self._read_s = read_timeout_s + GRACE_S + 1 / rate
        self._patience_s = open_timeout_s + GRACE_S + 1 / rate
        self._connection, child = _context.Pipe(duplex=False)
        order = Order(joined(address, credentials), rate, longest_side, open_timeout_s, read_timeout_s, allowed)
        self._process = _context.Process(target=read, args=(order, child), name="camera", daemon=True)
        self._process.start()
        # Its end is the child's alone: so its death is seen.
        child.close()

    def read(self) -> Shot | None:
        """Return the next frame that is due; None when told to stop.

        Raises
        ------
        SourceError
            If the camera cannot be opened, has ended, or gives nothing for too long.
        """
        waited = 0.0
        while not self._wait(0.0):
            if self._connection.poll(POLL_S):
                self._patience_s = self._read_s
                return self._received()
            waited += POLL_S
            if waited > self._patience_s:
                raise SourceError(f"{self._address}: no frame for {waited:.0f} s")
        return None

    def close(self) -> None:
        """Kill what reads."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._connection.close()

    def _received(self) -> Shot:
        try:
            data = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise SourceError(f"{self._address}: what reads it has crashed") from error
        if data.startswith(REASON):
            raise SourceError(f"{self._address}: {data[1:].decode(errors='replace')}")
        _, width, height = FRAME.unpack_from(data)
        return Shot(np.frombuffer(data, np.uint8, offset=FRAME.size).reshape(height, width, 3))
