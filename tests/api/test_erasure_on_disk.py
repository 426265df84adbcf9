"""An erased picture and what was said of it are on no disk, once the broker has compacted and let go of what is old."""

import asyncio
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from api.app import end
from consumers.dataset import REMEMBERED, Dataset, keep_labels
from maskwatch import kafka as clients
from maskwatch import topics
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import FrameInfo, decode, frame_headers
from maskwatch.settings import Settings
from maskwatch.store import Store
from maskwatch.topics import TOPICS, Name
from tests.support import labelling
from tests.support.front_door import front_door
from tests.support.stack import Kafka, Valkey
from tests.support.topic import put
from tests.support.waiting import at_work, eventually

FRAMES = (Name.FRAMES_LIVE, Name.FRAMES_RECORDING)
KEPT = (Name.LABELS, Name.LABEL_REQUESTS, *FRAMES)
"""Where a picture, or what people say of it, lies."""

DISK = 2**30
BOX = [0.123456789, 0.2, 0.4, 0.6]
AT_ONCE = {
    "delete.retention.ms": "0",
    "max.compaction.lag.ms": "1000",
    "min.cleanable.dirty.ratio": "0",
    "segment.ms": "1000",
}
"""In place of half an hour and a day."""


@pytest.mark.long  # the broker looks every 10 s for what is old
@pytest.mark.timeout(240)
async def test_the_bytes_of_an_erased_picture_and_of_its_label_are_on_no_disk(
    own_broker: Kafka, valkey: Valkey, tmp_path: Path
) -> None:
    ours = own_broker.settings(valkey={"url": valkey.url}, store={"url": (tmp_path / "store").as_uri()})
    await topics.ensure(ours, DISK, [topic for topic in TOPICS if topic.name in KEPT])
    erased, other = labelling.request(7001).frame.id, labelling.request(7002).frame.id
    picture, anothers = labelling.jpeg(7001)[-400:], labelling.jpeg(7002)[-400:]
    marked, named = msgspec.json.encode({"box": BOX})[1:-1], erased.encode()

    def lies_in(data: bytes, *folders: Path) -> bool:
        return any(data in _content(file) for folder in folders for file in folder.rglob("*"))

    broker, store = own_broker._home / "kafka", tmp_path / "store"
    async with (
        clients.running(clients.durable_producer(ours), ours) as producer,
        at_work(keep_labels, ours),
        front_door(tmp_path, settings=ours) as door,
        door.client() as client,
    ):
        for number in (7001, 7002):
            await _seen(ours, producer, number)
        shared = door.services
        work = [asyncio.create_task(one) for one in (shared.label_feed.run(), shared.broker.run())]
        await eventually(lambda: not shared.label_feed.missing and not shared.broker.missing)
        face = {"label": "with_mask", "box": BOX}
        for frame, faces in ((erased, [face]), (other, [])):
            assert (await client.post("/labels", json={"frame": frame, "faces": faces})).status_code == 200
        for data in (picture, anothers):
            assert lies_in(data, broker)
            assert lies_in(data, store)
        assert lies_in(marked, broker)
        await eventually(lambda: lies_in(marked, store))

        assert (await client.delete(f"/labels/{erased}")).status_code == 200
        assert not lies_in(picture, store)
        await eventually(lambda: not lies_in(marked, store))
        assert (await client.get(f"/labels/pictures/{erased}")).status_code == 410
        await end(work)

        # What is old goes by its age, and what is compacted once somebody writes on: by then the stage says it again.
        await _force(ours)
        kept = Store(ours)
        said = await eventually(lambda: _erasure(kept, erased))
        dataset = Dataset(ours, kept, producer)
        await asyncio.sleep(1)
        await dataset.tidy(said.at + timedelta(minutes=40))
        await eventually(lambda: not lies_in(picture, broker, store))
        await eventually(lambda: not lies_in(marked, broker, store))
        assert lies_in(named, broker), "that it was erased is not remembered"
        assert lies_in(anothers, store)
        assert lies_in(anothers, broker)

        # After a month its name goes too: a tombstone does, once more is written behind it.
        await dataset.tidy(said.at + REMEMBERED + timedelta(minutes=1))
        assert not lies_in(named, store)
        for _ in range(3):
            await _write_on(ours, producer)
            await asyncio.sleep(1.5)
        await eventually(lambda: not lies_in(named, broker))


async def _seen(ours: Settings, producer: AIOKafkaProducer, number: int) -> None:
    """Let a frame be live, be recorded, and wait for a label."""
    asked = labelling.request(number)
    frame = asked.frame
    info = FrameInfo(frame.camera, frame.session, frame.sequence, frame.captured, *labelling.SIZE)
    for name in FRAMES:
        await put(producer, ours, name, frame.camera, labelling.jpeg(number), frame_headers(info))
    await labelling.ask(ours, asked)


async def _force(ours: Settings) -> None:
    """Let the broker compact at once, and keep no frame."""
    resources = [
        ConfigResource(
            ConfigResourceType.TOPIC,
            f"{ours.kafka.topic_prefix}{topic.name}",
            topic.config(DISK) | AT_ONCE | ({"retention.ms": "1000"} if topic.name in FRAMES else {}),
        )
        for topic in TOPICS
        if topic.name in KEPT
    ]
    cleaner = ConfigResource(ConfigResourceType.BROKER, "1", {"log.cleaner.backoff.ms": "500"})
    async with clients.administering(ours) as admin:
        for answer in await admin.alter_configs([*resources, cleaner]):
            assert [code for code, *_ in answer.resources] == [0] * len(answer.resources), answer


async def _write_on(ours: Settings, producer: AIOKafkaProducer) -> None:
    """Write something to every partition of what is compacted."""
    for place in [place for name in (Name.LABELS, Name.LABEL_REQUESTS) for place in topics.partitions(ours, name)]:
        await producer.send_and_wait(place.topic, key=b"another", partition=place.partition)


def _erasure(store: Store, frame: str) -> FrameLabel | None:
    kept = store.read_label(frame)
    label = decode(kept, FrameLabel) if kept is not None else None
    return label if label is not None and label.state == "erased" else None


def _content(file: Path) -> bytes:
    # Indexes hold offsets and times, and are large.
    if file.suffix in {".index", ".timeindex"}:
        return b""
    try:
        return file.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return b""
