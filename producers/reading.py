"""One opening of a source, read in a thread of its own, so that a source that blocks holds up nobody else.

The thread numbers the pictures as they come and lays each into a slot, where the newest wins. It opens and closes the
source too: both may block. When it does not let go in time it is left behind; it can reach nobody any more.
"""

import asyncio
import itertools
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from maskwatch import metrics
from maskwatch.messages import Camera
from producers.cadence import Wait
from producers.slot import Slot
from producers.source import Shot, Source

log = structlog.get_logger(__name__)

Opener = Callable[[Camera, Wait], Source]
"""Opens a camera's source; called from the source's own thread."""


class Frame(NamedTuple):
    """A picture as it came: the how-manieth of its session, and when."""

    sequence: int
    captured: datetime
    shot: Shot


class Reader:
    """Reads a camera's source from its opening to its end; made in a running event loop.

    Attributes
    ----------
    session
        Names this opening: when it was, and eight characters that no other has.
    """

    def __init__(self, camera: Camera, open_source: Opener) -> None:
        self.session = f"{datetime.now(UTC):%Y%m%dt%H%M%S}-{secrets.token_hex(4)}"
        self._camera = camera
        self._open = open_source
        self._slot = Slot[Frame]()
        self._stopping = threading.Event()
        # A daemon: a source that never returns must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"camera-{camera.id}", daemon=True)
        self._thread.start()

    async def frame(self) -> Frame | None:
        """Wait for the newest frame; None at the source's end.

        Raises
        ------
        SourceError
            If the source cannot be opened or has stopped working.
        """
        return await self._slot.take()

    async def stop(self, timeout_s: float) -> None:
        """Make the thread close the source and end; leave it behind if it has not by the time-out, in seconds."""
        self._stopping.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._slot.ended()
        except TimeoutError:
            log.warning("source does not let go; its thread is left behind", camera=self._camera.id)
        finally:
            self._slot.close()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._read()
        except BaseException as raised:  # noqa: BLE001  # raised again by `frame`, in the camera's task
            error = raised
        self._slot.end(error)

    def _read(self) -> None:
        captured = metrics.FRAMES_CAPTURED.labels(self._camera.id)
        replaced = metrics.FRAMES_NOT_PUBLISHED.labels(self._camera.id, "replaced")
        source = self._open(self._camera, self._stopping.wait)
        try:
            for sequence in itertools.count():
                shot = source.read()
                if shot is None or self._stopping.is_set():
                    return
                captured.inc()
                if self._camera.pace == "fast":
                    # As fast as it can be published: a clip that is run through must not lose what nobody rushed.
                    self._wait_until_free()
                if self._slot.put(Frame(sequence, datetime.now(UTC), shot)):
                    replaced.inc()
        finally:
            source.close()

    def _wait_until_free(self) -> None:
        while not self._slot.wait_until_free(timeout=0.2) and not self._stopping.is_set():
            pass
