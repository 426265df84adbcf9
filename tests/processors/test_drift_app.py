"""The drift monitor as it runs: a process, or two, on a real Kafka."""

import asyncio
import signal
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from faust.types import TP

from maskwatch import kafka as clients
from maskwatch.drift_messages import CameraWindow, Episode, read_label_request_headers
from maskwatch.kafka import Record
from maskwatch.label_messages import FrameLabel, Proposal
from maskwatch.messages import DeadLetter, Detection, FrameInfo, MarkedFace, decode, encode, frame_headers
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count
from processors import app as app_module
from tests.support.seen import Seen, World
from tests.support.stack import CreateTopics, Kafka
from tests.support.stage import Stage, stages
from tests.support.topic import put, read_all, read_until
from tests.support.traffic import GOLDEN, HEIGHT, WIDTH
from tests.support.waiting import eventually

QUICK = {
    "reference": 60, "least": 10, "most": 40, "every": 5, "persist": 2, "budget": 1000, "summary_s": 20,
    "confirm_labels": 5,
}  # fmt: skip
"""Small counts: the logic is the same, and a test need not send a month."""

TOPICS = (Name.DETECTIONS, Name.DETECTIONS_DLQ, Name.DRIFT, Name.DRIFT_STATE, Name.SIGNALS, Name.LABELS)
DARK = World(light=0.3)


@pytest.fixture
async def quick(kafka: Kafka, create_topics: CreateTopics) -> Settings:
    settings = kafka.settings(drift=QUICK)
    await create_topics(settings, *TOPICS)
    return settings


def labelled(detection: Detection, *, right: bool = True, state: str = "labelled") -> FrameLabel:
    """Let somebody label the frame of a detection: as the model saw it, or as if every mask were none and back."""
    turned = {"with_mask": "without_mask", "without_mask": "with_mask"}
    faces = tuple(
        MarkedFace(face.label if right else turned[face.label], face.box)  # type: ignore[arg-type]
        for face in detection.objects
    )
    frame = detection.frame
    return FrameLabel(
        frame.id, state, datetime.now(UTC), "ann", faces=faces, source=frame.camera,  # type: ignore[arg-type]
        captured=frame.captured, proposal=Proposal(detection.model, detection.objects, "random"),
    )  # fmt: skip


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
            await put(self._producer, self._settings, Name.DETECTIONS, detection.frame.camera, value, headers)

    async def say(self, labels: Iterable[FrameLabel]) -> None:
        """Write labels as the API does."""
        for label in labels:
            value, headers = encode(label, kind="maskwatch.label.v1", source="/t", id=label.frame, time=label.at)
            await put(self._producer, self._settings, Name.LABELS, label.frame, value, headers)


def episodes(records: Iterable[Record]) -> list[Episode]:
    return [decode(record.value, Episode) for record in records]


async def test_a_camera_that_becomes_dark_raises_one_episode_and_ends_it_when_it_is_light_again(
    quick: Settings,
) -> None:
    async with stages(Stage("drift", quick)), clients.running(clients.durable_producer(quick), quick) as producer:
        sender, door = Sender(producer, quick), Seen()
        light, dark = list(door.many(100)), list(door.many(40, DARK))
        await sender.send(light)
        await sender.say(labelled(one) for one in light[:90] if one.objects)
        await sender.send(dark)
        (first,) = episodes(await read_until(quick, Name.DRIFT, bool))[:1]
        assert (first.camera, first.kind, first.phase) == ("door", "input", "start")
        assert "became darker" in first.text
        assert first.before is not None
        assert first.before.captured < first.since <= first.started
        await sender.send(door.many(60))
        told = episodes(await read_until(quick, Name.DRIFT, lambda records: episodes(records)[-1].phase == "end"))
        assert {episode.id for episode in told} == {first.id}
        assert told[-1].reason == "recovered"
        windows = [decode(record.value, CameraWindow) for record in await read_all(quick, Name.SIGNALS)]
        assert {window.state for window in windows} == {"learning", "watching", "drifting"}
        # People label its frames once it has ended, and do not agree with the model any more.
        wrong = [one for one in dark if one.objects and one.frame.captured >= first.started]
        await sender.say(labelled(one, right=False) for one in wrong)
        told = episodes(await read_until(quick, Name.DRIFT, lambda records: confirmed(records) == len(wrong)))
        said = told[-1].confirmation
        assert said is not None
        assert (told[-1].phase, told[-1].reason, said.confirmed) == ("end", "recovered", True)
        assert said.text.startswith(f"confirmed by {len(wrong)} labels: quality 1.00 → 0.00")
        # What is erased speaks no more.
        await sender.say(labelled(one, state="erased") for one in wrong)
        await read_until(quick, Name.DRIFT, lambda records: len(records) > len(told) and not confirmed(records))


