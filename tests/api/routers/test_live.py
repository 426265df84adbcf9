"""The live socket, over a real one: frames, acknowledgements, refusals, slow and dead viewers."""

import asyncio
import contextlib
import json
import os
import socket
import time
from bisect import bisect
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.dependencies import ValkeyPictures
from api.viewers import STORE_AWAY, Patience
from maskwatch import metrics
from maskwatch.overlay import live_key
from tests.support import stack
from tests.support.audience import SlowSpectator, at_work
from tests.support.front_door import TOO_LONG, FrontDoor, front_door, hear, see
from tests.support.overlay import JPEG, DictPictures, record, until
from tests.support.stack import Valkey


async def closed_with(viewer: ClientConnection) -> int:
    """Return the code that the server closes with."""
    async with asyncio.timeout(TOO_LONG):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await viewer.recv()
    assert viewer.close_code is not None
    return viewer.close_code


def viewers() -> float:
    value: float = metrics.VIEWERS._value.get()
    return value


async def test_a_viewer_is_greeted_and_gets_each_picture_with_what_was_seen_on_it(tmp_path: Path) -> None:
    pictures = DictPictures()
    pictures.publish("door", record(1))
    async with front_door(tmp_path, pictures) as door, door.watch() as viewer:
        hello = await hear(viewer)
        assert isinstance(hello, dict)
        assert hello["event"] == "hello"
        assert hello["now"].endswith("Z")
        first = await hear(viewer)
        assert isinstance(first, tuple)
        assert first[0].frame.id == "door:s1:1"
        assert first[0].objects[0].label == "with_mask"
        assert first[1] == JPEG
        for number in range(2, 8):
            pictures.publish("door", record(number))
            assert (await see(viewer)).frame.sequence == number
        assert viewers() == 1
    await until(lambda: viewers() == 0)


async def test_nothing_is_compressed(tmp_path: Path) -> None:
    pictures = DictPictures()
    async with front_door(tmp_path, pictures) as door, door.watch() as viewer:
        assert viewer.response is not None
        assert "Sec-WebSocket-Extensions" not in viewer.response.headers


async def test_a_stale_camera_says_since_when_and_why(tmp_path: Path) -> None:
    pictures = DictPictures()
    pictures.publish("yard", record(1, camera="yard"))
    pictures.expire("yard")
    async with front_door(tmp_path, pictures) as door:
        door.add_camera("yard", "offline", "the webcam was unplugged")
        async with door.watch("yard") as viewer:
            heard = [await hear(viewer) for _ in range(3)]
        assert isinstance(heard[1], tuple)
        assert heard[2] == {
            "event": "stale",
            "last_seen": "2026-11-01T12:00:00.100000Z",
            "reason": "the webcam was unplugged",
        }


async def test_a_viewer_that_does_not_acknowledge_gets_two_pictures_and_then_the_newest(tmp_path: Path) -> None:
    pictures = DictPictures()
    pictures.publish("door", record(1))
    async with front_door(tmp_path, pictures) as door, door.watch() as slow, door.watch() as quick:
        assert (await see(quick)).frame.sequence == 1
        for number in range(2, 30):
            pictures.publish("door", record(number))
            assert (await see(quick)).frame.sequence == number
        async with asyncio.timeout(TOO_LONG):
            await slow.recv()
            owed = [await slow.recv(), await slow.recv()]
            assert owed[0] == record(1)
            await slow.send("ack")
            assert await slow.recv() == record(29)


async def test_a_viewer_that_never_acknowledges_is_closed_and_harms_nobody(tmp_path: Path) -> None:
    pictures = DictPictures()
    pictures.publish("door", record(1))
    patience = Patience(ack_s=0.2)
    async with front_door(tmp_path, pictures, patience=patience) as door, door.watch() as dead, door.watch() as alive:
        await see(alive)
        assert await closed_with(dead) == 4408
        pictures.publish("door", record(2))
        assert (await see(alive)).frame.sequence == 2
        assert viewers() == 1


