"""The live stage: on lists first, then on a real Valkey and a real Kafka."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from consumers.join import Joined, Joiner, Limits
from consumers.live import ValkeyPictures, join_records, keep_live
from maskwatch import kafka as clients
from maskwatch import metrics, topics
from maskwatch.errors import BrokerError, StoreError
from maskwatch.messages import LiveFrame, encode, frame_headers
from maskwatch.overlay import unpack
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support import stack
from tests.support.overlay import (
    JPEG,
    KeptPictures,
    ListedRecords,
    at,
    detection,
    detection_record,
    frame,
    frame_record,
    kafka_record,
)
from tests.support.stack import CreateTopics, Kafka, Valkey

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    Batch = Sequence[ConsumerRecord[bytes, bytes]]


def joined(sequence: int, camera: str = "door", jpeg: bytes = JPEG) -> Joined:
    join = Joiner(Limits())
    join.add_frame(frame(sequence, camera), jpeg, at(sequence / 10), 0)
    found = join.add_detection(detection(frame(sequence, camera)), 0)
    assert found is not None
    return found


async def run(batches: "Sequence[Batch]", pictures: KeptPictures, retry_s: float = 60) -> None:
    stop = asyncio.Event()
    await join_records(
        ListedRecords(batches, stop), "frames.live.v1", Joiner(Limits()), pictures, stop, retry_s=retry_s
    )


def count(metric: object) -> float:
    value: float = metric._value.get()  # type: ignore[attr-defined]
    return value


async def test_of_one_batch_the_newest_picture_of_each_camera_is_kept() -> None:
    door = [frame(n) for n in range(3)]
    yard = frame(7, camera="yard")
    pictures = KeptPictures()
    before = count(metrics.FRAMES_JOINED)
    await run(
        [[frame_record(info) for info in [*door, yard]], [detection_record(info) for info in [*door, yard]]], pictures
    )
    assert [picture.live.frame.id for picture in pictures.kept] == ["door:s1:2", "yard:s1:7"]
    assert count(metrics.FRAMES_JOINED) - before == 4


async def test_records_that_cannot_be_read_are_counted_and_harm_no_neighbour() -> None:
    good = frame(5)
    bad = [
        kafka_record("frames.live.v1", JPEG),
        kafka_record("frames.live.v1", None, frame_headers(frame(1))),
        kafka_record("frames.live.v1", b"", frame_headers(frame(1))),
        kafka_record("frames.live.v1", JPEG, frame_headers(frame(1)), timestamp_ms=1e30),
        kafka_record("detections.v1", b"{"),
        kafka_record("detections.v1", None),
    ]
    pictures = KeptPictures()
    before = count(metrics.RECORDS_MALFORMED.labels("frames.live.v1"))
    with capture_logs() as logs:
        await run([[*bad, frame_record(good)], [*bad, detection_record(good)]], pictures)
    assert [picture.live.frame.id for picture in pictures.kept] == ["door:s1:5"]
    assert count(metrics.RECORDS_MALFORMED.labels("frames.live.v1")) - before == 8
    assert [entry["event"] for entry in logs] == ["malformed record skipped"]
    assert "a picture" not in str(logs)


async def test_while_the_store_is_away_pictures_are_counted_and_dropped() -> None:
    infos = [frame(n) for n in range(4)]
    batches = [batch for info in infos for batch in ([frame_record(info)], [detection_record(info)])]
    pictures = KeptPictures(failures=1)
    before = count(metrics.STORE_FAILURES)
    with capture_logs() as logs:
        await run(batches, pictures)
    # The first failure is followed by a pause in which nothing is tried.
    assert (pictures.calls, pictures.kept) == (1, [])
    assert count(metrics.STORE_FAILURES) - before == 4
    assert [entry["event"] for entry in logs] == ["pictures are dropped while Valkey is away"]


async def test_a_store_that_comes_back_is_written_again() -> None:
    infos = [frame(n) for n in range(2)]
    batches = [batch for info in infos for batch in ([frame_record(info)], [detection_record(info)])]
    pictures = KeptPictures(failures=1)
    with capture_logs() as logs:
        await run(batches, pictures, retry_s=0)
    assert [picture.live.frame.id for picture in pictures.kept] == ["door:s1:1"]
    assert logs[-1]["event"] == "Valkey takes pictures again"


@contextlib.asynccontextmanager
async def reading(url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(url, socket_timeout=5)
    try:
        yield client
    finally:
        await client.aclose()


def valkey_settings(home: Path, url: str, timeout_s: float = 5) -> Settings:
    return stack.settings_for(home, "127.0.0.1:1", {"valkey": {"url": url, "timeout_s": timeout_s}})


async def test_a_picture_lies_under_both_keys_and_is_announced(tmp_path: Path, valkey: Valkey) -> None:
    async with reading(valkey.url) as client, client.pubsub() as channel:
        await channel.subscribe("live:door")
        async with ValkeyPictures(valkey_settings(tmp_path, valkey.url)) as pictures:
            await pictures.keep([joined(1), joined(4, "yard", b"yard")], now=0)
        stored = await client.get("live:door")
        assert isinstance(stored, bytes)
        text, jpeg = unpack(stored)
        assert (text, jpeg) == (joined(1).live, JPEG)
        assert await client.get("last:door") == stored
        assert 0 < await client.ttl("live:door") <= 10
        assert 10 < await client.ttl("last:door") <= 86_400
        assert await client.get("live:yard") is not None
        told = [await channel.get_message(timeout=5) for _ in range(2)]
        assert [message["data"] for message in told if message] == [1, b"door:s1:1"]


async def test_every_picture_is_written_only_while_somebody_looks(tmp_path: Path, valkey: Valkey) -> None:
    async with (
        reading(valkey.url) as client,
        client.pubsub() as channel,
        ValkeyPictures(valkey_settings(tmp_path, valkey.url)) as pictures,
    ):
        newest = []
        for sequence, now in enumerate([100.0, 100.2, 101.0, 101.2, 101.4, 101.6, 101.8]):
            if sequence == 3:
                await channel.subscribe("live:door")
                assert await channel.get_message(timeout=5)  # it is told
            if sequence == 5:
                await channel.unsubscribe("live:door")
                assert await channel.get_message(timeout=5)
            await pictures.keep([joined(sequence)], now)
            stored = await client.get("live:door")
            assert isinstance(stored, bytes)
            newest.append(unpack(stored)[0].frame.sequence)
        # Who comes sees what is a second old at most, and the next but one as it is; who leaves costs one more.
        assert newest == [0, 0, 2, 2, 4, 5, 5]


async def test_the_last_picture_is_refreshed_once_a_second_at_most(tmp_path: Path, valkey: Valkey) -> None:
    async with (
        reading(valkey.url) as client,
        client.pubsub() as channel,
        ValkeyPictures(valkey_settings(tmp_path, valkey.url)) as pictures,
    ):
        await channel.subscribe("live:door")
        assert await channel.get_message(timeout=5)
        sequences = []
        for sequence, now in enumerate([100.0, 100.9, 101.0, 101.5, 102.1]):
            await pictures.keep([joined(sequence)], now)
            last, newest = await client.get("last:door"), await client.get("live:door")
            assert isinstance(last, bytes)
            assert isinstance(newest, bytes)
            assert unpack(newest)[0].frame.sequence == sequence
            sequences.append(unpack(last)[0].frame.sequence)
        assert sequences == [0, 0, 2, 2, 4]


async def test_a_valkey_that_dies_and_returns_is_used_again(tmp_path: Path, valkey: Valkey) -> None:
    async with ValkeyPictures(valkey_settings(tmp_path, valkey.url)) as pictures:
        await pictures.keep([joined(1)], 0)
        await asyncio.to_thread(valkey.kill)
        with pytest.raises(StoreError, match="Valkey"):
            await pictures.keep([joined(2)], 0)
        await asyncio.to_thread(valkey.start)
        await pictures.keep([joined(3)], 0)
        async with reading(valkey.url) as client:
            stored = await client.get("live:door")
            assert isinstance(stored, bytes)
            assert unpack(stored)[0].frame.sequence == 3


async def test_a_valkey_that_hangs_is_waited_for_no_longer_than_its_time_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://:secret@127.0.0.1:{silent.getsockname()[1]}/0"
        async with ValkeyPictures(valkey_settings(tmp_path, url, timeout_s=0.1)) as pictures:
            with pytest.raises(StoreError) as error:
                await pictures.keep([joined(1)], 0)
    assert "secret" not in str(error.value)


async def test_without_a_broker_the_stage_says_so(tmp_path: Path) -> None:
    settings = stack.settings_for(tmp_path, "127.0.0.1:1", {"kafka": {"timeout_s": 0.5}})
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1"):
        await keep_live(settings, asyncio.Event())


class Camera:
    """Publishes frames and their detections, one pair a call."""

    def __init__(self, settings: Settings) -> None:
        self.sequence = 0
        self._settings = settings
        self._producer = clients.live_producer(settings)

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def publish(self) -> None:
        self.sequence += 1
        info = frame(self.sequence)
        value, headers = encode(detection(info), kind="k", source="/t", id=info.id, time=info.captured)
        await self._send(Name.FRAMES_LIVE, JPEG, frame_headers(info))
        await self._send(Name.DETECTIONS, value, headers)

    async def _send(self, name: Name, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        await clients.send(self._producer, self._settings, name, key="door", value=value, headers=headers)


async def publish_one(camera: Camera) -> None:
    """Publish until a pair was taken: a topic that was just created may have no leader yet."""
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(BrokerError):
                return await camera.publish()


async def next_picture(client: Redis, camera: Camera, after: int, stage: "asyncio.Task[None]") -> LiveFrame:
    """Publish until a picture newer than `after` lies in Valkey."""
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(BrokerError):
                await camera.publish()
            await asyncio.sleep(0.1)
            assert not stage.done()
            stored = await client.get("live:door")
            if isinstance(stored, bytes) and (text := unpack(stored)[0]).frame.sequence > after:
                return text


async def test_from_kafka_to_valkey(kafka: Kafka, valkey: Valkey, create_topics: CreateTopics) -> None:
    settings = kafka.settings(valkey={"url": valkey.url})
    await create_topics(settings, Name.FRAMES_LIVE, Name.DETECTIONS)
    stop = asyncio.Event()
    async with Camera(settings) as camera, reading(valkey.url) as client:
        await publish_one(camera)
        old = camera.sequence
        stage = asyncio.create_task(keep_live(settings, stop))
        # What lay there before the stage began is of no use to a viewer.
        text = await next_picture(client, camera, after=0, stage=stage)
        assert text.frame.sequence > old
        # The broker's own time, not the one in the headers.
        assert text.published != text.frame.captured
        stop.set()
        async with asyncio.timeout(20):
            await stage


@pytest.mark.timeout(300)  # a broker takes half a minute to start on a busy machine
async def test_when_the_broker_dies_and_returns_so_do_the_pictures(
    own_broker: Kafka, valkey: Valkey, tmp_path: Path
) -> None:
    settings = own_broker.settings(valkey={"url": valkey.url})
    await topics.ensure(settings, 2**30, [t for t in topics.TOPICS if t.name in (Name.FRAMES_LIVE, Name.DETECTIONS)])
    stop = asyncio.Event()
    async with Camera(settings) as camera, reading(valkey.url) as client:
        stage = asyncio.create_task(keep_live(settings, stop))
        before = await next_picture(client, camera, after=0, stage=stage)
        await asyncio.to_thread(own_broker.kill)
        await asyncio.to_thread(own_broker.start)
        await next_picture(client, camera, after=max(camera.sequence, before.frame.sequence), stage=stage)
        stop.set()
        async with asyncio.timeout(20):
            await stage
