import time
from datetime import UTC, datetime
from types import SimpleNamespace

import structlog

from maskwatch import kafka
from maskwatch.messages import FrameInfo
from maskwatch.settings import Settings
from maskwatch.topics import Name
from producers.publishing import FramePublisher
from tests.support.stack import CreateTopics


async def test_a_clock_that_is_not_kafkas_is_told_once_and_so_is_its_return(
    settings: Settings, create_topics: CreateTopics
) -> None:
    await create_topics(settings, Name.FRAMES_LIVE)
    clock = SimpleNamespace(ahead_s=0.0)
    said = []
    with structlog.testing.capture_logs() as logs:
        async with kafka.running(kafka.live_producer(settings), settings) as producer:
            frames = FramePublisher(producer, settings, lambda: time.time() + clock.ahead_s)
            for number, clock.ahead_s in enumerate((0.0, 3600.0, 3600.0, 0.0, -60.0)):
                info = FrameInfo("door", "s", number, datetime.now(UTC), 8, 8)
                assert await frames.publish(info, b"\xff\xd8", record=False)
                said.append([(log["log_level"], round(log.get("ahead_s", 0), -1)) for log in logs])
                logs.clear()
    assert said == [[], [("warning", 3600)], [], [("info", 0)], [("warning", -60)]]
