"""A detector worker that dies, is asked to end, freezes, or is joined by others; cameras go on meanwhile."""

import signal
import time

import pytest

from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.faults.conftest import Figure
from tests.support.stack import CreateTopics, Kafka
from tests.support.stage import Stage, stages, until
from tests.support.traffic import traffic

TOPICS = (Name.FRAMES_LIVE, Name.FRAMES_UPLOAD, Name.DETECTIONS, Name.PREDICTIONS, Name.FRAMES_LIVE_DLQ)
CAMERAS = ("door", "yard", "gate", "hall")


@pytest.fixture
async def ready(settings: Settings, create_topics: CreateTopics, kafka: Kafka) -> Settings:
    await create_topics(settings, *TOPICS)
    return settings


async def test_the_partitions_of_a_killed_worker_are_taken_over(ready: Settings, figure: Figure) -> None:
    async with (
        stages(Stage("detector", ready), Stage("detector", ready)) as (first, _),
        traffic(ready, CAMERAS) as (
            _,
            seen,
        ),
    ):
        await until(lambda: {a.detection.frame.camera for a in seen.arrivals} == set(CAMERAS), 60, "all are detected")
        first.signal(signal.SIGKILL)
        killed = time.time()
        await until(
            lambda: {a.detection.frame.camera for a in seen.since(killed + 1)} == set(CAMERAS), 40, "all are back"
        )
        back = max(
            min(a.at for a in seen.since(killed + 1) if a.detection.frame.camera == camera) for camera in CAMERAS
        )
    figure("every camera is detected again after", back - killed, "s", most=15)
    # Committed once a second, so that much is looked at again; the ids are the same, so readers take it for one.
    figure("detections repeated", len(seen.duplicates()), "", most=2 * 5 * len(CAMERAS))
