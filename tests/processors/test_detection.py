"""The detector worker on a real Kafka, with the model that is shipped."""

import asyncio
import struct
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer

from maskwatch import kafka as clients
from maskwatch import metrics
from maskwatch.boxes import iou
from maskwatch.inference import Detected, Detector, Refused
from maskwatch.kafka import Record
from maskwatch.messages import LARGEST_JPEG, DeadLetter, Detection, FrameInfo, Prediction, decode, frame_headers
from maskwatch.model import ShapeName, read_card
from maskwatch.pictures import jpeg_size
from maskwatch.settings import Settings
from maskwatch.topics import Name
from processors.detection import detect
from processors.serving import Serving
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put, read_all, read_until
from tests.support.waiting import eventually

TOPICS = (
    Name.FRAMES_LIVE,
    Name.FRAMES_UPLOAD,
    Name.DETECTIONS,
    Name.PREDICTIONS,
    Name.FRAMES_LIVE_DLQ,
    Name.FRAMES_UPLOAD_DLQ,
)
PATIENT = {"age_budget_s": 30, "seek_after_s": 60}
"""On a busy machine a frame may wait for seconds; these tests are not about that."""

MODEL = Settings().detector.model
CARD = read_card(MODEL)
GOLDEN = (MODEL / CARD.golden.path).read_bytes()
WIDTH, HEIGHT = jpeg_size(GOLDEN, 10**9)
HEADER = GOLDEN.index(b"\xff\xc0")
HUNDRED_MEGAPIXELS = GOLDEN[: HEADER + 5] + struct.pack(">HH", 10_000, 10_000) + GOLDEN[HEADER + 9 :]


class Slow:
    """A picture that is looked at until it is released."""

    def __init__(self) -> None:
        self.jpeg = GOLDEN + b"slow"
        self.began = threading.Event()
        self.released = threading.Event()


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    running = asyncio.create_task(detect(settings, stop))
    try:
        yield running
    finally:
        stop.set()
        await asyncio.wait_for(running, 25)


async def put_frame(producer: AIOKafkaProducer, settings: Settings, camera: str, sequence: int, jpeg: bytes) -> None:
    info = FrameInfo(camera, "s1", sequence, datetime.now(UTC), WIDTH, HEIGHT)
    await put(producer, settings, Name.FRAMES_LIVE, camera, jpeg, frame_headers(info))


async def detected(
    producer: AIOKafkaProducer, settings: Settings, camera: str, jpeg: bytes = GOLDEN, *, sequences: range = range(200)
) -> Detection:
    """Publish frames until one is detected, as a camera does: a worker that just joined begins at the end."""
    reading = asyncio.create_task(
        read_until(settings, Name.DETECTIONS, lambda records: records[-1].key == camera.encode())
    )
    for sequence in sequences:
        await put_frame(producer, settings, camera, sequence, jpeg)
        done, _ = await asyncio.wait([reading], timeout=0.3)
        if done:
            break
    return decode((await reading)[-1].value, Detection)


async def test_a_frame_becomes_a_detection_that_names_frame_and_model(
    kafka: Kafka, create_topics: CreateTopics
) -> None:
    settings = kafka.settings(detector=PATIENT)
    await create_topics(settings, *TOPICS)
    async with worker(settings), clients.running(clients.durable_producer(settings), settings) as producer:
        detection = await detected(producer, settings, "door-2")
    frame = detection.frame
    assert frame.id == f"door-2:s1:{frame.sequence}"
    assert (frame.width, frame.height) == (WIDTH, HEIGHT)
    assert frame.topic == f"{settings.kafka.topic_prefix}{Name.FRAMES_LIVE}"
    assert (detection.model.name, detection.model.version) == (CARD.name, CARD.version)
    assert detection.model.sha256 in {file.identity for file in CARD.files.values()}
    best = CARD.golden.faces["wide"][0]
    assert any(face.label == best.label and iou(face.box, best.box) > 0.7 for face in detection.objects)


