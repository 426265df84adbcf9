"""The whole API as the command line runs it, on a real Kafka and a real Valkey."""

import asyncio
import socket
from pathlib import Path

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from api.app import ROUTERS, end, run_server, serve, stage
from maskwatch import kafka as clients
from maskwatch.embedded.broker import free_port
from maskwatch.errors import SettingsError, StackError
from maskwatch.messages import Camera
from maskwatch.overlay import live_key
from maskwatch.topics import Name
from tests.support import stack
from tests.support.front_door import see
from tests.support.overlay import record
from tests.support.stack import PORTS, CreateTopics, Kafka, Valkey


async def test_from_valkey_to_a_browser(kafka: Kafka, valkey: Valkey, create_topics: CreateTopics) -> None:
    port = free_port(PORTS)
    settings = kafka.settings(valkey={"url": valkey.url}, api={"port": port})
    needed = (Name.CAMERAS, Name.CAMERA_STATUS, Name.FRAMES_UPLOAD, Name.PREDICTIONS, Name.DETECTIONS)
    await create_topics(settings, *needed)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        door = msgspec.json.encode(Camera("door", "scene"))
        await clients.send(producer, settings, Name.CAMERAS, key="door", value=door, headers=[])
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(settings, stop))
    store = Redis.from_url(valkey.url, socket_timeout=5)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        async with asyncio.timeout(60):
            while not await is_ready(client):
                assert not serving.done()
                await asyncio.sleep(0.1)
        assert [camera["id"] for camera in (await client.get("/cameras")).json()["cameras"]] == ["door"]
        await store.set(live_key("door"), record(1))
        async with connect(f"ws://127.0.0.1:{port}/live/door", proxy=None) as viewer:
            assert (await see(viewer)).frame.id == "door:s1:1"
            stop.set()
            async with asyncio.timeout(20):
                await serving
    await store.aclose()


async def test_a_process_that_is_asked_for_some_calls_answers_no_others(
    kafka: Kafka, valkey: Valkey, create_topics: CreateTopics
) -> None:
    port = free_port(PORTS)
    settings = kafka.settings(valkey={"url": valkey.url}, api={"port": port})
    await create_topics(settings, Name.CAMERAS, Name.CAMERA_STATUS, Name.FRAMES_UPLOAD, Name.PREDICTIONS)
    stop = asyncio.Event()
    serving = asyncio.ensure_future(stage(["system"])(settings, stop))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        async with asyncio.timeout(60):
            while not await is_ready(client):
                assert not serving.done()
                await asyncio.sleep(0.1)
        answers = {path: (await client.get(path)).status_code for path in ("/health", "/status", "/cameras", "/")}
    assert answers == {"/health": 200, "/status": 200, "/cameras": 404, "/": 404}
    stop.set()
    async with asyncio.timeout(20):
        await serving


def test_calls_that_there_are_not_are_told_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="no calls named episode; did you mean episodes"):
        stage([*ROUTERS, "episode"])


async def is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def test_an_address_that_is_taken_is_named_with_a_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = stack.settings_for(tmp_path, "127.0.0.1:1", {"api": {"port": port}})
        with pytest.raises(StackError, match=f"127.0.0.1:{port} .* MASKWATCH_API__PORT={port + 1}"):
            await serve(settings, asyncio.Event())


async def test_a_server_that_is_cancelled_closes_its_door(tmp_path: Path) -> None:
    # As the task group does it when something beside the server crashes.
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    serving = asyncio.create_task(run_server(FastAPI(), listener, asyncio.Event()))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{address[1]}", timeout=20) as client:
        assert (await client.get("/openapi.json")).status_code == 200
        serving.cancel()
        async with asyncio.timeout(20):
            await asyncio.gather(serving, return_exceptions=True)
        assert serving.cancelled()
        with pytest.raises(httpx.ConnectError):
            await client.get("/openapi.json")


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost > 1:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await end([task])
    assert lost == 2
