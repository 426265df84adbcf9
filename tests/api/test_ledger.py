"""Answers to uploads, on a real Kafka and a real Valkey."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer

from api.ledger import Ledger
from api.upload_index import Claim, Place, ValkeyIndex
from maskwatch import kafka as clients
from maskwatch.errors import StoreError
from maskwatch.messages import Prediction, encode
from maskwatch.settings import Settings
from maskwatch.topics import Name
from producers.jpeg import Jpeg
from producers.upload import Upload, publish
from tests.support.stack import CreateTopics, Kafka, Valkey
from tests.support.topic import put
from tests.support.waiting import eventually

TOPICS = (Name.FRAMES_UPLOAD, Name.PREDICTIONS)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
async def ours(kafka: Kafka, valkey: Valkey, create_topics: CreateTopics) -> Settings:
    settings = kafka.settings(valkey={"url": valkey.url})
    await create_topics(settings, *TOPICS)
    return settings


@pytest.fixture
async def producer(ours: Settings) -> AsyncIterator[AIOKafkaProducer]:
    async with clients.running(clients.durable_producer(ours), ours) as running:
        yield running


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[Ledger]:
    async with aclosing(ValkeyIndex(settings)) as index:
        ledger = Ledger(settings, index)
        running = asyncio.create_task(ledger.run())
        try:
            yield ledger
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def indexed(settings: Settings) -> AsyncIterator[Ledger]:
    async with following(settings) as ledger:
        await eventually(lambda: not ledger.missing)
        yield ledger


async def answer(producer: AIOKafkaProducer, settings: Settings, upload: str, width: int = 1) -> None:
    """Answer an upload; the width tells one answer from another."""
    value, headers = encode(
        Prediction(upload, "done", NOON, width, 1), kind="maskwatch.prediction.v1", source="/x", id=upload, time=NOON
    )
    await put(producer, settings, Name.PREDICTIONS, upload, value, headers)


async def width(ledger: Ledger, upload: str) -> int | None:
    found = await ledger.find(upload)
    return None if found is None else found.width


async def test_who_waits_gets_the_first_answer_and_so_does_who_asks_later(
    ours: Settings, producer: AIOKafkaProducer
) -> None:
    async with indexed(ours) as ledger:
        with ledger.waiting("u1") as first, ledger.waiting("u1") as second:
            await answer(producer, ours, "u1", 5)
            async with asyncio.timeout(10):
                assert (await first).width == (await second).width == 5
        await answer(producer, ours, "u1", 6)
        await answer(producer, ours, "u2")
        await eventually(lambda: ledger.find("u2"))
        assert await width(ledger, "u1") == 5
        with ledger.waiting("u1") as known:
            assert known.result().width == 5
        assert await width(ledger, "unknown") is None


async def test_another_process_finds_old_answers_without_reading_everything_again(
    ours: Settings, producer: AIOKafkaProducer
) -> None:
    async with indexed(ours) as ledger:
        for number in range(20):
            await answer(producer, ours, f"u{number}", 7)
            await answer(producer, ours, f"u{number}", 8)
        await eventually(lambda: ledger.find("u19"))
    async with indexed(ours) as another:
        assert not another._recent
        assert [await width(another, f"u{number}") for number in range(20)] == [7] * 20


async def test_what_was_answered_while_nobody_followed_is_known_before_it_is_promised(
    ours: Settings, producer: AIOKafkaProducer
) -> None:
    async with indexed(ours):
        pass
    await answer(producer, ours, "u1", 3)
    async with indexed(ours) as ledger:
        assert await width(ledger, "u1") == 3


async def test_an_index_that_was_lost_is_made_again_from_the_topics(
    ours: Settings, producer: AIOKafkaProducer, valkey: Valkey
) -> None:
    await publish(producer, ours, Upload("u1", Jpeg(b"picture", 1, 1), "ab" * 32, NOON))
    async with indexed(ours) as ledger:
        await answer(producer, ours, "u1", 3)
        await eventually(lambda: ledger.find("u1"))
        await asyncio.to_thread(valkey.kill)
        await asyncio.to_thread(valkey.start)
        # With the next answer it is noticed that everything is gone.
        await answer(producer, ours, "u2", 4)
        async with aclosing(ValkeyIndex(ours)) as index:
            await eventually(lambda: index.place("u1"))
            await eventually(lambda: index.place("u2"))
            assert await index.claim("u1", "ab" * 32) is Claim.PUBLISHED
            assert await index.claim("u1", "cd" * 32) is Claim.CONFLICT
        await eventually(lambda: not ledger.missing)


async def test_while_valkey_is_away_who_waits_is_answered(
    ours: Settings, producer: AIOKafkaProducer, valkey: Valkey
) -> None:
    async with indexed(ours) as ledger:
        await asyncio.to_thread(valkey.kill)
        for upload in ("u1", "u2"):
            with ledger.waiting(upload) as waiting:
                await answer(producer, ours, upload, 9)
                async with asyncio.timeout(30):
                    assert (await waiting).width == 9
        assert "Valkey" in ledger.missing
        with pytest.raises(StoreError):
            await ledger.find("unknown")
        await asyncio.to_thread(valkey.start)
        await eventually(lambda: not ledger.missing)
    async with indexed(ours) as another:
        assert await width(another, "u1") == 9


async def test_without_valkey_from_the_start_answers_come_all_the_same(
    ours: Settings, producer: AIOKafkaProducer, valkey: Valkey
) -> None:
    await asyncio.to_thread(valkey.kill)
    async with following(ours) as ledger:
        await eventually(lambda: "Valkey" in ledger.missing)
        with ledger.waiting("u1") as waiting:
            await answer(producer, ours, "u1", 2)
            async with asyncio.timeout(30):
                assert (await waiting).width == 2


async def test_malformed_answers_are_skipped(ours: Settings, producer: AIOKafkaProducer) -> None:
    async with indexed(ours) as ledger:
        await put(producer, ours, Name.PREDICTIONS, "u1", b"{")
        await answer(producer, ours, "u1", 2)
        await eventually(lambda: ledger.find("u1"))


async def test_a_kafka_that_is_away_is_said_and_waited_for(
    own_broker: Kafka, valkey: Valkey, create_topics: CreateTopics
) -> None:
    settings = own_broker.settings(valkey={"url": valkey.url}, kafka={"timeout_s": 2})
    await create_topics(settings, *TOPICS)
    await asyncio.to_thread(own_broker.kill)
    async with following(settings) as ledger:
        await eventually(lambda: "Kafka at" in ledger.missing)
        await asyncio.to_thread(own_broker.start)
        await eventually(lambda: not ledger.missing)


async def test_what_was_begun_and_what_was_published_are_told_apart(ours: Settings) -> None:
    async with aclosing(ValkeyIndex(ours)) as index:
        assert await index.claim("u1", "a") is Claim.NEW
        assert await index.claim("u1", "a") is Claim.BEGUN
        await index.publish({"u1": "a"})
        assert await index.claim("u1", "a") is Claim.PUBLISHED
        assert await index.claim("u1", "b") is Claim.CONFLICT
        assert await index.knows("u1")
        assert not await index.knows("u2")
        assert await index.place("u1") is None
        with pytest.raises(StoreError, match="lost the uploads"):
            await index.answer([("u1", Place(0, 1))], {0: 2})
        await index.begin({0: 0})
        assert await index.answer([("u1", Place(0, 1)), ("u1", Place(0, 2))], {0: 3}) == [True, False]
        assert await index.answer([("u1", Place(0, 1))], {0: 2}) == [True]
        assert await index.place("u1") == Place(0, 1)
        assert (await index.read_until())[0] == 2
