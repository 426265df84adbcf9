"""Capture one camera: read, encode, publish; and open it again when it fails.

One frame at a time is under way. While Kafka does not answer, each waits a second and is given up, newer ones replace
each other in the slot meanwhile, and the first frame after the outage is a new one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import NamedTuple, Protocol

import structlog

from maskwatch import metrics
from maskwatch.errors import SourceError
from maskwatch.messages import Camera, FrameInfo
from producers.cadence import Cadence, retry_delay
from producers.jpeg import Jpeg, to_jpeg
from producers.reading import Frame, Opener, Reader
from producers.source import Image
from producers.status import Statuses

SILENCE_S = 10.0
LET_GO_S = 2.0
ENDED = "the clip has ended"
STOPPED = "stopped"

log = structlog.get_logger(__name__)


class Publisher(Protocol):
    """Where frames go."""

    async def publish(self, info: FrameInfo, jpeg: bytes, *, record: bool) -> bool:
        """Publish a frame, and a copy for the recording; False if the frame was not acknowledged in time."""


async def _sleep(_camera: str, seconds: float) -> None:
    await asyncio.sleep(seconds)


class Shooting(NamedTuple):
    """What every camera of this process is captured with."""

    open_source: Opener
    publisher: Publisher
    statuses: Statuses
    encoder: Executor
    """Encodes pictures: the event loop never waits for a pixel."""
    tell: Callable[[str, str], None]
    """Takes a camera's id and what there is to tell about it, for whoever waits for the first frame."""
    encode: Callable[[Image, Camera], Jpeg | None] = to_jpeg
    silence_s: float = SILENCE_S
    """A camera is offline after this long without a frame."""
    let_go_s: float = LET_GO_S
    """How long a source may take to end."""
    retry_delay: Callable[[int], float] = retry_delay
    wait: Callable[[str, float], Awaitable[None]] = _sleep
    """Waits until a camera, by its id, may be opened again: for some seconds, or until somebody wants it at once."""


async def shoot(camera: Camera, tools: Shooting) -> None:
    """Capture a camera until cancelled, or until its clip has ended; what fails is opened again after a while."""
    failures = 0
    try:
        while True:
            reader = Reader(camera, tools.open_source)
            session = _Session(camera, reader, tools)
            try:
                await session.run()
            except SourceError as error:
                failures = 1 if session.frames else failures + 1
                reason = str(error)
            else:
                tools.statuses.offline(camera.id, ENDED, expected=True)
                return
            finally:
                await reader.stop(tools.let_go_s)
            tools.tell(camera.id, f"gives no frames: {reason}")
            tools.statuses.offline(camera.id, reason)
            await tools.wait(camera.id, tools.retry_delay(failures))
    except asyncio.CancelledError:
        tools.statuses.offline(camera.id, STOPPED, expected=True)
        raise


class _Session:
    """One opening of a camera's source."""

    def __init__(self, camera: Camera, reader: Reader, tools: Shooting) -> None:
        self.frames = 0
        self._camera = camera
        self._reader = reader
        self._tools = tools
        self._recording = Cadence(camera.record_rate)
        self._acknowledged = True

    async def run(self) -> None:
        """Publish frames until the source ends; raises SourceError when it fails."""
        while (frame := await self._next()) is not None:
            self.frames += 1
            self._tools.statuses.online(self._camera.id)
            jpeg = await asyncio.get_running_loop().run_in_executor(
                self._tools.encoder, self._tools.encode, frame.shot.image, self._camera
            )
            if jpeg is None:
                metrics.FRAMES_NOT_PUBLISHED.labels(self._camera.id, "too-large").inc()
                continue
            await self._publish(frame, jpeg)

    async def _next(self) -> Frame | None:
        # A camera of one frame a minute is not silent between two.
        longest = max(self._tools.silence_s, 3 / self._camera.rate)
        while True:
            try:
                async with asyncio.timeout(longest):
                    return await self._reader.frame()
            except TimeoutError:
                # Its thread is asked no sooner for that: a read that blocks cannot be broken off, and a second opening
                # beside it would only find the device taken.
                reason = f"no frame for {longest:.0f} s"
                self._tools.tell(self._camera.id, f"gives no frames: {reason}")
                self._tools.statuses.offline(self._camera.id, reason)

    async def _publish(self, frame: Frame, jpeg: Jpeg) -> None:
        info = FrameInfo(
            camera=self._camera.id,
            session=self._reader.session,
            sequence=frame.sequence,
            captured=frame.captured,
            width=jpeg.width,
            height=jpeg.height,
            truth=frame.shot.truth,
        )
        record = self._recording.due(frame.captured.timestamp())
        acknowledged = await self._tools.publisher.publish(info, jpeg.data, record=record)
        if acknowledged:
            self._tools.tell(self._camera.id, f"{jpeg.width}x{jpeg.height} at {self._camera.rate:g} frames/s")
        if acknowledged != self._acknowledged:
            self._acknowledged = acknowledged
            if acknowledged:
                log.info("frames are acknowledged again", camera=self._camera.id)
            else:
                log.warning("frames are not acknowledged and are dropped", camera=self._camera.id)