def confirmed(records: Iterable[Record]) -> int:
    """Return how many labels there are of the newest episode."""
    said = episodes(records)[-1].confirmation
    return said.labels if said is not None else 0


async def test_a_worker_that_is_killed_is_followed_by_another_that_knows_what_it_knew(quick: Settings) -> None:
    cameras = [Seen(name, seed) for seed, name in enumerate(("door", "yard", "hall", "gate", "lift", "roof"))]
    first, second = Stage("drift", quick), Stage("drift", quick)
    async with stages(first, second), clients.running(clients.durable_producer(quick), quick) as producer:
        sender = Sender(producer, quick)
        for camera in cameras:
            await sender.send(camera.many(90))
        await read_until(quick, Name.SIGNALS, lambda records: len(learnt(records)) == len(cameras))
        # Of a partition of which nothing is committed yet the next worker begins with what comes then.
        await eventually(lambda: committed(quick, len(cameras) * 90))
        first.signal(signal.SIGKILL)
        again = []
        for camera in cameras:
            again += list(camera.many(30, DARK))
        await sender.send(again)
        # What a rebalance delivers again is known already.
        await sender.send(again)
        told = episodes(await read_until(quick, Name.DRIFT, lambda records: len(opened(records)) == len(cameras)))
        assert all(episode.kind == "input" for episode in told)
        # Nobody began to learn again, and nobody told of the same twice.
        assert len({episode.id for episode in told}) == len(cameras)
        windows = [decode(record.value, CameraWindow) for record in await read_all(quick, Name.SIGNALS)]
        last = {window.camera: window for window in sorted(windows, key=lambda window: window.end)}
        assert {window.state for window in last.values()} <= {"watching", "drifting"}
        # It ends in order, and hands over what it knows.
        second.signal(signal.SIGTERM)
        assert await second.ended() == 0


async def test_where_nothing_is_committed_yet_it_goes_back_to_the_beginning(
    quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "COMMIT_S", 3600.0)
    async with clients.running(clients.durable_producer(quick), quick) as producer:
        app, _, _ = app_module.make_app(quick, producer)
        await app.start()
        try:
            await Sender(producer, quick).send(Seen().many(30))
            await read_until(quick, Name.SIGNALS, lambda records: len(records) == 2)
            topic = f"{quick.kafka.topic_prefix}{Name.DETECTIONS}"
            places = [TP(topic, partition) for partition in range(partition_count(Name.DETECTIONS))]

            async def has_read(count: int) -> bool:
                return sum([await app.consumer.position(place) or 0 for place in places]) == count

            await eventually(lambda: has_read(30))
            # As while partitions change hands.
            app.flow_control.suspend()
            app.consumer.stop_flow()
            await app.consumer.perform_seek()
            assert await has_read(0)
            # What is read again is known already.
            app.flow_control.resume()
            app.consumer.resume_flow()
            await Sender(producer, quick).send(Seen().many(40))
            windows = await read_until(quick, Name.SIGNALS, lambda records: len(records) == 3)
            assert [decode(record.value, CameraWindow).frames for record in windows] == [10, 10, 10]
        finally:
            await app.stop()


async def committed(settings: Settings, count: int) -> bool:
    """Tell whether the monitor is done with so many detections, for good."""
    admin = AIOKafkaAdminClient(**clients.connection_options(settings))
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(f"{settings.kafka.topic_prefix}drift")
    finally:
        await admin.close()
    topic = f"{settings.kafka.topic_prefix}{Name.DETECTIONS}"
    return bool(sum(max(0, at.offset) for place, at in found.items() if place.topic == topic) == count)