async def test_bad_frames_among_good_ones_become_one_dead_letter_each(
    settings: Settings, create_topics: CreateTopics
) -> None:
    bad = {
        "corrupt": GOLDEN[:2000] + bytes(500) + GOLDEN[2500:],
        "truncated": GOLDEN[: len(GOLDEN) // 2],
        "empty": b"",
        "no-jpeg": b"GIF89a" * 100,
        "hundred-megapixels": HUNDRED_MEGAPIXELS,
        "oversized": GOLDEN + bytes(LARGEST_JPEG - len(GOLDEN) + 1),
    }
    await create_topics(settings, *TOPICS)
    async with worker(settings), clients.running(clients.durable_producer(settings), settings) as producer:
        await detected(producer, settings, "before")
        for number, (camera, jpeg) in enumerate(bad.items()):
            await put_frame(producer, settings, camera, 0, jpeg)
            await put_frame(producer, settings, f"good-{number}", 0, GOLDEN)
        wrong_size = frame_headers(FrameInfo("wrong-size", "s1", 0, datetime.now(UTC), WIDTH + 1, HEIGHT))
        await put(producer, settings, Name.FRAMES_LIVE, "wrong-size", GOLDEN, wrong_size)
        await put(producer, settings, Name.FRAMES_LIVE, "no-headers", GOLDEN)
        letters = await read_until(settings, Name.FRAMES_LIVE_DLQ, lambda records: len(records) == len(bad) + 2)
        await detected(producer, settings, "after")
    reasons = {(record.key or b"").decode(): refusal(record) for record in letters}
    assert set(reasons) == {*bad, "wrong-size", "no-headers"}
    assert "10000x10000" in reasons["hundred-megapixels"].reason
    assert f"{WIDTH + 1}x{HEIGHT}" in reasons["wrong-size"].reason
    assert "content-type" in reasons["no-headers"].reason
    assert reasons["empty"].reason == "empty"
    assert "bytes are more than 900000" in reasons["oversized"].reason
    assert [record.value for record in letters] == [b""] * len(letters)  # metadata only
    good = {d.frame.camera: d for d in await all_detections(settings)}
    assert {f"good-{number}" for number in range(len(bad))} <= set(good)
    assert not set(bad) & set(good)
    # No pixel of a bad neighbour: the good frames are the same picture, so they have the same answer.
    assert len({good[f"good-{number}"].objects for number in range(len(bad))}) == 1
    assert len(await read_all(settings, Name.FRAMES_LIVE_DLQ)) == len(bad) + 2


async def test_every_upload_is_answered_and_a_bad_one_says_why(kafka: Kafka, create_topics: CreateTopics) -> None:
    settings = kafka.settings(detector=PATIENT)
    await create_topics(settings, *TOPICS)
    uploads = {f"upload-{number}": GOLDEN for number in range(12)} | {"bad": GOLDEN[:900]}
    before = uploads_looked_at()
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for key, jpeg in uploads.items():  # before there is any worker
            await put(producer, settings, Name.FRAMES_UPLOAD, key, jpeg)
        async with worker(settings):
            await read_until(settings, Name.PREDICTIONS, lambda records: len(records) == len(uploads))
        async with worker(settings):  # what was answered is not answered again
            await put(producer, settings, Name.FRAMES_UPLOAD, "one-more", GOLDEN)
            records = await read_until(settings, Name.PREDICTIONS, lambda records: len(records) == len(uploads) + 1)
    predictions = [decode(record.value, Prediction) for record in records]
    assert sorted(prediction.upload for prediction in predictions) == sorted([*uploads, "one-more"])
    by_upload = {prediction.upload: prediction for prediction in predictions}
    assert by_upload["bad"].status == "failed"
    assert by_upload["bad"].reason is not None
    done = [prediction for prediction in predictions if prediction.upload != "bad"]
    assert all(p.status == "done" and p.objects and (p.width, p.height) == (WIDTH, HEIGHT) for p in done)
    (letter,) = await read_all(settings, Name.FRAMES_UPLOAD_DLQ)
    assert (letter.key, letter.value) == (b"bad", GOLDEN[:900])  # uploads keep their bytes
    assert refusal(letter).reason == by_upload["bad"].reason
    assert uploads_looked_at() - before == len(done)


async def test_an_upload_larger_than_its_dead_letter_may_be_is_answered_and_holds_nobody_up(
    kafka: Kafka, create_topics: CreateTopics
) -> None:
    settings = kafka.settings(detector=PATIENT)
    await create_topics(settings, *TOPICS)
    large, long_key = GOLDEN + bytes(1_020_000 - len(GOLDEN)), "k" * 400_000
    # As somebody else's program may write them: ours takes no such record.
    anybody = AIOKafkaProducer(**clients.connection_options(settings), max_request_size=2**21)
    async with worker(settings), clients.running(anybody, settings) as producer:
        await put(producer, settings, Name.FRAMES_UPLOAD, "large", large)
        await put(producer, settings, Name.FRAMES_UPLOAD, "headers", b"no picture", [("x", bytes(1_000_000))])
        await put(producer, settings, Name.FRAMES_UPLOAD, long_key, b"no picture")
        answers = await read_until(settings, Name.PREDICTIONS, lambda records: len(records) == 3)
    assert {decode(answer.value, Prediction).status for answer in answers} == {"failed"}
    letters = {letter.key: letter for letter in await read_all(settings, Name.FRAMES_UPLOAD_DLQ)}
    assert letters.keys() == {b"large", b"headers", b"k" * 200}
    assert (letters[b"large"].value, refusal(letters[b"large"]).size) == (b"", len(large))
    assert letters[b"headers"].value == b"no picture"
    assert dict(letters[b"headers"].headers).keys() == {"refused"}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    """Let one picture take until it is released."""
    slow, look = Slow(), Detector.look

    def look_slowly(self: Detector, jpegs: Sequence[bytes], shape: ShapeName) -> list[Detected | Refused]:
        if slow.jpeg in jpegs:
            slow.began.set()
            assert slow.released.wait(60)
        return look(self, jpegs, shape)

    monkeypatch.setattr(Detector, "look", look_slowly)
    yield slow
    slow.released.set()


async def test_a_slow_picture_keeps_one_thread_busy_and_its_detection_is_still_the_first(
    kafka: Kafka, create_topics: CreateTopics, slow: Slow
) -> None:
    settings = kafka.settings(detector=PATIENT | {"threads": 2})
    await create_topics(settings, *TOPICS)
    async with worker(settings), clients.running(clients.durable_producer(settings), settings) as producer:
        await detected(producer, settings, "before")
        await put_frame(producer, settings, "slow", 0, slow.jpeg)
        assert await asyncio.to_thread(slow.began.wait, 30)
        rounds = rounds_looked_at()
        await put_frame(producer, settings, "quick", 0, GOLDEN)
        await eventually(lambda: rounds_looked_at() > rounds)
        slow.released.set()
        records = await read_until(
            settings, Name.DETECTIONS, lambda found: {b"slow", b"quick"} <= {one.key for one in found}
        )
    # They lie in partitions of their own, which are read in any order.
    sent = {record.key: record.timestamp for record in records}
    assert sent[b"slow"] <= sent[b"quick"]


async def test_the_next_round_may_begin_when_a_thread_has_nothing_left_of_this_one(slow: Slow) -> None:
    settings = Settings.model_validate({"detector": {"threads": 2}})
    detector = Detector(MODEL, settings.detector)
    detector.load("wide")
    serving = Serving(detector, settings)
    try:
        looking = asyncio.create_task(serving.detect([slow.jpeg, GOLDEN, GOLDEN, GOLDEN], "wide"))
        await asyncio.wait_for(serving.until_free(looking, 4, "wide"), 60)
        assert not looking.done()
        slow.released.set()
        _, outcomes = await looking
        assert all(isinstance(outcome, Detected) for outcome in outcomes)
    finally:
        slow.released.set()
        serving.close()


def uploads_looked_at() -> float:
    (metric,) = metrics.FRAMES_DETECTED.collect()
    return sum(one.value for one in metric.samples if one.labels == {"lane": "upload"} and one.name.endswith("_total"))


def rounds_looked_at() -> float:
    (metric,) = metrics.BATCH_FRAMES.collect()
    return next(sample.value for sample in metric.samples if sample.name.endswith("_count"))


async def test_of_a_flood_the_newest_is_looked_at(kafka: Kafka, create_topics: CreateTopics) -> None:
    settings = kafka.settings(detector=PATIENT)
    await create_topics(settings, *TOPICS)
    async with worker(settings), clients.running(clients.durable_producer(settings), settings) as producer:
        await detected(producer, settings, "first")
        await asyncio.gather(*(put_frame(producer, settings, "flood", sequence, GOLDEN) for sequence in range(300)))
        records = await read_until(
            settings,
            Name.DETECTIONS,
            lambda records: records[-1].key == b"flood" and decode(records[-1].value, Detection).frame.sequence == 299,
        )
    seen = [decode(record.value, Detection).frame.sequence for record in records if record.key == b"flood"]
    assert seen == sorted(seen)
    assert len(seen) < 300


async def test_a_late_worker_reads_on_from_the_end(kafka: Kafka, create_topics: CreateTopics) -> None:
    settings = kafka.settings(detector={"age_budget_s": 0.4, "seek_after_s": 0.8})
    await create_topics(settings, *TOPICS)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        async with worker(settings):
            await detected(producer, settings, "door")
        for sequence in range(1000, 1030):  # while no worker is there
            await put_frame(producer, settings, "door", sequence, GOLDEN)
        await asyncio.sleep(1)
        async with worker(settings):
            again = await detected(producer, settings, "other")
    assert again.frame.camera == "other"
    sequences = [d.frame.sequence for d in await all_detections(settings) if d.frame.camera == "door"]
    assert not [sequence for sequence in sequences if sequence >= 1000]


@pytest.mark.timeout(180)
async def test_the_picture_returns_after_the_broker_was_killed(own_broker: Kafka, create_topics: CreateTopics) -> None:
    settings = own_broker.settings(detector=PATIENT)
    await create_topics(settings, *TOPICS)
    async with worker(settings) as running:
        async with clients.running(clients.durable_producer(settings), settings) as producer:
            before = await detected(producer, settings, "door")
        own_broker.kill()
        await asyncio.sleep(3)
        assert not running.done()
        await asyncio.to_thread(own_broker.start)
        async with clients.running(clients.durable_producer(settings), settings) as producer:
            after = await detected(producer, settings, "window")
    assert before.frame.camera == "door"
    assert after.frame.camera == "window"


def refusal(record: Record) -> DeadLetter:
    return decode(dict(record.headers)["refused"], DeadLetter)


async def all_detections(settings: Settings) -> list[Detection]:
    return [decode(record.value, Detection) for record in await read_all(settings, Name.DETECTIONS)]
