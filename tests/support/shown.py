"""What the live stage shows: every picture that it announces, in order, before a viewer is slow or away."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from redis.asyncio import Redis

from maskwatch.overlay import camera_of


class Picture(NamedTuple):
    """A picture that was announced, and when, in seconds since the epoch."""

    camera: str
    frame: str
    at: float

    @property
    def sequence(self) -> int:
        """Return the frame's number within its session."""
        return int(self.frame.rpartition(":")[2])


class Shown:
    """Listens to what is announced for all cameras.

    Attributes
    ----------
    pictures : list of Picture
        In the order in which they were announced.
    """

    def __init__(self, url: str) -> None:
        self.pictures: list[Picture] = []
        self.listening = asyncio.Event()
        self._url = url

    async def run(self) -> None:
        """Listen until cancelled."""
        async with Redis.from_url(self._url) as client, client.pubsub() as announced:
            await announced.psubscribe("live:*")
            async for message in announced.listen():
                self.listening.set()
                if message["type"] == "pmessage":
                    camera = camera_of(message["channel"].decode())
                    self.pictures.append(Picture(camera, message["data"].decode(), time.time()))

    def of(self, camera: str) -> list[Picture]:
        """Return one camera's pictures."""
        return [picture for picture in self.pictures if picture.camera == camera]

    def steps_back(self) -> list[tuple[str, str]]:
        """Return the pictures that did not come after the one before them: a frame again, or an older one."""
        return [
            (before.frame, after.frame)
            for camera in {picture.camera for picture in self.pictures}
            for before, after in itertools.pairwise(self.of(camera))
            if after.sequence <= before.sequence
        ]


@asynccontextmanager
async def showing(url: str) -> AsyncIterator[Shown]:
    """Listen for as long as the block lasts."""
    shown = Shown(url)
    task = asyncio.create_task(shown.run())
    try:
        await asyncio.wait_for(shown.listening.wait(), 10)
        yield shown
        if task.done():
            task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(task, return_exceptions=True)
