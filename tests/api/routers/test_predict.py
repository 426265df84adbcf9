"""Uploads over a real socket, through a real Kafka and Valkey, looked at by the model that is shipped."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from maskwatch.boxes import iou
from maskwatch.model import read_card
from maskwatch.settings import Settings
from maskwatch.topics import Name
from processors.detection import detect
from tests.api.routers.test_rest import problem
from tests.support.front_door import FrontDoor, front_door
from tests.support.stack import CreateTopics, Kafka, Valkey
from tests.support.topic import read_all
from tests.support.waiting import at_work, eventually

TOPICS = (
    Name.FRAMES_LIVE,
    Name.FRAMES_UPLOAD,
    Name.PREDICTIONS,
    Name.FRAMES_UPLOAD_DLQ,
    Name.CAMERAS,
    Name.CAMERA_STATUS,
)
MODEL = Settings().detector.model
CARD = read_card(MODEL)
GOLDEN = (MODEL / CARD.golden.path).read_bytes()


@asynccontextmanager
async def door_to(settings: Settings, home: Path) -> AsyncIterator[tuple[FrontDoor, httpx.AsyncClient]]:
    async with (
        front_door(home, settings=settings, kafka=True) as door,
        door.client() as client,
    ):
        client.timeout = httpx.Timeout(60)
        await eventually(lambda: not door.services.uploads.missing)
        yield door, client


async def answered(asking: Awaitable[httpx.Response]) -> httpx.Response | None:
    """What was answered; None while something is away."""
    answer = await asking
    return None if answer.status_code == 503 else answer


@pytest.fixture
async def ours(kafka: Kafka, valkey: Valkey, create_topics: CreateTopics) -> Settings:
    settings = kafka.settings(valkey={"url": valkey.url}, api={"answer_timeout_s": 40, "body_timeout_s": 1})
    await create_topics(settings, *TOPICS)
    return settings


def jpeg(picture: Image.Image, **options: Any) -> bytes:  # noqa: ANN401  # Pillow's
    file = io.BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


def is_the_golden_face(objects: list[dict[str, Any]]) -> bool:
    best = CARD.golden.faces["square"][0]
    return any(face["label"] == best.label and iou(tuple(face["box"]), best.box) > 0.6 for face in objects)


async def test_a_picture_is_answered_with_what_is_on_it(ours: Settings, tmp_path: Path) -> None:
    turned = Image.open(io.BytesIO(GOLDEN)).rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    async with door_to(ours, tmp_path) as (_, client), at_work(detect, ours):
        raw = await client.post("/predict", content=GOLDEN, headers={"Content-Type": "image/jpeg"})
        assert raw.status_code == 200, raw.text
        found = raw.json()
        assert found["status"] == "done"
        assert found["model"]["name"] == CARD.name
        assert is_the_golden_face(found["objects"])
        assert raw.headers["location"] == f"/predictions/{found['id']}"
        assert (await client.get(raw.headers["location"])).json() == found

        form = await client.post("/predict", files={"file": ("a.jpg", jpeg(turned, exif=exif, quality=95))})
        assert is_the_golden_face(form.json()["objects"])
        assert (form.json()["width"], form.json()["height"]) == (found["width"], found["height"])

        drawn = await client.post("/predict", params={"annotated": True}, content=GOLDEN)
        assert drawn.headers["content-type"] == "image/jpeg"
        before, after = simplejpeg.decode_jpeg(GOLDEN), simplejpeg.decode_jpeg(drawn.content)
        assert before.shape == after.shape
        assert abs(before.astype(int) - after).max() > 100


async def test_a_key_is_answered_once_and_belongs_to_one_body(ours: Settings, tmp_path: Path) -> None:
    async with door_to(ours, tmp_path) as (_, client), at_work(detect, ours):
        key = {"Idempotency-Key": "order-17"}
        answers = await asyncio.gather(*(client.post("/predict", content=GOLDEN, headers=key) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
        again = await client.post("/predict", content=GOLDEN, headers=key)
        assert again.json() == answers[0].json()
        other = jpeg(Image.new("RGB", (64, 64)))
        problem(await client.post("/predict", content=other, headers=key), "key-reused")
        assert problem(await client.post("/predict", content=GOLDEN, headers={"Idempotency-Key": "k" * 201}), "invalid")
        fresh = await client.post("/predict", content=GOLDEN, headers={"Idempotency-Key": "order-18"})
        assert fresh.json()["id"] != again.json()["id"]


async def test_a_batch_is_answered_item_by_item(ours: Settings, tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("faces.jpg", GOLDEN)
        file.writestr("notes.txt", "no picture")
    sent = [
        ("file", ("one.jpg", GOLDEN)),
        ("file", ("all.zip", archive.getvalue())),
        ("file", ("empty.jpg", b"")),
    ]
    key = {"Idempotency-Key": "batch-1"}
    async with door_to(ours, tmp_path) as (door, client), at_work(detect, ours):
        whole = (await client.post("/batch-predict", files=sent, headers=key)).json()["items"]
        assert [item["name"] for item in whole] == ["one.jpg", "faces.jpg", "notes.txt", "empty.jpg"]
        assert all(is_the_golden_face(item["answer"]["objects"]) for item in whole[:2])
        assert [item["problem"]["type"] for item in whole[2:]] == ["/docs#unreadable-picture"] * 2
        lines = await client.post("/batch-predict", files=sent, headers={**key, "Accept": "application/x-ndjson"})
        assert lines.headers["content-type"].startswith("application/x-ndjson")
        assert sorted(map(json.loads, lines.text.splitlines()), key=lambda item: item["index"]) == whole
        alone = await client.post("/batch-predict", content=archive.getvalue())
        assert len(alone.json()["items"]) == 2
        problem(await client.post("/batch-predict", content=archive.getvalue()[:40]), "bad-archive")
        assert door.services.holding._held == 0


async def test_a_short_video_is_answered_picture_by_picture(ours: Settings, tmp_path: Path) -> None:
    file = io.BytesIO()
    picture = np.asarray(Image.open(io.BytesIO(GOLDEN)).convert("RGB"))
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5, options={"qscale": "2"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = (side // 2 * 2 for side in picture.shape[:2])
        stream.pix_fmt, stream.bit_rate = "yuv420p", 20_000_000
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture[: stream.height, : stream.width])))
        container.mux(stream.encode())
    video = file.getvalue()
    async with door_to(ours, tmp_path) as (door, client), at_work(detect, ours):
        answer = await client.post("/batch-predict", files={"file": ("visit.mp4", video)})
        found = answer.json()["items"]
        assert [(item["name"], item["seconds"]) for item in found] == [("visit.mp4", 0), ("visit.mp4", 1)]
        assert all(is_the_golden_face(item["answer"]["objects"]) for item in found)
        alone = await client.post("/batch-predict", content=video, headers={"Content-Type": "video/mp4"})
        assert len(alone.json()["items"]) == 2
        told = problem(await client.post("/predict", content=video), "unreadable-picture")
        assert "/batch-predict" in told["detail"]
        cut = problem(await client.post("/batch-predict", content=video[: len(video) // 2]), "unreadable-picture")
        assert "truncated" in cut["detail"]
        assert door.services.holding._held == 0


async def test_what_is_not_answered_in_time_is_answered_later(
    kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path
) -> None:
    ours = kafka.settings(valkey={"url": valkey.url}, api={"answer_timeout_s": 0.2})
    await create_topics(ours, *TOPICS)
    async with door_to(ours, tmp_path) as (_, client):
        answer = await client.post("/predict", content=GOLDEN)
        assert answer.status_code == 202
        assert answer.json()["status"] == "pending"
        assert answer.headers["retry-after"]
        where = answer.headers["location"]
        assert (await client.get(where)).json()["status"] == "pending"
        async with at_work(detect, ours):

            async def done() -> Any:  # noqa: ANN401  # JSON
                found = (await client.get(where)).json()
                return found if found["status"] == "done" else None

            assert is_the_golden_face((await eventually(done))["objects"])


BAD: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "nothing": ({"content": b""}, "empty-upload"),
    "empty-file": ({"files": {"file": ("a.jpg", b"")}}, "empty-upload"),
    "no-file": ({"data": {"note": "x"}, "files": {}}, "unreadable-picture"),
    "other-field": ({"files": {"picture": ("a.jpg", GOLDEN)}}, "malformed-body"),
    "two-files": ({"files": [("file", ("a.jpg", GOLDEN)), ("file", ("b.jpg", GOLDEN))]}, "too-large"),
    "text": ({"content": b"a text"}, "unreadable-picture"),
    "cut": ({"content": GOLDEN[:5000]}, "unreadable-picture"),
    "no-boundary": ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, "malformed-body"),
    "broken-form": (
        {"content": b"--b\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
        "empty-upload",
    ),
}


async def test_what_is_no_upload_is_refused_by_name(
    kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path
) -> None:
    ours = kafka.settings(valkey={"url": valkey.url}, api={"max_upload_bytes": 300_000, "body_timeout_s": 1})
    await create_topics(ours, *TOPICS)
    async with door_to(ours, tmp_path) as (door, client):
        for name, (request, kind) in BAD.items():
            answer = await client.post("/predict", **request)
            assert problem(answer, kind), name
        large = problem(await client.post("/predict", content=bytes(400_000)), "too-large")
        assert "300000 bytes" in large["detail"]

        async def unannounced() -> AsyncIterator[bytes]:
            for _ in range(200):
                yield bytes(50_000)

        assert problem(await client.post("/predict", content=unannounced()), "too-large")

        async def slow() -> AsyncIterator[bytes]:
            for _ in range(25):
                yield b"x"
                await asyncio.sleep(0.1)

        assert problem(await client.post("/predict", content=slow()), "too-slow")
        assert problem(await client.get("/predictions/unknown"), "unknown-upload")
        # A client that promises more than it sends, and leaves; and one that sends more than it promised.
        for promised, body in ((1000, b"x" * 10), (5, GOLDEN)):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {promised}\r\n\r\n"
            writer.write(head.encode() + body)
            if promised > len(body):
                writer.close()
            else:
                assert b" 4" in await asyncio.wait_for(reader.readline(), 10)
                writer.close()
        assert (await client.get("/health")).status_code == 200
        assert door.services.holding._held == 0
        assert await read_all(ours, Name.FRAMES_UPLOAD) == []


async def test_more_than_may_be_in_hand_is_asked_to_come_back(
    kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path
) -> None:
    ours = kafka.settings(valkey={"url": valkey.url}, api={"answer_timeout_s": 3, "max_pending_bytes": 200_000})
    await create_topics(ours, *TOPICS)
    picture = jpeg(Image.effect_noise((400, 400), 90).convert("RGB"), quality=95)
    assert 60_000 < len(picture) < 200_000
    async with door_to(ours, tmp_path) as (door, client):
        answers = await asyncio.gather(*(client.post("/predict", content=picture) for _ in range(6)))
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {202, 503}
        busy = answers[codes.index(503)]
        assert problem(busy, "busy")
        assert busy.headers["retry-after"] == "1"
        assert door.services.holding._held == 0


async def test_while_kafka_is_away_the_retry_is_answered_once(
    own_broker: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path
) -> None:
    ours = own_broker.settings(valkey={"url": valkey.url}, kafka={"timeout_s": 2}, api={"answer_timeout_s": 40})
    await create_topics(ours, *TOPICS)
    key = {"Idempotency-Key": "through-the-outage"}
    async with door_to(ours, tmp_path) as (_, client):
        await asyncio.to_thread(own_broker.kill)
        away = await client.post("/predict", content=GOLDEN, headers=key)
        assert problem(away, "away")
        assert away.headers["retry-after"] == "5"
        await asyncio.to_thread(own_broker.start)
        async with at_work(detect, ours):
            answer = await eventually(lambda: answered(client.post("/predict", content=GOLDEN, headers=key)))
            assert answer.status_code == 200, answer.text
            again = await client.post("/predict", content=GOLDEN, headers=key)
            assert again.json() == answer.json()


async def test_without_valkey_uploads_without_a_key_are_answered(
    ours: Settings, valkey: Valkey, tmp_path: Path
) -> None:
    async with door_to(ours, tmp_path) as (_, client), at_work(detect, ours):
        await asyncio.to_thread(valkey.kill)
        answer = await client.post("/predict", content=GOLDEN)
        assert answer.status_code == 200, answer.text
        assert problem(await client.post("/predict", content=GOLDEN, headers={"Idempotency-Key": "a"}), "away")
        assert problem(await client.get("/predictions/older"), "away")


async def test_a_picture_that_the_model_cannot_look_at_is_the_senders(
    kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path
) -> None:
    # The API lets more pixels through than the worker does.
    worker = kafka.settings(valkey={"url": valkey.url}, detector={"max_pixels": 310_000})
    front = worker.model_copy(
        update={
            "detector": worker.detector.model_copy(update={"max_pixels": 10**8}),
            "api": worker.api.model_copy(update={"answer_timeout_s": 40}),
        }
    )
    await create_topics(front, *TOPICS)
    async with door_to(front, tmp_path) as (_, client), at_work(detect, worker):
        answer = await client.post("/predict", content=jpeg(Image.new("RGB", (800, 600))))
        assert problem(answer, "unreadable-picture")
        found = await client.get(answer.headers["location"])
        assert found.json()["status"] == "failed"
        assert found.json()["reason"]
