"""Cameras that never stop, and a reader that never stops, around whatever a test does to what lies between them."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from maskwatch import kafka, reading
from maskwatch.errors import BrokerError
from maskwatch.messages import Detection, FrameInfo, decode, frame_headers
from maskwatch.model import read_card
from maskwatch.pictures import jpeg_size
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count

MODEL = Settings().detector.model
GOLDEN = (MODEL / read_card(MODEL).golden.path).read_bytes()
WIDTH, HEIGHT = jpeg_size(GOLDEN, 10**9)


class Arrival(NamedTuple):
    """A detection, and when it was read."""

    detection: Detection
    at: float
    """Seconds since the epoch."""
    age: float
    """Seconds from when the frame was published to when its detection was read, both by this process's clock."""


class Cameras:
    """Publishes the golden picture for some cameras at a rate, as capture does: one try, given up after a second.

    Attributes
    ----------
    published : dict
        When each acknowledged frame was handed to the client, by frame id; in seconds since the epoch.
    lost : int
        Frames that were not acknowledged.
    """

    def __init__(
        self,
        settings: Settings,
        names: Sequence[str],
        rate: float,
        jpeg: bytes = GOLDEN,
        clock_off: timedelta = timedelta(),
    ) -> None:
        self.published: dict[str, float] = {}
        self.lost = 0
        self.running = True
        self._settings = settings
        self._names = names
        self._rate = rate
        self._jpeg = jpeg
        self._clock_off = clock_off

    async def run(self) -> None:
        """Publish until cancelled, each camera at the rate."""
        client = kafka.live_producer(self._settings)
        async with kafka.running(client, self._settings) as producer, asyncio.TaskGroup() as all_of_them:
            for number, name in enumerate(self._names):
                all_of_them.create_task(self._shoot(producer, name, number / len(self._names) / self._rate))

    async def _shoot(self, producer: AIOKafkaProducer, name: str, delay: float) -> None:
        await asyncio.sleep(delay)
        due = time.monotonic()
        for sequence in range(10**9):
            if self.running:
                info = FrameInfo(name, "s1", sequence, datetime.now(UTC) + self._clock_off, WIDTH, HEIGHT)
                began = time.time()
                try:
                    await kafka.send(
                        producer,
                        self._settings,
                        Name.FRAMES_LIVE,
                        key=name,
                        value=self._jpeg,
                        headers=frame_headers(info),
                        timeout_s=kafka.LIVE_TIMEOUT_S,
                    )
                except BrokerError:
                    self.lost += 1
                else:
                    self.published[info.id] = began
            # What an outage cost is not made up for.
            due = max(due + 1 / self._rate, time.monotonic() - 1 / self._rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))


class Subscriber:
    """Reads every detection from its beginning on.

    Attributes
    ----------
    arrivals : list of Arrival
        In the order in which they came.
    """

    def __init__(self, settings: Settings, cameras: Cameras) -> None:
        self.arrivals: list[Arrival] = []
        self._settings = settings
        self._cameras = cameras

    async def run(self) -> None:
        """Read until cancelled."""
        async for record in reading.follow(self._settings, Name.DETECTIONS, partition_count(Name.DETECTIONS)):
            detection = decode(record.value, Detection)
            now = time.time()
            self.arrivals.append(
                Arrival(detection, now, now - self._cameras.published.get(detection.frame.id, record.timestamp / 1000))
            )

    def ids(self) -> list[str]:
        """Return the ids of the frames that were detected, in the order of arrival, repetitions included."""
        return [arrival.detection.frame.id for arrival in self.arrivals]

    def duplicates(self) -> list[str]:
        """Return the ids that arrived more than once."""
        return [identity for identity, times in Counter(self.ids()).items() if times > 1]

    def since(self, moment: float) -> list[Arrival]:
        """Return what arrived after a moment, in seconds since the epoch."""
        return [arrival for arrival in self.arrivals if arrival.at > moment]

    def cameras_since(self, moment: float) -> set[str]:
        """Return the cameras of which a frame that was published after a moment has been detected."""
        return {a.detection.frame.camera for a in self.since(moment) if a.at - a.age > moment}

    def longest_gap(self, start: float, end: float, camera: str | None = None) -> float:
        """Return the longest time without a detection, of one camera or of all, between two moments, in seconds."""
        within = [a for a in self.arrivals if start < a.at < end and camera in {None, a.detection.frame.camera}]
        times = [start, *(arrival.at for arrival in within), end]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


@asynccontextmanager
async def traffic(
    settings: Settings, names: Sequence[str] = ("door",), rate: float = 5, clock_off: timedelta = timedelta()
) -> AsyncIterator[tuple[Cameras, Subscriber]]:
    """Let cameras publish and a subscriber read for as long as the block lasts."""
    cameras = Cameras(settings, names, rate, clock_off=clock_off)
    subscriber = Subscriber(settings, cameras)
    running = [asyncio.create_task(cameras.run()), asyncio.create_task(subscriber.run())]
    try:
        yield cameras, subscriber
        for task in running:
            if task.done():
                task.result()
    finally:
        for task in running:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*running, return_exceptions=True)
