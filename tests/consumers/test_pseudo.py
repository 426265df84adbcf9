"""Labels that a model makes of its own answers: which frames, how many, and that people's stand."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from consumers.dataset import keep_labels
from consumers.pseudo import Policy, Pseudo
from maskwatch import kafka as clients
from maskwatch.label_messages import FrameLabel
from maskwatch.label_settings import LabelSettings
from maskwatch.messages import DetectedFace, Detection, FrameInfo, decode, encode, frame_headers
from maskwatch.settings import Settings
from maskwatch.store import Store, name_of
from maskwatch.topics import Name
from tests.consumers.test_dataset import dataset
from tests.consumers.test_dataset import label as said
from tests.consumers.test_dataset import record as as_record
from tests.support.seen import NOON, Seen
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put, read_all, read_until
from tests.support.traffic import GOLDEN, HEIGHT, WIDTH
from tests.support.waiting import at_work

SURE = (DetectedFace("with_mask", 0.9, (0.1, 0.1, 0.4, 0.6)), DetectedFace("without_mask", 0.81, (0.5, 0.2, 0.7, 0.6)))
UNSURE = (*SURE, DetectedFace("with_mask", 0.8, (0.8, 0.2, 0.9, 0.4)))
RULES = LabelSettings(pseudo=True, pseudo_per_day=4)


def seen(seconds: float, faces: tuple[DetectedFace, ...] = SURE, camera: str = "door") -> Detection:
    one = Seen(camera).one()
    frame = msgspec.structs.replace(
        one.frame, id=f"{camera}:s1:{seconds}", captured=NOON + timedelta(seconds=seconds), width=WIDTH, height=HEIGHT
    )
    return msgspec.structs.replace(one, frame=frame, objects=faces)


def test_frames_are_those_of_whose_every_face_it_is_sure_spread_over_the_day() -> None:
    policy = Policy(RULES)
    assert [policy.wants(seen(0, faces)) for faces in ((), UNSURE)] == [False, False]
    # One whose picture cannot be had is followed by another soon, one that was labelled by a quarter of a day.
    assert [policy.wants(seen(second)) for second in (1, 5, 11)] == [True, False, True]
    policy.labelled(seen(11))
    assert [policy.wants(seen(second)) for second in (30, 21_000, 21_612)] == [False, False, True]
    assert policy.wants(seen(12, camera="yard"))


def test_no_day_has_more_than_may_be() -> None:
    policy, labelled = Policy(RULES), 0
    for second in range(0, 86_400, 60):
        if policy.wants(seen(second)):
            policy.labelled(seen(second))
            labelled += 1
    assert labelled == RULES.pseudo_per_day


def test_a_clock_that_is_set_back_begins_anew() -> None:
    policy = Policy(RULES)
    assert policy.wants(seen(10 * 86_400))
    assert policy.wants(seen(0))


@pytest.fixture
async def settings(kafka: Kafka, create_topics: CreateTopics, tmp_path: Path) -> Settings:
    settings = kafka.settings(
        labels={"pseudo": True, "frozen": None}, store={"url": f"file://{tmp_path}/store"}
    )  # fmt: skip
    await create_topics(settings, Name.LABELS, Name.LABEL_REQUESTS, Name.DETECTIONS, Name.FRAMES_RECORDING)
    return settings


async def test_a_recorded_frame_becomes_a_label_that_says_who_made_it(settings: Settings) -> None:
    info = FrameInfo("door", "s1", 7, NOON, WIDTH, HEIGHT)
    detection = seen(0)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        topic = f"{settings.kafka.topic_prefix}{Name.FRAMES_RECORDING}"
        sent = await producer.send_and_wait(topic, GOLDEN, key=b"door", headers=frame_headers(info))
        there = msgspec.structs.replace(
            detection, frame=msgspec.structs.replace(detection.frame, id=info.id, partition=sent.partition)
        )
        gone = msgspec.structs.replace(
            there, frame=msgspec.structs.replace(there.frame, id="door:s1:99", captured=NOON + timedelta(hours=1))
        )
        store = Store(settings)
        pseudo = Pseudo(settings, store, producer)
        for one in (gone, there, there):
            await pseudo.take(SimpleNamespace(value=msgspec.json.encode(one)))
            pseudo._policy._next.clear()
        await pseudo.take(SimpleNamespace(value=b"?"))
        (first, *_) = [decode(record.value, FrameLabel) for record in await read_all(settings, Name.LABELS)]
        assert (first.frame, first.made_by, first.by) == (info.id, "model", f"{there.model.name} {there.model.version}")
        assert [face.label for face in first.faces] == ["with_mask", "without_mask"]
        assert store.get(first.sha256) == GOLDEN
        # What has a label is left alone.
        store.write_label(info.id, msgspec.json.encode(first))
        before = len(await read_all(settings, Name.LABELS))
        await pseudo.take(SimpleNamespace(value=msgspec.json.encode(there)))
        assert len(await read_all(settings, Name.LABELS)) == before


async def test_the_stage_reads_detections_beside_labels(settings: Settings) -> None:
    info = FrameInfo("door", "s1", 7, NOON, WIDTH, HEIGHT)
    async with (
        at_work(keep_labels, settings),
        clients.running(clients.durable_producer(settings), settings) as producer,
    ):
        topic = f"{settings.kafka.topic_prefix}{Name.FRAMES_RECORDING}"
        sent = await producer.send_and_wait(topic, GOLDEN, key=b"door", headers=frame_headers(info))

        async def labelled() -> bool:
            # From its end on: what comes before it has joined is nobody's.
            one = seen(0)
            frame = msgspec.structs.replace(one.frame, id=info.id, partition=sent.partition)
            value, headers = encode(
                msgspec.structs.replace(one, frame=frame), kind="maskwatch.detection.v1", source="/t",
                id=info.id, time=NOON,
            )  # fmt: skip
            await put(producer, settings, Name.DETECTIONS, "door", value, headers)
            return bool(await read_all(settings, Name.LABELS))

        while not await labelled():
            pass
        (record, *_) = await read_until(settings, Name.LABELS, bool)
        assert decode(record.value, FrameLabel).made_by == "model"


async def test_what_people_say_is_not_replaced_by_what_a_model_says(tmp_path: Path) -> None:
    keeping, store, told = dataset(tmp_path)
    jpeg = b"a" * 50
    store.put(jpeg)

    def by(who: str, **more: Any) -> FrameLabel:  # noqa: ANN401  # its fields
        return said("a", sha256=name_of(jpeg), made_by=who, **more)

    await keeping.take(as_record(by("model", by="m 1")))
    await keeping.take(as_record(by("person")))
    await keeping.take(as_record(by("model", by="m 2")))
    kept = decode(store.read_label("a"), FrameLabel)
    assert kept.made_by == "person"
    # The topic's newest record is the person's again.
    ((topic, frame, value),) = told.records
    assert (topic.endswith("labels.v1"), frame, decode(value, FrameLabel).made_by) == (True, "a", "person")
