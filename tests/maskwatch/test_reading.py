"""One record by its offset, from a real Kafka."""

import pytest
from aiokafka import TopicPartition

from maskwatch import kafka as clients
from maskwatch import reading
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support.stack import CreateTopics


async def test_a_record_is_waited_for_for_as_long_as_the_broker_gives_nothing(
    settings: Settings, create_topics: CreateTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_topics(settings, Name.SCENE)
    place = TopicPartition(f"{settings.kafka.topic_prefix}{Name.SCENE}", 0)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for value in (b"first", b"second", b"third"):
            await producer.send_and_wait(place.topic, key=value, value=value, partition=0)
    # So soon nothing has come yet, as from a broker that is busy.
    monkeypatch.setattr(reading, "POLL_MS", 1)
    second = await reading.record_at(settings, place, 1)
    assert second is not None
    assert (second.offset, second.value) == (1, b"second")
    assert await reading.record_at(settings, place, 3) is None, "it is not written yet"
