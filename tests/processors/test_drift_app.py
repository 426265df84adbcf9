"""The drift monitor as it runs: a process, or two, on a real Kafka."""

import signal
from collections.abc import Iterable
from datetime import timedelta

import pytest

from maskwatch import kafka
from maskwatch.drift_messages import CameraWindow, Episode
from maskwatch.kafka import Record
from maskwatch.messages import DeadLetter, Detection, decode, encode
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support.seen import Seen, World
from tests.support.stack import CreateTopics, Kafka
from tests.support.stage import Stage, stages
from tests.support.topic import put, read_all, read_until
from tests.support.waiting import eventually

QUICK = {
    "reference": 60, "least": 10, "most": 40, "every": 5, "persist": 2, "budget": 1000, "summary_s": 20, "cooldown_s": 0,
}  # fmt: skip
"""Small counts: the logic is the same, and a test need not send a month."""

TOPICS = (Name.DETECTIONS, Name.DETECTIONS_DLQ, Name.DRIFT, Name.DRIFT_STATE, Name.SIGNALS)
DARK = World(light=0.3)


@pytest.fixture
async def quick(kafka: Kafka, create_topics: CreateTopics) -> Settings:
    settings = kafka.settings(drift=QUICK)
    await create_topics(settings, *TOPICS)
    return settings


class Sender:
    """Writes detections as the detector does."""

    def __init__(self, producer: object, settings: Settings) -> None:
        self._producer = producer
        self._settings = settings

    async def send(self, detections: Iterable[Detection]) -> None:
        for detection in detections:
            value, headers = encode(
                detection, kind="maskwatch.detection.v1", source="/t", id=detection.frame.id, time=detection.detected
            )
            await put(self._producer, self._settings, Name.DETECTIONS, detection.frame.camera, value, headers)  # type: ignore[arg-type]


def episodes(records: Iterable[Record]) -> list[Episode]:
    return [decode(record.value, Episode) for record in records]


async def test_a_camera_that_becomes_dark_raises_one_episode_and_ends_it_when_it_is_light_again(quick: Settings) -> None:
    async with stages(Stage("drift", quick)), kafka.running(kafka.durable_producer(quick), quick) as producer:
        sender, door = Sender(producer, quick), Seen()
        await sender.send(door.many(100))
        await sender.send(door.many(40, DARK))
        (first,) = episodes(await read_until(quick, Name.DRIFT, bool))[:1]
        assert (first.camera, first.kind, first.phase) == ("door", "input", "start")
        assert "became darker" in first.text
        assert first.before is not None
        assert first.before.captured < first.since <= first.started
        await sender.send(door.many(60))
        told = episodes(
            await read_until(quick, Name.DRIFT, lambda records: episodes(records)[-1].phase == "end")
        )
        assert {episode.id for episode in told} == {first.id}
        assert told[-1].reason == "recovered"
        windows = [decode(record.value, CameraWindow) for record in await read_all(quick, Name.SIGNALS)]
        assert {window.state for window in windows} == {"learning", "watching", "drifting"}
