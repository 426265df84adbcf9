"""A page's own camera, from a real socket to a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.broadcasts import CameraEndingError
from api.routers import broadcast
from maskwatch.messages import LARGEST_JPEG, CameraStatus, decode, read_frame_headers
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support.front_door import FrontDoor, front_door
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import read_all
from tests.support.waiting import eventually

MODEL = Settings().detector.model
GOLDEN = (MODEL / "golden.jpg").read_bytes()
TOPICS = (
    Name.CAMERAS,
    Name.CAMERA_STATUS,
    Name.FRAMES_LIVE,
    Name.FRAMES_RECORDING,
    Name.PREDICTIONS,
    Name.FRAMES_UPLOAD,
)


@pytest.fixture
async def ours(kafka: Kafka, create_topics: CreateTopics) -> Settings:
    settings = kafka.settings(api={"max_broadcasts": 2})
    await create_topics(settings, *TOPICS)
    return settings


@asynccontextmanager
async def door_to(settings: Settings, home: Path) -> AsyncIterator[FrontDoor]:
    async with front_door(home, settings=settings, kafka=True) as door:
        await eventually(lambda: not door.services.broker.missing and not door.services.cameras.missing)
        yield door


def page(door: FrontDoor, camera: str = "browser-abc123") -> connect:
    return connect(f"ws://127.0.0.1:{door.port}/broadcast/{camera}?name=A%20phone", proxy=None, max_size=None)


async def send(socket: ClientConnection, data: bytes | str) -> str:
    await socket.send(data)
    async with asyncio.timeout(20):
        return str(await socket.recv())


async def closed(socket: ClientConnection) -> int:
    async with asyncio.timeout(20):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as error:
            return error.rcvd.code if error.rcvd else 0


async def test_pictures_become_frames_of_a_camera_that_ends_with_the_page(ours: Settings, tmp_path: Path) -> None:
    async with door_to(ours, tmp_path) as door, door.client() as client:
        async with page(door) as socket:
            assert await send(socket, GOLDEN) == "ack"
            # Faster than any camera is: the others are dropped, and the page is told.
            answers = [await send(socket, GOLDEN) for _ in range(5)]
            assert "drop" in answers
            assert await send(socket, "paused") == "drop"

            async def is_online() -> bool:
                return bool((await client.get("/cameras/browser-abc123")).json().get("state") == "online")

            await eventually(is_online)
            found = (await client.get("/cameras/browser-abc123")).json()
            assert (found["name"], found["source"]) == ("A phone", "browser")
            async with page(door) as another:
                assert await closed(another) == broadcast.TAKEN

        async def is_gone() -> bool:
            return (await client.get("/cameras/browser-abc123")).status_code == 404

        await eventually(is_gone)
    frames = await read_all(ours, Name.FRAMES_LIVE)
    infos = [read_frame_headers(record.headers) for record in frames]
    assert [info.sequence for info in infos] == list(range(len(infos)))
    assert {info.camera for info in infos} == {"browser-abc123"}
    assert len(infos) == 1 + answers.count("ack")
    assert {record.value for record in frames} == {GOLDEN}
    assert len(await read_all(ours, Name.FRAMES_RECORDING)) == 1
    states = [decode(record.value, CameraStatus).state for record in await read_all(ours, Name.CAMERA_STATUS)]
    assert states[-1] == "offline"


async def test_a_page_that_returns_while_its_camera_is_taken_back_keeps_the_new_one(
    ours: Settings, tmp_path: Path
) -> None:
    async with door_to(ours, tmp_path) as door:
        broadcasts = door.services.broadcasts
        first = broadcasts.begin("a", "A phone")
        await first.__aenter__()
        leaving = asyncio.create_task(first.__aexit__(None, None, None))
        # By now it tells Kafka, which takes its time.
        await asyncio.sleep(0)
        with pytest.raises(CameraEndingError):
            async with broadcasts.begin("a", "A phone"):
                pass
        await leaving
        async with broadcasts.begin("a", "A phone"):
            assert [record.value is None for record in await read_all(ours, Name.CAMERAS)] == [False, True, False]


@pytest.mark.parametrize("data", [b"no picture", GOLDEN + bytes(LARGEST_JPEG)])
async def test_what_is_no_picture_ends_it(ours: Settings, tmp_path: Path, data: bytes) -> None:
    async with door_to(ours, tmp_path) as door, page(door) as socket:
        await socket.send(data)
        assert await closed(socket) in {broadcast.NO_PICTURE, 1009}
    assert await read_all(ours, Name.FRAMES_LIVE) == []


async def test_no_more_pages_than_may_and_no_silent_ones(
    ours: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "SILENCE_S", 1.0)
    async with door_to(ours, tmp_path) as door, page(door, "a") as one, page(door, "b") as two:
        assert await send(one, GOLDEN) == await send(two, GOLDEN) == "ack"
        async with page(door, "c") as three:
            assert await closed(three) == broadcast.TRY_AGAIN_LATER
        async with page(door, "No-Id") as four:
            assert await closed(four) == broadcast.NO_CAMERA
        async with page(door, "door") as five:
            assert await closed(five) in {broadcast.TAKEN, broadcast.TRY_AGAIN_LATER}
        assert await closed(one) == broadcast.SILENT


async def test_while_kafka_is_away_a_page_is_asked_to_come_back(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, page(door) as socket:
        assert await closed(socket) == broadcast.TRY_AGAIN_LATER
