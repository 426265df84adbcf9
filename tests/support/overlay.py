"""Frames, detections and packed records for tests of the live overlay, and stand-ins for where pictures lie."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from aiokafka import ConsumerRecord, TopicPartition

from consumers.join import Joined
from maskwatch.errors import StoreError
from maskwatch.messages import DetectedFace, Detection, FrameInfo, FrameRef, LiveFrame, ModelRef, encode, frame_headers
from maskwatch.overlay import last_key, live_key, pack, unpack

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
JPEG = b"\xff\xd8 a picture \xff\xd9"
MODEL = ModelRef("tiny", "1", "0" * 64)


async def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Wait until something is so; fails after a while."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # what is waited for knows of no event
            await asyncio.sleep(0.01)


def at(seconds: float) -> datetime:
    """Return a time after the start."""
    return START + timedelta(seconds=seconds)


def frame(sequence: int, camera: str = "door", session: str = "s1") -> FrameInfo:
    return FrameInfo(camera, session, sequence, at(sequence / 10), 640, 360)


def detection(info: FrameInfo) -> Detection:
    reference = FrameRef(
        info.id,
        info.camera,
        info.session,
        info.sequence,
        info.captured,
        info.width,
        info.height,
        "frames.live.v1",
        0,
        0,
    )
    return Detection(reference, MODEL, at(0.05), (DetectedFace("with_mask", 0.9, (0.1, 0.1, 0.2, 0.2)),))


def record(sequence: int, camera: str = "door", jpeg: bytes = JPEG) -> bytes:
    """Return what lies in Valkey for a frame."""
    seen = detection(frame(sequence, camera))
    return pack(LiveFrame(seen.frame, MODEL, seen.detected, seen.objects, at(sequence / 10), 10.0, 0), jpeg)


def kafka_record(
    topic: str,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]] = (),
    key: bytes = b"door",
    timestamp_ms: float = START.timestamp() * 1000,
) -> "ConsumerRecord[bytes, bytes]":
    return ConsumerRecord(
        topic, 0, 0, int(timestamp_ms), 1, key, value, None, len(key), len(value or b""), tuple(headers)
    )


def frame_record(info: FrameInfo, jpeg: bytes = JPEG) -> "ConsumerRecord[bytes, bytes]":
    return kafka_record("frames.live.v1", jpeg, frame_headers(info), timestamp_ms=info.captured.timestamp() * 1000)


def detection_record(info: FrameInfo) -> "ConsumerRecord[bytes, bytes]":
    value, headers = encode(
        detection(info), kind="maskwatch.detection.v1", source="/detector/t", id=info.id, time=info.captured
    )
    return kafka_record("detections.v1", value, headers)


class ListedRecords:
    """Records from a list, one batch a call; sets the event when it is empty."""

    def __init__(self, batches: Sequence[Sequence["ConsumerRecord[bytes, bytes]"]], stop: asyncio.Event) -> None:
        self._batches = list(batches)
        self._stop = stop

    async def getmany(self, *, timeout_ms: int) -> Mapping[TopicPartition, Sequence["ConsumerRecord[bytes, bytes]"]]:
        batch = self._batches.pop(0)
        if not self._batches:
            self._stop.set()
        return {TopicPartition("any", 0): batch}


class KeptPictures:
    """What the live stage keeps, in a list; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.kept: list[Joined] = []
        self.calls = 0
        self._failures = failures

    async def keep(self, pictures: Sequence[Joined], now: float) -> None:
        self.calls += 1
        if self.calls <= self._failures:
            raise StoreError("away, as told")
        self.kept.extend(pictures)


class DictPictures:
    """A store of pictures that can be put away; notices go to whoever is subscribed, as in Valkey."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.reads: dict[str, int] = defaultdict(int)
        self.subscribed: set[str] = set()
        self.away = False
        self._open: asyncio.Queue[str | None] | None = None

    def publish(self, camera: str, picture: bytes) -> None:
        self.records[live_key(camera)] = self.records[last_key(camera)] = picture
        if self._open is not None and camera in self.subscribed:
            self._open.put_nowait(camera)

    def expire(self, camera: str) -> None:
        del self.records[live_key(camera)]

    def put_away(self) -> None:
        self.away = True
        if self._open is not None:
            self._open.put_nowait(None)

    async def get(self, key: str) -> bytes | None:
        self._check()
        self.reads[key] += 1
        await asyncio.sleep(0)
        return self.records.get(key)

    async def forget(self, camera: str, frame: str) -> None:
        for key in (live_key(camera), last_key(camera)):
            if key in self.records and unpack(self.records[key])[0].frame.id == frame:
                del self.records[key]

    @asynccontextmanager
    async def notices(self) -> AsyncIterator["DictPictures"]:
        self._check()
        self._open = asyncio.Queue()
        try:
            yield self
        finally:
            self._open = None
            self.subscribed.clear()

    async def add(self, camera: str) -> None:
        self._check()
        self.subscribed.add(camera)

    async def remove(self, camera: str) -> None:
        self._check()
        self.subscribed.discard(camera)

    async def next(self) -> str:
        assert self._open is not None
        camera = await self._open.get()
        if camera is None:
            raise StoreError("away, as told")
        return camera

    def _check(self) -> None:
        if self.away:
            raise StoreError("away, as told")
