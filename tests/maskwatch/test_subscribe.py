"""The client for other people's programs, on a real Kafka."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer

from maskwatch import kafka as clients
from maskwatch.errors import BrokerError, MessageError
from maskwatch.kafka import Record
from maskwatch.messages import CameraStatus, Detection, FrameInfo, FrameRef, ModelRef, Prediction, encode, frame_headers
from maskwatch.settings import Settings
from maskwatch.subscribe import Frame, subscribe
from maskwatch.topics import Name
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
MODEL = ModelRef("m", "1", "ab")


@pytest.fixture
async def ours(settings: Settings, create_topics: CreateTopics) -> Settings:
    await create_topics(settings, Name.DETECTIONS, Name.PREDICTIONS, Name.CAMERA_STATUS, Name.FRAMES_LIVE)
    return settings


@asynccontextmanager
async def writing(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        yield producer


async def detect(producer: AIOKafkaProducer, settings: Settings, camera: str, sequence: int) -> None:
    frame = FrameRef(f"{camera}:s:{sequence}", camera, "s", sequence, NOON, 4, 3, "frames.live.v1", 0, sequence)
    value, headers = encode(
        Detection(frame, MODEL, NOON, ()), kind="maskwatch.detection.v1", source="/x", id=frame.id, time=NOON
    )
    await put(producer, settings, Name.DETECTIONS, camera, value, headers)


async def sequences(messages: AsyncIterator[Detection], count: int) -> list[int]:
    async with asyncio.timeout(60):
        return [(await anext(messages)).frame.sequence for _ in range(count)]


async def test_from_now_on_or_from_the_beginning(ours: Settings) -> None:
    async with writing(ours) as producer:
        await detect(producer, ours, "door", 0)
        async with (
            subscribe(Detection, settings=ours) as new,
            subscribe(Detection, settings=ours, back_s=math.inf) as every,
            subscribe(Detection, settings=ours, back_s=3600) as recent,
        ):
            await detect(producer, ours, "door", 1)
            assert await sequences(new, 1) == [1]
            assert await sequences(every, 2) == [0, 1]
            assert await sequences(recent, 2) == [0, 1]


async def test_only_the_cameras_that_are_asked_for(ours: Settings) -> None:
    async with writing(ours) as producer, subscribe(Detection, settings=ours, keys=["hall"]) as messages:
        for sequence, camera in enumerate(("door", "hall", "door", "hall")):
            await detect(producer, ours, camera, sequence)
        assert await sequences(messages, 2) == [1, 3]


async def test_a_group_goes_on_where_it_has_been_and_what_was_not_done_comes_again(ours: Settings) -> None:
    async with writing(ours) as producer:
        for sequence in range(5):
            await detect(producer, ours, "door", sequence)
        async with subscribe(Detection, settings=ours, group="mine", back_s=math.inf) as messages:
            assert await sequences(messages, 3) == [0, 1, 2]
        # The third was handed out, but the next was never asked for.
        async with subscribe(Detection, settings=ours, group="mine") as messages:
            assert await sequences(messages, 3) == [2, 3, 4]


async def test_every_kind_has_its_topic(ours: Settings) -> None:
    info = FrameInfo("door", "s1", 7, NOON, 4, 3)
    status = CameraStatus("door", "online", NOON)
    prediction = Prediction("u1", "done", NOON)
    async with (
        writing(ours) as producer,
        subscribe(Frame, settings=ours) as frames,
        subscribe(CameraStatus, settings=ours, back_s=math.inf) as statuses,
        subscribe(Prediction, settings=ours) as predictions,
    ):
        await put(producer, ours, Name.FRAMES_LIVE, "door", b"jpeg", frame_headers(info))
        # A camera that was removed leaves an empty record, which is no message.
        await clients.send(producer, ours, Name.CAMERA_STATUS, key="gone", value=None, headers=[])
        for name, key, message in ((Name.CAMERA_STATUS, "door", status), (Name.PREDICTIONS, "u1", prediction)):
            value, headers = encode(message, kind="x", source="/x", id=key, time=NOON)
            await put(producer, ours, name, key, value, headers)
        async with asyncio.timeout(60):
            assert await anext(frames) == Frame(info, b"jpeg")
            assert await anext(statuses) == status
            assert await anext(predictions) == prediction


async def test_what_is_no_message_is_left_out_and_told(ours: Settings) -> None:
    told: list[tuple[int, str]] = []

    def malformed(record: Record, error: MessageError) -> None:
        told.append((record.offset, str(error)))

    async with (
        writing(ours) as producer,
        subscribe(Detection, settings=ours, malformed=malformed) as messages,
        subscribe(Detection, settings=ours) as silent,
        subscribe(Frame, settings=ours, malformed=malformed) as frames,
    ):
        await put(producer, ours, Name.DETECTIONS, "door", b"{")
        await detect(producer, ours, "door", 1)
        assert await sequences(messages, 1) == await sequences(silent, 1) == [1]
        await put(producer, ours, Name.FRAMES_LIVE, "door", b"", frame_headers(FrameInfo("door", "s", 0, NOON, 4, 3)))
        await put(producer, ours, Name.FRAMES_LIVE, "door", b"x", frame_headers(FrameInfo("door", "s", 1, NOON, 4, 3)))
        async with asyncio.timeout(60):
            assert (await anext(frames)).jpeg == b"x"
    assert [offset for offset, _ in told] == [0, 0]
    assert "not a Detection" in told[0][1]
    assert "no picture" in told[1][1]


async def test_it_ends_when_it_is_told_to(ours: Settings) -> None:
    stop = asyncio.Event()
    async with subscribe(Detection, settings=ours, stop=stop) as messages:
        waiting = asyncio.ensure_future(anext(messages, None))
        await asyncio.sleep(0.3)
        stop.set()
        async with asyncio.timeout(10):
            assert await waiting is None


async def test_an_outage_is_waited_for_and_nothing_is_missed(own_broker: Kafka, create_topics: CreateTopics) -> None:
    settings = own_broker.settings(kafka={"timeout_s": 2})
    await create_topics(settings, Name.DETECTIONS)
    async with subscribe(Detection, settings=settings) as messages:
        async with writing(settings) as producer:
            await detect(producer, settings, "door", 0)
        assert await sequences(messages, 1) == [0]
        await asyncio.to_thread(own_broker.kill)
        await asyncio.sleep(1)
        await asyncio.to_thread(own_broker.start)
        async with writing(settings) as producer:
            await detect(producer, settings, "door", 1)
        assert await sequences(messages, 1) == [1]


async def test_a_cluster_that_is_away_at_the_start_is_waited_for_or_named(
    own_broker: Kafka, create_topics: CreateTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskwatch.subscribe.FIRST_RETRY_S", 0.2)
    settings = own_broker.settings(kafka={"timeout_s": 2})
    await create_topics(settings, Name.DETECTIONS)
    await asyncio.to_thread(own_broker.kill)
    with pytest.raises(BrokerError, match="does not answer"):
        async with subscribe(Detection, settings=settings, wait=False):
            pass

    async def first() -> int:
        async with subscribe(Detection, servers=own_broker.bootstrap_servers, settings=settings) as messages:
            ready.set()
            return (await sequences(messages, 1))[0]

    ready = asyncio.Event()
    waiting = asyncio.create_task(first())
    await asyncio.sleep(1)
    await asyncio.to_thread(own_broker.start)
    async with asyncio.timeout(60):
        await ready.wait()
    async with writing(settings) as producer:
        await detect(producer, settings, "door", 5)
    assert await waiting == 5


async def test_what_cannot_be_is_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"not 60.0 s back"):
        async with subscribe(Detection, settings=settings, group="mine", back_s=60.0):
            pass
    with pytest.raises(BrokerError, match="has no topic detections"):
        async with subscribe(Detection, settings=settings, wait=False):
            pass