def learnt(records: Iterable[Record]) -> set[str]:
    windows = (decode(record.value, CameraWindow) for record in records)
    return {window.camera for window in windows if window.learned >= 1}


def opened(records: Iterable[Record]) -> set[str]:
    return {episode.camera for episode in episodes(records)}


async def test_what_cannot_be_read_is_a_dead_letter_and_stops_nothing(quick: Settings) -> None:
    async with stages(Stage("drift", quick)), clients.running(clients.durable_producer(quick), quick) as producer:
        sender, door = Sender(producer, quick), Seen()
        await put(producer, quick, Name.DETECTIONS, "door", b"{no json", [("ce_id", b"x")])
        await put(producer, quick, Name.DETECTIONS, "door", b"")
        # Its dead letter would be larger than a record may be.
        await put(producer, quick, Name.DETECTIONS, "door", b"", [("x", bytes(999_800))])
        await sender.send(door.many(100))
        late = list(door.many(3))
        door.at += timedelta(days=2)
        await sender.send(door.many(30, DARK))
        await sender.send(late)
        first = episodes(await read_until(quick, Name.DRIFT, bool))[0]
        assert first.camera == "door"
        letters = await read_all(quick, Name.DETECTIONS_DLQ)
        assert [record.value for record in letters] == [b"{no json", b"", b""]
        headers = dict(letters[0].headers)
        assert headers["ce_id"] == b"x"
        assert "not a Detection" in decode(headers["refused"], DeadLetter).reason


async def test_a_frame_worth_a_label_is_asked_for_with_its_picture_and_one_that_is_gone_is_replaced(
    kafka: Kafka, create_topics: CreateTopics
) -> None:
    settings = kafka.settings(drift=QUICK, sampling={"per_day": 24, "random_share": 1.0})
    await create_topics(settings, *TOPICS, Name.FRAMES_LIVE, Name.FRAMES_RECORDING, Name.LABEL_REQUESTS)
    async with (
        stages(Stage("drift", settings)),
        clients.running(clients.durable_producer(settings), settings) as producer,
    ):
        sender, door = Sender(producer, settings), Seen()
        gone, there = door.one(), door.one()
        info = FrameInfo("door", "s1", there.frame.sequence, there.frame.captured, WIDTH, HEIGHT)
        topic = f"{settings.kafka.topic_prefix}{Name.FRAMES_LIVE}"
        written = await producer.send_and_wait(topic, GOLDEN, key=b"door", headers=frame_headers(info))
        place = {"topic": topic, "partition": written.partition}
        lost = msgspec.structs.replace(gone.frame, **place, offset=written.offset + 1000)
        found = msgspec.structs.replace(there.frame, **place, offset=written.offset)
        await sender.send([msgspec.structs.replace(gone, frame=lost)])
        await read_until(settings, Name.DETECTIONS, bool)
        # The budget is one at a time: without what was given back there would be no second.
        for _ in range(200):
            there = msgspec.structs.replace(
                there, frame=msgspec.structs.replace(found, sequence=door.one().frame.sequence)
            )
            later = msgspec.structs.replace(there.frame, captured=door.at)
            await sender.send([msgspec.structs.replace(there, frame=later)])
            if asked := await read_all(settings, Name.LABEL_REQUESTS):
                break
        (record,) = asked
        request = read_label_request_headers(record.headers)
        assert record.value == GOLDEN
        assert (request.why, request.objects) == ("random", there.objects)
        assert record.key == there.frame.id.encode()


async def test_its_own_state_is_no_stream_that_it_neglects(quick: Settings) -> None:
    # Faust complains after five minutes, as a default, of what it should read and does not.
    stage = Stage("drift", quick, STREAM_PROCESSING_TIMEOUT="1")
    async with stages(stage), clients.running(clients.durable_producer(quick), quick) as producer:
        await Sender(producer, quick).send(Seen().many(100))
        await read_until(quick, Name.DRIFT_STATE, bool)
        # It looks every five seconds.
        await asyncio.sleep(12)
        assert "not started processing" not in stage.log()
