"""Detections over HTTP, from a real Kafka to a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from api.stream import MOST_QUEUED, Filter, Listener
from maskwatch import kafka as clients
from maskwatch.messages import DetectedFace, Detection, FrameRef, ModelRef, encode
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.api.routers.test_rest import problem
from tests.support.front_door import FrontDoor, front_door
from tests.support.stack import CreateTopics, Kafka, Valkey
from tests.support.topic import put
from tests.support.waiting import eventually

TOPICS = (Name.DETECTIONS, Name.PREDICTIONS, Name.FRAMES_UPLOAD, Name.CAMERAS, Name.CAMERA_STATUS)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
MASKED = DetectedFace("with_mask", 0.9, (0, 0, 1, 1))
BARE = DetectedFace("without_mask", 0.6, (0, 0, 1, 1))


def seen(camera: str, sequence: int, *faces: DetectedFace) -> Detection:
    frame = FrameRef(f"{camera}:s:{sequence}", camera, "s", sequence, NOON, 4, 3, "frames.live.v1", 0, sequence)
    return Detection(frame, ModelRef("m", "1", "ab"), NOON, faces)


async def publish(producer: AIOKafkaProducer, settings: Settings, detection: Detection) -> None:
    value, headers = encode(detection, kind="x", source="/x", id=detection.frame.id, time=NOON)
    await put(producer, settings, Name.DETECTIONS, detection.frame.camera, value, headers)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(cameras=["hall"]), [2, 3]),
        (Filter(labels=["without_mask"]), [1, 3]),
        (Filter(least_score=0.8), [0, 3]),
        (Filter(labels=["without_mask"], least_score=0.8), []),
        (Filter(cameras=["hall"], labels=["with_mask"]), [3]),
    ],
)
def test_filters(wanted: Filter, found: list[int]) -> None:
    every = [seen("door", 0, MASKED), seen("door", 1, BARE), seen("hall", 2), seen("hall", 3, BARE, MASKED)]
    assert [detection.frame.sequence for detection in every if wanted.wants(detection)] == found


async def test_a_slow_listener_loses_the_oldest_and_is_told_how_many() -> None:
    listener = Listener(Filter())
    for sequence in range(MOST_QUEUED + 3):
        listener.offer(seen("door", sequence), b"{}")
    heard = await listener.next()
    assert (heard.id, heard.lost) == ("door:s:3", 3)
    assert (await listener.next()).lost == 0


class Events:
    """The events of a stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self) -> dict[str, str]:
        found: dict[str, str] = {}
        async with asyncio.timeout(60):
            async for line in self._lines:
                if not line and found:
                    return found
                name, _, value = line.partition(": ")
                if line:
                    found[name] = value
        raise AssertionError("the stream has ended")


@asynccontextmanager
async def streaming(door: FrontDoor, **params: Any) -> AsyncIterator[Events]:  # noqa: ANN401  # of the query
    async with door.client() as client, client.stream("GET", "/detections/stream", params=params) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = Events(answer)
        assert await events.next() == {"": "listening", "retry": "2000"}
        yield events


async def test_detections_come_as_events_while_somebody_listens(
    kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path
) -> None:
    settings = kafka.settings(valkey={"url": valkey.url}, api={"max_listeners": 2})
    await create_topics(settings, *TOPICS)
    async with (
        front_door(tmp_path, settings=settings, kafka=True) as door,
        clients.running(clients.durable_producer(settings), settings) as producer,
    ):

        async def flow() -> None:
            # Again and again, as cameras do: who begins to listen begins with what comes.
            for sequence in range(10_000):
                await put(producer, settings, Name.DETECTIONS, "door", b"{")
                await publish(producer, settings, seen("door", sequence, MASKED))
                await publish(producer, settings, seen("hall", sequence, BARE))
                await asyncio.sleep(0.05)

        flowing = asyncio.create_task(flow())
        async with streaming(door) as every, streaming(door, camera="hall", min_score=0.5) as hall:
            first = await every.next()
            assert first["event"] == "detection"
            assert json.loads(first["data"])["frame"]["id"] == first["id"]
            assert {(await hall.next())["id"].partition(":")[0] for _ in range(5)} == {"hall"}
            async with door.client() as client:
                assert problem(await client.get("/detections/stream"), "busy")
                assert problem(await client.get("/detections/stream", params={"min_score": 2}), "invalid")
        await eventually(lambda: not door.services.stream._listeners)
        flowing.cancel()
        await asyncio.gather(flowing, return_exceptions=True)
        async with streaming(door) as again:
            await asyncio.sleep(1)
            await publish(producer, settings, seen("late", 1))
            assert (await again.next())["id"].endswith(":1")


async def test_a_kafka_that_is_away_is_waited_for(
    own_broker: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path
) -> None:
    settings = own_broker.settings(valkey={"url": valkey.url}, kafka={"timeout_s": 2})
    await create_topics(settings, *TOPICS)
    await asyncio.to_thread(own_broker.kill)
    async with front_door(tmp_path, settings=settings, kafka=True) as door, streaming(door) as events:
        await asyncio.to_thread(own_broker.start)
        hearing = asyncio.create_task(events.next())
        # A broker that has just started may take longer than the door may wait for it.
        patient = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"timeout_s": 20})})
        async with clients.running(clients.durable_producer(patient), patient) as producer:
            for sequence in range(600):
                await publish(producer, patient, seen("door", sequence))
                done, _ = await asyncio.wait([hearing], timeout=0.1)
                if done:
                    break
        assert (await hearing)["event"] == "detection"
