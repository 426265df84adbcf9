"""Labels over HTTP, on a real Kafka, a real Valkey and a store in a folder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from maskwatch.label_messages import FrameLabel
from maskwatch.messages import decode
from maskwatch.settings import Settings
from maskwatch.store import Store, name_of
from maskwatch.topics import Name
from tests.support import labelling
from tests.support.front_door import FrontDoor, front_door
from tests.support.stack import CreateTopics, Kafka, Valkey
from tests.support.topic import read_all
from tests.support.waiting import eventually

TOPICS = (
    Name.CAMERAS, Name.CAMERA_STATUS, Name.PREDICTIONS, Name.FRAMES_UPLOAD,
    Name.SIGNALS, Name.DRIFT, Name.ALERTS, Name.LABELS, Name.LABEL_REQUESTS,
)  # fmt: skip
ANN, BOB = "ann-3f1c2c0e", "bob-9d5a5b0e"
FACE = {"label": "with_mask", "box": [0.2, 0.2, 0.4, 0.6]}


@pytest.fixture
async def ours(kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path) -> Settings:
    settings = kafka.settings(
        valkey={"url": valkey.url}, store={"url": (tmp_path / "store").as_uri()}, labels={"lease_s": 5}
    )
    await create_topics(settings, *TOPICS)
    return settings


@asynccontextmanager
async def asking(settings: Settings, home: Path) -> AsyncIterator[tuple[FrontDoor, httpx.AsyncClient]]:
    async with front_door(home, settings=settings, kafka=True) as door, door.client() as client:
        await eventually(lambda: not door.services.label_feed.missing and not door.services.broker.missing)
        yield door, client


async def take(client: httpx.AsyncClient, holder: str, count: int = 4, **more: list[str]) -> list[str]:
    answer = await client.post("/labels/queue", json={"holder": holder, "count": count, **more})
    assert answer.status_code == 200, answer.text
    return [frame["frame"] for frame in answer.json()["frames"]]


async def written(settings: Settings) -> list[FrameLabel]:
    return [decode(record.value, FrameLabel) for record in await read_all(settings, Name.LABELS) if record.value]


async def test_a_frame_goes_from_its_request_to_a_label_in_kafka_and_a_picture_in_the_store(
    ours: Settings, tmp_path: Path
) -> None:
    asked = [labelling.request(number) for number in (1, 2, 3)]
    await labelling.ask(ours, *asked)
    async with asking(ours, tmp_path) as (_, client):
        offered = (await client.get("/labels/queue")).json()
        assert [frame["frame"] for frame in offered["frames"]] == [one.frame.id for one in reversed(asked)]
        assert offered["waiting"] == 3
        (frame,) = await take(client, ANN, 1)
        assert frame == "gate:s1:3"
        picture = await client.get(f"/labels/pictures/{quote(frame)}")
        assert (picture.content, picture.headers["cache-control"]) == (labelling.jpeg(3), "no-store")
        answer = (await client.post("/labels", json={"frame": frame, "faces": [FACE], "holder": ANN})).json()
        assert (answer["by"], answer["source"], answer["faces"]) == ("local", "gate", [FACE])
        # It is durable by now: a reader that knows nothing of us finds it.
        (label,) = await written(ours)
        assert label.sha256 == answer["sha256"] == name_of(labelling.jpeg(3))
        assert Store(ours).get(label.sha256) == labelling.jpeg(3)
        assert label.proposal is not None
        assert (label.proposal.why, label.proposal.objects) == ("near-threshold", labelling.PROPOSED)
        assert (await client.get("/labels/queue")).json()["waiting"] == 2
        progress = (await client.get("/labels/progress")).json()
        assert (progress["labels"], progress["needed"], progress["sources"]) == (1, 100, {"gate": 1})
