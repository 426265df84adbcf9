"""Recorded frames as a condition of the gate: what is read, and what is made of it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from maskwatch import kafka as clients
from maskwatch.messages import DetectedFace, FrameInfo, frame_headers
from maskwatch.settings import Settings
from maskwatch.side_by_side import Pair
from maskwatch.topics import Name
from tests.support.models import SHIPPED, another
from tests.support.seen import NOON
from tests.support.stack import CreateTopics, Kafka
from tests.support.traffic import GOLDEN, HEIGHT, WIDTH
from training.shadowing import NAME, judged, recorded, shadow

FACE = DetectedFace("with_mask", 0.9, (0.1, 0.1, 0.3, 0.4))
OTHER = DetectedFace("with_mask", 0.8, (0.5, 0.1, 0.7, 0.4))


def pairs(count: int, first: int, second: int) -> list[Pair]:
    faces = [FACE, OTHER]
    return [
        Pair("door", NOON + timedelta(minutes=number), faces[:first], faces[:second]) for number in range(count)
    ]  # fmt: skip


def test_a_candidate_that_loses_faces_fails_and_one_that_finds_as_many_passes() -> None:
    settings = Settings()
    same = judged(pairs(40, 2, 2), settings)
    assert (same.outcome, same.value, same.why) == (
        "passed", 0.0, "40 frames of 1 cameras: 80 faces, the champion 80; 40 frames the same, 0 not; agreement 1.00"
    )  # fmt: skip
    half = judged(pairs(40, 1, 2), settings)
    assert (half.outcome, half.value, half.stops) == ("failed", 0.5, True)
    assert "0 frames the same, 40 not" in half.why
    # A few fewer may be right.
    few = judged([*pairs(36, 2, 2), *pairs(4, 1, 2)], settings)
    assert few.outcome == "passed"
    assert few.value == pytest.approx(0.05)
    assert few.low is not None
    assert few.low < 0.05


def test_what_cannot_be_told_is_said_and_stops_nobody() -> None:
    settings = Settings()
    for given, why in ((pairs(19, 2, 2), "19 recorded frames, 20"), (pairs(40, 1, 0), "no face on 40 recorded frames")):
        condition = judged(given, settings)
        assert (condition.name, condition.outcome, condition.stops) == (NAME, "not judged", False)
        assert why in condition.why


async def test_frames_are_read_from_all_cameras_and_the_whole_time_and_both_look_at_them(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path
) -> None:
    settings = kafka.settings()
    await create_topics(settings, Name.FRAMES_RECORDING)
    assert await recorded(settings, 20) == []
    topic = f"{settings.kafka.topic_prefix}{Name.FRAMES_RECORDING}"
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for camera in ("door", "yard"):
            for number in range(50):
                info = FrameInfo(camera, "s1", number, NOON + timedelta(seconds=number), WIDTH, HEIGHT)
                await producer.send_and_wait(topic, GOLDEN, key=camera.encode(), headers=frame_headers(info))
        await producer.send_and_wait(topic, b"?", key=b"door", headers=[])
    found = await recorded(settings, 20)
    by_camera = {camera: [info.sequence for info, _ in found if info.camera == camera] for camera in ("door", "yard")}
    assert by_camera["yard"] == list(range(0, 50, 5))
    assert len(by_camera["door"]) == 10
    assert {jpeg for _, jpeg in found} == {GOLDEN}
    # Both look at them: the same weights see the same.
    few = settings.model_copy(update={"gate": settings.gate.model_copy(update={"shadow_frames": 20})})
    new = another(tmp_path / "new", "new")
    condition = await asyncio.to_thread(shadow, new, SHIPPED, few, lambda _, __: None)
    assert (condition.outcome, condition.value, condition.stops) == ("passed", 0.0, False)
    assert "20 frames of 2 cameras" in condition.why
    assert "20 frames the same, 0 not" in condition.why


def test_without_kafka_it_is_not_judged(tmp_path: Path) -> None:
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": "127.0.0.1:9", "timeout_s": 1}})
    condition = shadow(another(tmp_path / "new", "new"), SHIPPED, settings, lambda _, __: None)
    assert (condition.outcome, "127.0.0.1:9" in condition.why) == ("not judged", True)
