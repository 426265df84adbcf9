import asyncio
import contextlib

import pytest

from maskwatch import kafka as clients
from maskwatch import topics
from maskwatch.embedded import sharing
from maskwatch.errors import BrokerError
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.maskwatch.test_topics import configuration, gone, topic
from tests.support.stack import Kafka
from tests.support.waiting import eventually

GB = 10**9
SHARED = (Name.FRAMES_RECORDING, Name.SIGNALS, Name.CAMERAS)


@pytest.fixture
async def sized(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of a cluster whose topics were made for a disk of 100 GB."""
    settings = kafka.settings()
    monkeypatch.setattr(sharing, "disk_budget", lambda _settings, _held: 100 * GB)
    await topics.ensure(settings, 100 * GB, [topic(name) for name in SHARED])
    return settings


async def fill(settings: Settings, partitions: int) -> None:
    name = f"{settings.kafka.topic_prefix}{Name.FRAMES_RECORDING}"
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for partition in range(partitions):
            await producer.send_and_wait(name, b"a frame", partition=partition)


async def cap(settings: Settings, name: Name = Name.FRAMES_RECORDING) -> int:
    return int((await configuration(settings, name))[sharing.CAP])


async def becomes(settings: Settings, wanted: int) -> None:
    """Wait until the broker has heard of a cap."""

    async def has() -> bool:
        return await cap(settings) == wanted

    await eventually(has)


async def test_one_camera_has_half_of_its_topics_share_and_others_that_come_have_theirs(sized: Settings) -> None:
    before = await configuration(sized, Name.FRAMES_RECORDING)
    assert int(before[sharing.CAP]) == 40 * GB // 32
    for used, sharers in ((1, 2), (7, 8), (32, 32)):
        await fill(sized, used)
        changed = await sharing.share(sized)
        assert changed[f"{sized.kafka.topic_prefix}{Name.FRAMES_RECORDING}"] == 40 * GB // sharers
        await becomes(sized, 40 * GB // sharers)
        # Nothing has changed since.
        assert await sharing.share(sized) == {}
    # All else that was set for the topic is as it was; what has no share of the disk has no cap.
    assert await configuration(sized, Name.FRAMES_RECORDING) == before
    assert await cap(sized, Name.CAMERAS) == -1


async def test_a_cap_that_somebody_has_taken_away_stays_away(sized: Settings) -> None:
    name = f"{sized.kafka.topic_prefix}{Name.FRAMES_RECORDING}"
    async with clients.administering(sized) as admin:
        await sharing._set(admin, {name: {"retention.ms": "1000"}})
    await becomes(sized, -1)
    assert name not in await sharing.share(sized)


async def test_a_broker_that_refuses_is_quoted(sized: Settings) -> None:
    name = f"{sized.kafka.topic_prefix}{Name.SIGNALS}"
    async with clients.administering(sized) as admin:
        with pytest.raises(BrokerError, match=rf"byte cap of topic {name} cannot be set: InvalidConfig\w+ .*much"):
            await sharing._set(admin, {name: {sharing.CAP: "much"}})


async def test_where_no_topic_is_nothing_is_set(kafka: Kafka) -> None:
    assert await sharing.share(kafka.settings()) == {}


async def test_it_is_shared_again_and_again_also_after_the_broker_was_away(
    sized: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "EVERY_S", 0.05)
    answers = iter([gone()])
    share = sharing.share

    async def first_nobody(settings: Settings) -> dict[str, int]:
        return await share(next(answers, settings))

    monkeypatch.setattr(sharing, "share", first_nobody)
    await fill(sized, 1)
    task = asyncio.create_task(sharing.keep_sharing(sized))
    try:
        await becomes(sized, 20 * GB)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
