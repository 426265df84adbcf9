"""Who asks, and pictures in a real Valkey."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from starlette.requests import HTTPConnection

from api.bodies import Holding
from api.broadcasts import Broadcasts
from api.broker import Broker
from api.commanding import Commanding
from api.dependencies import OPERATOR, Services, ValkeyPictures, known_origin, principal, readiness
from api.drift_feed import DriftFeed
from api.label_feed import LabelFeed
from api.labelling import Labelling
from api.leases import ValkeyLeases
from api.ledger import Ledger
from api.model_feed import ModelFeed
from api.problems import FORBIDDEN_ORIGIN, UNAUTHORIZED, UNKNOWN_HOST, Kind, ProblemError
from api.roster import Roster, RosterFeed
from api.stream import DetectionStream
from api.system import SystemMonitor
from api.upload_index import ValkeyIndex
from api.uploads import Uploads
from api.viewers import Hub
from maskwatch.errors import BrokerError, StoreError
from maskwatch.label_checks import frozen_test
from maskwatch.overlay import last_key, live_key, unpack
from maskwatch.store import Store
from tests.support import stack
from tests.support.overlay import DictPictures, record
from tests.support.stack import Kafka, Valkey

Headers = Sequence[tuple[str, str]]


def services(home: Path, token: str = "", origins: Sequence[str] = ()) -> Services:
    settings = stack.settings_for(home, "127.0.0.1:1", {"api": {"token": token, "origins": origins}})
    hub = Hub(DictPictures(), asyncio.TaskGroup(), most=1, fresh_s=1, why=str, erased=lambda _: False)
    index = ValkeyIndex(settings)
    ledger = Ledger(settings, index)
    broker = Broker(settings)
    cameras = RosterFeed(settings)
    feed, pictures = LabelFeed(settings), DictPictures()
    leases, models = ValkeyLeases(settings), ModelFeed(settings)
    return Services(
        settings,
        cameras,
        hub,
        {},
        broker,
        Uploads(settings, broker, index, ledger),
        Holding(1),
        DetectionStream(settings),
        Broadcasts(settings, broker, Roster()),
        asyncio.Lock(),
        asyncio.Lock(),
        DriftFeed(settings),
        SystemMonitor(settings, cameras, DictPictures(), {}),
        feed,
        Labelling(settings, broker, feed.table, Store(settings), leases, frozen_test(None), pictures.forget),
        models,
        Commanding(settings, broker, models),
    )


def asking(headers: Headers) -> HTTPConnection:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    return HTTPConnection({"type": "http", "headers": raw, "path": "/cameras"})


def refusal(check: object, headers: Headers, shared: Services) -> Kind | None:
    assert callable(check)
    try:
        check(asking(headers), shared)
    except ProblemError as problem:
        return problem.kind
    return None


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "cams.example:443"])
def test_without_a_token_names_of_ours_are_answered(tmp_path: Path, host: str) -> None:
    shared = services(tmp_path, origins=["https://cams.example"])
    assert principal(asking([("Host", host)]), shared) is OPERATOR


@pytest.mark.parametrize("headers", [[("Host", "evil.example:8000")], [("Host", "[")], [("Host", "")], []])
def test_without_a_token_no_other_name_is_answered(tmp_path: Path, headers: Headers) -> None:
    assert refusal(principal, headers, services(tmp_path)) is UNKNOWN_HOST


@pytest.mark.parametrize(
    "header",
    [("Authorization", "Bearer right"), ("authorization", "bearer right"), ("Cookie", "a=b; maskwatch_token=right")],
)
def test_with_a_token_whoever_has_it_is_the_operator_whatever_our_name(tmp_path: Path, header: tuple[str, str]) -> None:
    shared = services(tmp_path, "right")
    assert principal(asking([("Host", "cams.example"), header]), shared) is OPERATOR


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer wrong")],
        [("Authorization", "Basic right")],
        [("Authorization", "Bearer rïght")],
        [("Cookie", "maskwatch_token=wrong")],
    ],
)
def test_with_a_token_nobody_else_is_answered(tmp_path: Path, headers: Headers) -> None:
    assert refusal(principal, headers, services(tmp_path, "right")) is UNAUTHORIZED


@pytest.mark.parametrize("headers", [[], [("Origin", "http://a:1")], [("Origin", "https://cams.example")]])
def test_our_pages_and_programs_may_connect(tmp_path: Path, headers: Headers) -> None:
    shared = services(tmp_path, origins=["https://cams.example"])
    assert refusal(known_origin, [("Host", "a:1"), *headers], shared) is None


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://a:2", "null", "", "http://[", "https://cams.example:1"]
)
def test_pages_of_others_may_not(tmp_path: Path, origin: str) -> None:
    shared = services(tmp_path, origins=["https://cams.example"])
    assert refusal(known_origin, [("Host", "a:1"), ("Origin", origin)], shared) is FORBIDDEN_ORIGIN
    assert refusal(known_origin, [("Host", ""), ("Origin", origin)], shared) is FORBIDDEN_ORIGIN


@asynccontextmanager
async def stored(home: Path, url: str, timeout_s: float = 5) -> AsyncIterator[ValkeyPictures]:
    settings = stack.settings_for(home, "127.0.0.1:1", {"valkey": {"url": url, "timeout_s": timeout_s}})
    async with aclosing(ValkeyPictures(settings)) as pictures:
        yield pictures


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(url, socket_timeout=5)
    try:
        yield client
    finally:
        await client.aclose()


async def test_notices_tell_of_the_cameras_that_were_asked_for(tmp_path: Path, valkey: Valkey) -> None:
    async with stored(tmp_path, valkey.url) as pictures, writing(valkey.url) as client, pictures.notices() as notices:
        await notices.add("door")
        await notices.add("yard")
        await notices.remove("yard")

        async def tell() -> None:
            # Subscriptions are not waited for, so the first notices may be too early.
            while True:
                await client.publish("live:yard", "y")
                await client.publish("live:door", "d")
                await asyncio.sleep(0.02)

        telling = asyncio.create_task(tell())
        async with asyncio.timeout(20):
            assert [await notices.next() for _ in range(3)] == ["door"] * 3
        telling.cancel()


async def test_a_picture_is_read_as_it_lies_there(tmp_path: Path, valkey: Valkey) -> None:
    async with stored(tmp_path, valkey.url) as pictures, writing(valkey.url) as client:
        assert await pictures.get("live:door") is None
        await client.set("live:door", b"\x00\xff" * 500_000)
        assert await pictures.get("live:door") == b"\x00\xff" * 500_000
        await pictures.ping()


async def test_a_valkey_that_dies_is_noticed_and_used_again_when_it_returns(tmp_path: Path, valkey: Valkey) -> None:
    async with stored(tmp_path, valkey.url) as pictures:
        async with pictures.notices() as notices:
            await notices.add("door")
            await asyncio.to_thread(valkey.kill)
            with pytest.raises(StoreError):
                async with asyncio.timeout(20):
                    await notices.next()
        with pytest.raises(StoreError):
            await pictures.get("live:door")
        with pytest.raises(StoreError):
            async with pictures.notices():
                pass
        await asyncio.to_thread(valkey.start)
        assert await pictures.get("live:door") is None


async def test_a_valkey_that_hangs_is_waited_for_no_longer_than_its_time_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://:secret@127.0.0.1:{silent.getsockname()[1]}/0"
        async with stored(tmp_path, url, timeout_s=0.1) as pictures:
            with pytest.raises(StoreError) as error:
                await pictures.get("live:door")
            with pytest.raises(StoreError):
                await pictures.ping()
            with pytest.raises(StoreError):
                async with pictures.notices():
                    pass
    assert "secret" not in str(error.value)


async def test_what_the_server_needs_is_checked_for_real(kafka: Kafka, valkey: Valkey) -> None:
    settings = kafka.settings(valkey={"url": valkey.url})
    feed = RosterFeed(settings)
    async with aclosing(ValkeyPictures(settings)) as pictures, aclosing(ValkeyIndex(settings)) as index:
        uploads = Uploads(settings, Broker(settings), index, Ledger(settings, index))
        checks = readiness(settings, feed, pictures, uploads)
        assert (await checks["kafka"](), await checks["valkey"]()) == ("", "")
        assert "cameras.v1" in await checks["cameras"]()
        await asyncio.to_thread(valkey.kill)
        with pytest.raises(StoreError):
            await checks["valkey"]()


async def test_a_kafka_that_is_away_is_named(tmp_path: Path) -> None:
    settings = stack.settings_for(tmp_path, "127.0.0.1:1", {})
    async with aclosing(ValkeyPictures(settings)) as pictures, aclosing(ValkeyIndex(settings)) as index:
        uploads = Uploads(settings, Broker(settings), index, Ledger(settings, index))
        checks = readiness(settings, RosterFeed(settings), pictures, uploads)
        with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1"):
            await checks["kafka"]()
        assert "is not there yet" in await checks["uploads"]()


async def test_a_cameras_last_picture_is_forgotten_if_it_is_the_one(valkey: Valkey, tmp_path: Path) -> None:
    async with stored(tmp_path, valkey.url) as pictures:
        kept = record(7)
        for key in (live_key("door"), last_key("door")):
            await pictures._client.set(key, kept)
        frame = unpack(kept)[0].frame.id
        await pictures.forget("door", f"{frame}0")
        await pictures.forget("gate", frame)
        assert await pictures.get(last_key("door")) == kept
        await pictures.forget("door", frame)
        assert (await pictures.get(live_key("door")), await pictures.get(last_key("door"))) == (None, None)
