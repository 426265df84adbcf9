"""Cameras over HTTP: a real Kafka, a real capture, a real RTSP camera that asks for a password."""

import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from maskwatch import kafka as clients
from maskwatch.messages import Camera
from maskwatch.settings import Settings
from maskwatch.topics import Name
from producers.capture import capture_cameras
from producers.publishing import StatePublisher
from tests.api.routers.test_rest import problem
from tests.producers.test_capture import SCENE, small_scene
from tests.support.front_door import front_door
from tests.support.rtsp import PASSWORD, RtspCamera, rtsp_camera
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import read_all
from tests.support.waiting import at_work, eventually

TOPICS = (
    Name.CAMERAS,
    Name.CAMERA_STATUS,
    Name.FRAMES_LIVE,
    Name.FRAMES_RECORDING,
    Name.SCENE,
    Name.PREDICTIONS,
    Name.FRAMES_UPLOAD,
)
LOGIN = "viewer:p%40ss%3Aw%2Frd@"


@pytest.fixture(scope="module")
def camera() -> Iterator[RtspCamera]:
    with rtsp_camera(locked=True) as running:
        yield running


@pytest.fixture
async def ours(kafka: Kafka, create_topics: CreateTopics) -> Settings:
    settings = kafka.settings(capture={"allowed_networks": ["127.0.0.0/8"]})
    await create_topics(settings, *TOPICS)
    return settings


