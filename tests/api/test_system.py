"""How everything does, on a real Kafka: what it holds, who reads it, and what is wrong when that is away."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from maskwatch import kafka as clients
from maskwatch.holdings import holdings
from maskwatch.messages import LiveFrame
from maskwatch.overlay import pack
from maskwatch.topics import Name
from tests.support import drifting, stack
from tests.support.front_door import front_door
from tests.support.overlay import DictPictures
from tests.support.stack import CreateTopics, Kafka
from tests.support.waiting import eventually

TOPICS = (Name.CAMERAS, Name.CAMERA_STATUS, Name.DETECTIONS, Name.FRAMES_LIVE)


def newest(camera: str) -> bytes:
    now = datetime.now(UTC)
    frame = drifting.frame(camera, now)
    return pack(LiveFrame(frame, drifting.MODEL, now, (), now - timedelta(seconds=0.25), 9.5, 3), b"jpeg")


async def test_topics_readers_and_the_disk_are_as_kafka_has_them(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path
) -> None:
    settings = kafka.settings()
    await create_topics(settings, *TOPICS)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for value in (b"x" * 500, b"y" * 500):
            await clients.send(producer, settings, Name.DETECTIONS, key="door", value=value, headers=[])
    reader = clients.group_consumer(settings, "live", None, "earliest")
    async with clients.running(reader, settings):
        clients.subscribe(reader, settings, [Name.DETECTIONS])
        record = await reader.getone()
        await reader.commit({TopicPartition(record.topic, record.partition): record.offset + 1})
        held = await holdings(settings, 60)
        pictures = DictPictures()
        pictures.publish("door", newest("door"))
        async with front_door(tmp_path, pictures, settings=settings) as door, door.client() as client:

            async def whole() -> dict[str, Any] | None:
                # It never waits for Kafka, which may be slow on a busy machine.
                found: dict[str, Any] = (await client.get("/status")).json()
                return found if found["topics"] else None

            told = await eventually(whole)
    found = {topic.name: topic for topic in held.topics}
    assert set(found) == set(TOPICS)
    assert (found[Name.DETECTIONS].records, found[Name.DETECTIONS].lag) == (2, {"live": 1})
    assert found[Name.DETECTIONS].bytes > 0
    assert found[Name.DETECTIONS].oldest is not None
    assert found[Name.CAMERAS].oldest is None
    assert held.free is not None
    assert held.total is not None
    assert 0 < held.free < held.total
    assert {one.group for one in held.readers if one.hosts} == {"live"}
    (camera,) = told["cameras"]
    assert (camera["state"], camera["rate"], camera["dropped"]) == ("online", 9.5, 3)
    assert camera["age_s"] == 0.25
    assert {trouble["what"].partition(":")[0] for trouble in told["troubles"]} == {
        "Nothing is detected",
        "Nobody watches for drift.",
        "Nobody is told of drift",
        "Answers to uploads are not archived.",
        "Labels are not kept in the store",
        "Models are neither promoted nor rolled back.",
        "No training starts by itself.",
    }
    assert {"name": "Model in service", "version": "yolov8n-facemask 1"} in told["versions"]
    assert told["disk"]["full_in_s"] is None
    assert {topic["name"] for topic in told["topics"]} == set(TOPICS)


async def test_without_kafka_and_without_a_store_the_rest_is_told(tmp_path: Path) -> None:
    async def away() -> str:
        return "127.0.0.1:1 refuses connections"

    settings = stack.settings_for(tmp_path, "127.0.0.1:1", {"kafka": {"timeout_s": 0.5}})
    pictures = DictPictures()
    pictures.away = True
    async with front_door(tmp_path, pictures, settings=settings, checks={"kafka": away}) as door:
        door.add_camera("yard", "offline", "it was unplugged")
        first = await door.services.system.status()
        again = await door.services.system.status()
    assert [trouble.what.partition(":")[0] for trouble in first.troubles] == [
        "Kafka does not answer",
        "Camera «yard» is offline",
    ]
    assert "refuses connections" in first.troubles[0].what
    # Since when is remembered for as long as it lasts.
    assert [trouble.since for trouble in again.troubles] == [trouble.since for trouble in first.troubles]
    assert (first.topics, first.disk, first.readers) == ([], None, [])
    assert first.cameras[0].rate is None


async def test_it_looks_by_itself(tmp_path: Path) -> None:
    settings = stack.settings_for(tmp_path, "127.0.0.1:1", {"kafka": {"timeout_s": 0.2}})
    async with front_door(tmp_path, settings=settings) as door:
        monitor = door.services.system
        looking = asyncio.create_task(monitor.run())
        await eventually(lambda: monitor._held_at > 0)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        assert len(monitor._looks) >= 1