async def test_what_a_viewer_says_besides_is_ignored(tmp_path: Path) -> None:
    pictures = DictPictures()
    pictures.publish("door", record(1))
    async with front_door(tmp_path, pictures) as door, door.watch() as viewer:
        await see(viewer)
        for odd in ("hello", "", b"ack", b"\x00" * 1000):
            await viewer.send(odd)
        pictures.publish("door", record(2))
        assert (await see(viewer)).frame.sequence == 2


async def test_a_viewer_that_says_too_much_is_closed(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.watch() as viewer:
        await viewer.send("a" * 10_000)
        assert await closed_with(viewer) == 1009


async def test_over_a_slow_line_pictures_are_fewer_and_not_older(tmp_path: Path) -> None:
    pictures = DictPictures()
    large = os.urandom(100_000)
    sent: list[float] = []
    async with front_door(tmp_path, pictures) as door:
        line = SlowSpectator(door.port, "door", 5 * len(large))
        async with at_work([line]):
            while len(line.sights) < 12:
                sent.append(time.time())
                pictures.publish("door", record(len(sent), jpeg=large))
                await asyncio.sleep(0.05)
    behind = [bisect(sent, sight.at) - sight.live.frame.sequence for sight in line.sights]
    # Two are on the line, and while one is carried four more come.
    assert max(behind) < 15
    assert len(sent) > 2 * len(behind)


async def handshake(door: FrontDoor) -> socket.socket:
    """Open a live socket with a small receive buffer and leave it at that: nothing is ever read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", door.port))
    request = (
        f"GET /live/door HTTP/1.1\r\nHost: 127.0.0.1:{door.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await loop.sock_sendall(connection, request.encode())
    return connection


def connections(door: FrontDoor) -> int:
    open_ones = psutil.Process().net_connections()
    return sum(c.status == psutil.CONN_ESTABLISHED and c.laddr[1] == door.port for c in open_ones)


async def test_a_viewer_that_takes_nothing_is_given_up_and_harms_nobody(tmp_path: Path) -> None:
    pictures = DictPictures()
    large = os.urandom(8_000_000)  # more than the system keeps for a connection
    pictures.publish("door", record(1, jpeg=large))
    patience = Patience(ack_s=60, send_s=0.2)
    async with front_door(tmp_path, pictures, patience=patience, dead_peer_ms=500) as door:
        stuck = await handshake(door)
        try:
            await until(lambda: viewers() == 1)
            async with door.watch() as alive:
                for number in range(2, 8):
                    pictures.publish("door", record(number, jpeg=large))
                    assert (await see(alive)).frame.sequence in (number - 1, number)
                await until(lambda: viewers() == 1)
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    # What was written to it is let go too.
                    await until(lambda: connections(door) == 1)
        finally:
            stuck.close()


async def test_a_camera_that_nobody_wished_for_is_closed_as_unknown(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door:
        await known_only(door)
        async with door.watch("cellar") as viewer:
            assert await closed_with(viewer) == 4404


async def known_only(door: FrontDoor) -> None:
    """Let the list of cameras be complete."""
    for event in door.services.cameras._following.caught_up.values():
        event.set()


async def test_until_the_list_was_read_every_camera_may_be_one(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door:
        async with door.watch("cellar") as viewer:
            assert isinstance(await hear(viewer), dict)
        async with door.watch("Cellar!") as viewer:
            assert await closed_with(viewer) == 4404


async def test_more_viewers_than_there_may_be_are_asked_to_come_back(tmp_path: Path) -> None:
    async with front_door(tmp_path, api={"max_viewers": 2}) as door:
        async with door.watch() as first, door.watch() as second:
            await asyncio.gather(hear(first), hear(second))
            async with door.watch() as third:
                assert await closed_with(third) == 1013
        await until(lambda: viewers() == 0)
        async with door.watch() as fourth:
            assert await hear(fourth)


async def refused(door: FrontDoor, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as error:
        async with door.watch(headers=headers):
            pass
    response = error.value.response
    return response.status_code, json.loads(bytes(response.body or b"{}"))


async def test_a_page_of_another_site_is_refused(tmp_path: Path) -> None:
    async with front_door(tmp_path, api={"origins": ["https://cams.example"]}) as door:
        status, problem = await refused(door, {"Origin": "http://evil.example"})
        assert (status, problem["type"]) == (403, "/docs#forbidden-origin")
        assert (await refused(door, {"Origin": "null"}))[0] == 403
        for origin in (f"http://127.0.0.1:{door.port}", "https://cams.example"):
            async with door.watch(headers={"Origin": origin}) as viewer:
                assert await hear(viewer)
        assert await asyncio.wait_for(ok(door), TOO_LONG)


async def ok(door: FrontDoor) -> bool:
    async with door.client() as client:
        return (await client.get("/health")).status_code == 200


async def test_with_a_token_only_its_owner_may_watch(tmp_path: Path) -> None:
    async with front_door(tmp_path, api={"token": "right"}) as door:
        status, problem = await refused(door, {})
        assert (status, problem["type"]) == (401, "/docs#unauthorized")
        for name, value in (("Authorization", "Bearer right"), ("Cookie", "maskwatch_token=right")):
            async with door.watch(headers={name: value}) as viewer:
                assert await hear(viewer)


async def test_when_the_server_stops_viewers_are_told(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.watch() as viewer:
        await hear(viewer)
        door.stop.set()
        assert await closed_with(viewer) == 1012


@contextlib.asynccontextmanager
async def on_valkey(tmp_path: Path, valkey: Valkey, fresh_s: float = 60) -> AsyncIterator[tuple[FrontDoor, Redis]]:
    settings = stack.settings_for(tmp_path, "127.0.0.1:1", {"valkey": {"url": valkey.url, "timeout_s": 1}})
    client = Redis.from_url(valkey.url, socket_timeout=5)
    async with (
        contextlib.aclosing(ValkeyPictures(settings)) as pictures,
        contextlib.aclosing(client),
        front_door(tmp_path, pictures, settings=settings, fresh_s=fresh_s) as door,
    ):
        yield door, client


async def publish(client: Redis, sequence: int) -> None:
    await client.set(live_key("door"), record(sequence))
    await client.publish(live_key("door"), f"door:s1:{sequence}")


async def test_pictures_come_from_valkey(tmp_path: Path, valkey: Valkey) -> None:
    async with on_valkey(tmp_path, valkey) as (door, client), door.watch() as viewer:
        stale = [await hear(viewer), await hear(viewer)][1]
        assert isinstance(stale, dict)
        assert stale["event"] == "stale"
        await publish(client, 1)
        assert (await see(viewer)).frame.sequence == 1
        await publish(client, 2)
        assert (await see(viewer)).frame.sequence == 2


async def told_away(viewer: ClientConnection) -> None:
    while True:
        heard = await hear(viewer)
        if isinstance(heard, dict) and heard.get("reason") == STORE_AWAY:
            return


async def test_when_valkey_dies_and_returns_so_does_the_picture(tmp_path: Path, valkey: Valkey) -> None:
    async with on_valkey(tmp_path, valkey) as (door, client), door.watch() as viewer:
        await publish(client, 1)
        assert (await see(viewer)).frame.sequence == 1
        await asyncio.to_thread(valkey.kill)
        await told_away(viewer)
        await asyncio.to_thread(valkey.start)
        await client.connection_pool.disconnect()
        await publish(client, 2)
        assert (await see(viewer)).frame.sequence == 2
        await publish(client, 3)
        assert (await see(viewer)).frame.sequence == 3


async def test_when_valkey_hangs_viewers_are_told_and_calls_are_answered(tmp_path: Path, valkey: Valkey) -> None:
    async with on_valkey(tmp_path, valkey, fresh_s=0.2) as (door, client), door.watch() as viewer:
        await publish(client, 1)
        assert (await see(viewer)).frame.sequence == 1
        with valkey.hanging():
            await told_away(viewer)
            assert await ok(door)
        await publish(client, 2)
        assert (await see(viewer)).frame.sequence == 2