@asynccontextmanager
async def asking(settings: Settings, home: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with front_door(home, settings=settings, kafka=True) as door, door.client() as client:
        await eventually(lambda: not door.services.broker.missing and not door.services.cameras.missing)
        yield client


async def state(client: httpx.AsyncClient, identity: str) -> tuple[str, str]:
    found = (await client.get(f"/cameras/{identity}")).json()
    return found.get("state", ""), found.get("reason", "")


async def test_a_camera_is_added_changed_paused_and_removed(ours: Settings, camera: RtspCamera, tmp_path: Path) -> None:
    address = camera.address().replace("rtsp://", f"rtsp://{LOGIN}")
    async with asking(ours, tmp_path) as client, at_work(partial(capture_cameras, []), ours):
        added = await client.post("/cameras", json={"source": address, "id": "gate", "rate": 5, "recorded": 0})
        assert added.status_code == 201, added.text
        assert added.headers["location"] == "/cameras/gate"
        assert added.json()["source"] == camera.address()
        assert problem(await client.post("/cameras", json={"source": address, "id": "gate"}), "camera-exists")

        async def is_online() -> bool:
            return (await state(client, "gate"))[0] == "online"

        async def is_paused() -> bool:
            return await state(client, "gate") == ("offline", "paused")

        await eventually(is_online)
        await client.patch("/cameras/gate", json={"name": "The gate", "paused": True})
        await eventually(is_paused)
        # The password is kept though it was not sent again.
        changed = await client.patch("/cameras/gate", json={"paused": False, "rate": 2})
        assert (changed.json()["name"], changed.json()["rate"], changed.json()["recorded"]) == ("The gate", 2, 0)
        await eventually(is_online)
        assert (await client.delete("/cameras/gate")).status_code == 204

        async def is_gone() -> bool:
            return (await client.get("/cameras/gate")).status_code == 404

        await eventually(is_gone)
    for name in (Name.CAMERAS, Name.CAMERA_STATUS):
        for record in await read_all(ours, name):
            everything = b" ".join([record.key or b"", record.value or b"", *(value for _, value in record.headers)])
            assert PASSWORD.encode() not in everything
            assert b"p%40ss" not in everything


async def test_an_offline_camera_is_tried_at_once_when_somebody_wants_it(
    ours: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.cadence.LONGEST_RETRY_S", 3600.0)
    monkeypatch.setattr("producers.shooting.retry_delay", lambda _: 3600.0)
    with rtsp_camera() as mortal:
        async with asking(ours, tmp_path) as client, at_work(partial(capture_cameras, []), ours):
            mortal.kill()
            await client.post("/cameras", json={"source": mortal.address(), "id": "gate"})

            async def says_why() -> bool:
                return "nothing listens there" in (await state(client, "gate"))[1]

            async def is_online() -> bool:
                await client.patch("/cameras/gate", json={})
                return (await state(client, "gate"))[0] == "online"

            await eventually(says_why)
            mortal.start()
            await eventually(is_online)


async def test_a_still_shows_whether_an_address_is_right(ours: Settings, camera: RtspCamera, tmp_path: Path) -> None:
    async with asking(ours, tmp_path) as client:
        address = camera.address().replace("rtsp://", f"rtsp://{LOGIN}")
        still = await client.post("/cameras/test", json={"source": address})
        assert still.headers["content-type"] == "image/jpeg", still.text
        assert Image.open(io.BytesIO(still.content)).size == (640, 360)
        refused = problem(await client.post("/cameras/test", json={"source": camera.address()}), "camera-silent")
        assert "refuses user or password" in refused["detail"]
        assert await read_all(ours, Name.CAMERAS) == []


BAD: list[tuple[dict[str, Any], str]] = [
    ({"source": "webcam:0"}, "invalid-camera"),
    ({"source": "/etc/passwd"}, "invalid-camera"),
    ({"source": "file:///etc/passwd"}, "invalid-camera"),
    ({"source": "ftp://u:secret@10.0.0.7/x"}, "invalid-camera"),
    ({"source": "rtsp://10.0.0.7/x", "rate": 0}, "invalid"),
    ({"source": "rtsp://10.0.0.7/x", "id": "Door"}, "invalid"),
    ({"source": "rtsp://10.0.0.7/x", "cast": "/etc"}, "invalid"),
    ({}, "invalid"),
]


async def test_what_others_may_not_name_is_refused(kafka: Kafka, create_topics: CreateTopics, tmp_path: Path) -> None:
    settings = kafka.settings()
    await create_topics(settings, *TOPICS)
    async with asking(settings, tmp_path) as client:
        for body, kind in BAD:
            found = problem(await client.post("/cameras", json=body), kind)
            assert "secret" not in str(found)
        for host in ("127.0.0.1:22", "169.254.169.254", "localhost:9092"):
            found = problem(await client.post("/cameras/test", json={"source": f"http://{host}/"}), "camera-silent")
            assert "may not name" in found["detail"]
        assert problem(await client.patch("/cameras/none", json={}), "unknown-camera")
        assert problem(await client.delete("/cameras/none"), "unknown-camera")
        async with clients.running(clients.durable_producer(settings), settings) as producer:
            await StatePublisher(producer, settings, "another").wish(Camera(id="desk", source="webcam:0"))

        async def is_there() -> bool:
            return (await client.get("/cameras/desk")).status_code == 200

        await eventually(is_there)
        assert problem(await client.delete("/cameras/desk"), "camera-taken")
        assert problem(await client.patch("/cameras/desk", json={"rate": 1}), "camera-taken")


async def test_a_camera_whose_process_has_ended_can_be_removed(ours: Settings, tmp_path: Path) -> None:
    async with asking(ours, tmp_path) as client:

        async def is_online() -> bool:
            return (await state(client, "hall"))[0] == "online"

        async def has_ended() -> bool:
            return await state(client, "hall") == ("offline", "stopped")

        async def is_gone() -> bool:
            return (await client.get("/cameras/hall")).status_code == 404

        async with at_work(partial(capture_cameras, [SCENE], opening=small_scene), ours):
            await eventually(is_online)
            assert problem(await client.delete("/cameras/hall"), "camera-taken")
        await eventually(has_ended)
        assert problem(await client.patch("/cameras/hall", json={"paused": True}), "camera-taken")
        assert (await client.delete("/cameras/hall")).status_code == 204
        await eventually(is_gone)


async def test_while_kafka_is_away_nothing_is_changed(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.client() as client:
        away = await client.post("/cameras", json={"source": "rtsp://10.0.0.7/x"})
        assert problem(away, "away")
        assert away.headers["retry-after"] == "5"
