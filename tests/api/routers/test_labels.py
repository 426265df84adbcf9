"""Labels over HTTP, on a real Kafka, a real Valkey and a store in a folder."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import httpx
import msgspec
import pytest

from api.app import end
from maskwatch import kafka as clients
from maskwatch.blurring import blurred
from maskwatch.fingerprint import fingerprint
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import FrameInfo, decode, frame_headers
from maskwatch.settings import Settings
from maskwatch.store import Store, name_of
from maskwatch.topics import Name
from tests.api.routers.test_rest import problem
from tests.support import drifting, labelling
from tests.support.front_door import FrontDoor, front_door
from tests.support.stack import CreateTopics, Kafka, Valkey
from tests.support.topic import read_all
from tests.support.waiting import eventually

ANN, BOB = "ann-3f1c2c0e", "bob-9d5a5b0e"
FACE = {"label": "with_mask", "box": [0.2, 0.2, 0.4, 0.6]}


@pytest.fixture
async def ours(kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path) -> Settings:
    settings = kafka.settings(
        valkey={"url": valkey.url}, store={"url": (tmp_path / "store").as_uri()}, labels={"lease_s": 5}
    )
    names = (Name.LABELS, Name.LABEL_REQUESTS, Name.MODELS, Name.MODEL_VERSIONS, Name.RUNS)
    await create_topics(settings, *names, Name.FRAMES_LIVE, Name.FRAMES_RECORDING)
    return settings


@asynccontextmanager
async def asking(settings: Settings, home: Path) -> AsyncIterator[tuple[FrontDoor, httpx.AsyncClient]]:
    """Run an API process that hears of labels, and of nothing else."""
    async with front_door(home, settings=settings) as door, door.client() as client:
        feeds = (door.services.label_feed, door.services.models, door.services.broker)
        work = [asyncio.create_task(one.run()) for one in feeds]
        try:
            await eventually(lambda: not any(one.missing for one in feeds))
            yield door, client
        finally:
            await end(work)


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


async def test_two_pages_hold_different_frames_and_what_is_held_can_be_given_back(
    ours: Settings, tmp_path: Path
) -> None:
    await labelling.ask(ours, *(labelling.request(number) for number in range(1, 6)))
    async with asking(ours, tmp_path) as (_, client), asking(ours, tmp_path) as (_, other):
        anns, bobs = await take(client, ANN, 2), await take(other, BOB, 4)
        assert anns == ["gate:s1:5", "gate:s1:4"]
        assert bobs == ["gate:s1:3", "gate:s1:2", "gate:s1:1"]
        held = await other.post("/labels", json={"frame": anns[0], "holder": BOB})
        assert "Somebody else" in problem(held, "frame-held")["detail"]
        # What one keeps comes first, and what is given back is another's to take.
        assert await take(client, ANN, 2, keep=[anns[1]], give_back=[anns[0]]) == [anns[1]]
        assert await take(other, BOB, 4, keep=bobs) == [*bobs, anns[0]]
        await client.post("/labels", json={"frame": anns[1], "holder": ANN})
        # The other process hears of the label by the topic.
        await eventually(lambda: _counted(other, 1))
        assert (await other.get("/labels/queue")).json()["waiting"] == 4


async def _counted(client: httpx.AsyncClient, count: int) -> bool:
    return bool((await client.get("/labels/progress")).json()["labels"] == count)


async def test_a_frame_that_somebody_sees_is_put_into_the_queue_before_all_others(
    ours: Settings, tmp_path: Path
) -> None:
    await labelling.ask(ours, labelling.request(1))
    frame = drifting.frame("gate", datetime.now(UTC), 812)
    info = FrameInfo(frame.camera, frame.session, frame.sequence, frame.captured, frame.width, frame.height)
    async with clients.running(clients.durable_producer(ours), ours) as producer:
        sent = await producer.send_and_wait(
            f"{ours.kafka.topic_prefix}{Name.FRAMES_LIVE}", value=labelling.jpeg(812), key=b"gate",
            headers=frame_headers(info),
        )  # fmt: skip
    shown = msgspec.to_builtins(frame) | {"partition": sent.partition, "offset": sent.offset}
    asked = {"frame": shown, "model": msgspec.to_builtins(drifting.MODEL), "objects": [FACE | {"score": 0.7}]}
    async with asking(ours, tmp_path) as (_, client):
        answer = await client.post("/labels/requests", json=asked)
        assert (answer.status_code, answer.json()["why"]) == (201, "asked")
        assert "local asked for it, gate" in answer.json()["text"]
        first, second = (await client.get("/labels/queue")).json()["frames"]
        assert (first["frame"], first["objects"][0]["score"], second["frame"]) == (frame.id, 0.7, "gate:s1:1")
        picture = await client.get(f"/labels/pictures/{frame.id}")
        assert picture.content == labelling.jpeg(812)
        # Another frame lies there: nothing is taken on somebody's word.
        for other, kind in (
            ({"id": "gate:s1:813", "sequence": 813}, "picture-gone"),
            ({"id": "gate:s1:813"}, "unknown-frame"),
            ({"captured": "2001-01-01T00:00:00+05:00"}, "picture-gone"),
            ({"captured": "0001-01-01T00:00:00+05:00"}, "invalid"),
            ({"partition": 99}, "invalid"),
        ):
            problem(await client.post("/labels/requests", json=asked | {"frame": shown | other}), kind)
        await client.delete(f"/labels/{frame.id}")
        problem(await client.post("/labels/requests", json=asked), "picture-gone")


async def test_a_later_label_replaces_an_earlier_one_and_skipping_takes_it_out_of_the_count(
    ours: Settings, tmp_path: Path
) -> None:
    await labelling.ask(ours, labelling.request(1))
    frame = "gate:s1:1"
    async with asking(ours, tmp_path) as (_, client):
        for faces in ([FACE], [], [FACE | {"label": "without_mask"}]):
            assert (await client.post("/labels", json={"frame": frame, "faces": faces})).status_code == 200
        (listed,) = (await client.get("/labels")).json()["labels"]
        assert [face["label"] for face in listed["faces"]] == ["without_mask"]
        assert await _counted(client, 1)
        await client.post("/labels", json={"frame": frame, "faces": [FACE], "state": "skipped"})
        assert await _counted(client, 0)
        assert (await client.get("/labels/progress")).json()["skipped"] == 1
        assert (await client.get("/labels", params={"state": "labelled"})).json()["labels"] == []
        # Of what was skipped nothing is said.
        (skipped,) = (await client.get("/labels", params={"source": "gate"})).json()["labels"]
        assert skipped["faces"] == []
    kept = [label.state for label in await written(ours)]
    assert kept == ["labelled", "labelled", "labelled", "skipped"]


async def test_with_blur_the_faces_of_what_was_labelled_are_hidden_and_the_store_has_them(
    ours: Settings, tmp_path: Path
) -> None:
    blur = ours.model_copy(update={"labels": ours.labels.model_copy(update={"blur": True})})
    await labelling.ask(ours, labelling.request(1))
    frame, jpeg = "gate:s1:1", labelling.jpeg(1)
    async with asking(blur, tmp_path) as (_, client):
        # Whoever labels it must see the faces.
        assert (await client.get(f"/labels/pictures/{quote(frame)}")).content == jpeg
        await client.post("/labels", json={"frame": frame, "faces": [FACE]})
        shown = (await client.get(f"/labels/pictures/{quote(frame)}")).content
    (label,) = await written(ours)
    assert shown == blurred(jpeg, [FACE["box"], *(face.box for face in labelling.PROPOSED)])  # type: ignore[list-item]
    assert Store(ours).get(label.sha256) == jpeg


async def test_a_picture_of_ones_own_is_kept_and_labelled(ours: Settings, tmp_path: Path) -> None:
    async with asking(ours, tmp_path) as (_, client):
        unlabelled = (await client.put("/labels/pictures", content=labelling.jpeg(71))).json()["frame"]
        kept = (await client.put("/labels/pictures", files={"file": labelling.jpeg(7)})).json()
        assert kept == {"frame": f"sha256:{name_of(labelling.jpeg(7))}", "width": 320, "height": 240}
        new = {"frame": kept["frame"], "faces": [FACE], "source": "my-tool"}
        answer = (await client.post("/labels", json=new)).json()
        assert (answer["source"], answer["sha256"]) == ("my-tool", name_of(labelling.jpeg(7)))
        picture = await client.get(f"/labels/pictures/{kept['frame']}")
        assert picture.content == labelling.jpeg(7)
        problem(await client.put("/labels/pictures", content=b"no picture"), "unreadable-picture")
        problem(await client.put("/labels/pictures", content=b""), "empty-upload")
        problem(await client.post("/labels", json={"frame": f"sha256:{'0' * 64}"}), "picture-gone")
        problem(await client.get(f"/labels/pictures/{unlabelled}"), "picture-gone")
        # No name leads out of the store.
        problem(await client.post("/labels", json={"frame": "sha256:../../secret"}), "unknown-frame")


async def test_what_cannot_count_is_refused_and_nothing_is_written(ours: Settings, tmp_path: Path) -> None:
    await labelling.ask(ours, labelling.request(1))
    async with asking(ours, tmp_path) as (_, client):
        for faces, says in (
            ([FACE, FACE], "Faces 1 and 2 are one face"),
            ([FACE | {"box": [0.2, 0.2, 0.2, 0.4]}], "Face 1: its right or lower side"),
            ([FACE | {"box": [0.5, 0.2, 1.2, 0.4]}], "outside"),
        ):
            answer = await client.post("/labels", json={"frame": "gate:s1:1", "faces": faces})
            assert says in problem(answer, "label-refused")["detail"]
        problem(await client.post("/labels", json={"frame": "gate:s1:9"}), "unknown-frame")
        problem(await client.post("/labels", json={"frame": "gate:s1:1", "faces": [{"label": "hat"}]}), "invalid")
    assert await written(ours) == []
    assert Store(ours).pictures() == {}


async def test_a_source_has_a_cap_and_look_alikes_of_the_frozen_test_are_refused(
    ours: Settings, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.json"
    test = {"part": "test", "fingerprint": fingerprint(labelling.jpeg(3))}
    manifest.write_text(
        json.dumps({"entries": [test, {"part": "train", "fingerprint": fingerprint(labelling.jpeg(1))}]})
    )
    capped = ours.model_copy(update={"labels": ours.labels.model_copy(update={"per_source": 2, "frozen": manifest})})
    await labelling.ask(capped, *(labelling.request(number) for number in range(1, 6)))
    async with asking(capped, tmp_path) as (_, client):
        answer = await client.post("/labels", json={"frame": "gate:s1:3"})
        assert "frozen test part" in problem(answer, "label-refused")["detail"]
        # Skipped it may be: then it is trained on by nobody either.
        assert (await client.post("/labels", json={"frame": "gate:s1:3", "state": "skipped"})).status_code == 200
        for number in (1, 2, 1):
            assert (await client.post("/labels", json={"frame": f"gate:s1:{number}"})).status_code == 200
        answer = await client.post("/labels", json={"frame": "gate:s1:4"})
        assert "2 labels of its source" in problem(answer, "label-refused")["detail"]


async def test_a_death_between_the_store_and_kafka_loses_nothing(ours: Settings, tmp_path: Path) -> None:
    await labelling.ask(ours, labelling.request(1))
    new = {"frame": "gate:s1:1", "faces": [FACE]}
    async with asking(ours, tmp_path) as (door, client):
        broker = door.services.broker
        producer, broker._producer = broker._producer, None
        answer = await client.post("/labels", json=new)
        assert "Kafka is away" in problem(answer, "away")["detail"]
        # The picture is there, and no label names it: not acknowledged, so it is sent again.
        assert list(Store(ours).pictures()) == [name_of(labelling.jpeg(1))]
        assert (await client.get("/labels/queue")).json()["waiting"] == 1
        broker._producer = producer
        assert (await client.post("/labels", json=new)).status_code == 200
    assert [label.frame for label in await written(ours)] == ["gate:s1:1"]


async def test_what_is_erased_is_gone_from_the_store_and_refused_by_every_reader(
    ours: Settings, tmp_path: Path
) -> None:
    await labelling.ask(ours, labelling.request(1), labelling.request(2))
    async with asking(ours, tmp_path) as (_, client), asking(ours, tmp_path) as (_, other):
        await client.post("/labels", json={"frame": "gate:s1:1", "faces": [FACE]})
        await client.get("/labels/pictures/gate:s1:1")
        assert len(Store(ours).pictures()) == 1
        (erased,) = (await client.delete("/labels/gate:s1:1")).json()["erasures"]
        assert (erased["frame"], erased["by"]) == ("gate:s1:1", "local")
        assert [left["where"] for left in erased["remains"]] == ["labels.v1", "label-requests.v1"]
        assert Store(ours).pictures() == {}
        assert [decode(one, FrameLabel).state for one in Store(ours).labels()] == ["erased"]
        # One that nobody has labelled can be erased as well.
        assert (await client.delete("/labels/gate:s1:2")).status_code == 200
        for one in (client, other):
            await eventually(lambda one=one: _erased(one, 2))
            for frame in ("gate:s1:1", "gate:s1:2"):
                problem(await one.get(f"/labels/pictures/{frame}"), "picture-gone")
                problem(await one.post("/labels", json={"frame": frame, "faces": [FACE]}), "picture-gone")
            assert (await one.get("/labels")).json()["labels"] == []
            assert (await one.get("/labels/queue")).json()["frames"] == []
        problem(await client.delete("/labels/gate:s1:9"), "unknown-frame")
    # Kafka is told to forget: the key has an empty record, and what is left of the label names no face.
    requests = {record.key: record.value for record in await read_all(ours, Name.LABEL_REQUESTS)}
    assert requests == {b"gate:s1:1": None, b"gate:s1:2": None}
    last = {label.frame: label for label in await written(ours)}
    assert {(label.state, label.faces) for label in last.values()} == {("erased", ())}


async def _erased(client: httpx.AsyncClient, count: int) -> bool:
    return len((await client.get("/labels/erasures")).json()["erasures"]) == count


async def test_the_same_picture_under_another_name_is_erased_too(ours: Settings, tmp_path: Path) -> None:
    await labelling.ask(ours, labelling.request(1))
    async with asking(ours, tmp_path) as (_, client):
        await client.post("/labels", json={"frame": "gate:s1:1", "faces": [FACE]})
        own = (await client.put("/labels/pictures", content=labelling.jpeg(1))).json()["frame"]
        await client.post("/labels", json={"frame": own, "faces": [FACE]})
        erased = (await client.delete(f"/labels/{own}")).json()["erasures"]
        assert {one["frame"] for one in erased} == {own, "gate:s1:1"}
        assert Store(ours).pictures() == {}
        problem(await client.put("/labels/pictures", content=labelling.jpeg(1)), "picture-gone")


async def test_without_kafka_valkey_or_store_it_says_what_is_away(
    ours: Settings, tmp_path: Path, valkey: Valkey
) -> None:
    async with front_door(tmp_path) as door, door.client() as client:
        for path in ("", "/queue", "/progress", "/pictures/a", "/erasures"):
            assert "labels.v1" in problem(await client.get(f"/labels{path}"), "away")["detail"]
    await labelling.ask(ours, labelling.request(1))
    async with asking(ours, tmp_path) as (_, client):
        store = tmp_path / "store"
        store.touch()
        new = {"frame": "gate:s1:1", "faces": [FACE]}
        assert "store is away" in problem(await client.post("/labels", json=new), "away")["detail"]
        problem(await client.put("/labels/pictures", content=labelling.jpeg(2)), "away")
        store.unlink()
        valkey.kill()
        answer = await client.post("/labels/queue", json={"holder": ANN})
        assert "away" in problem(answer, "away")["detail"]
        # Programs hold nothing, so what they say is taken.
        assert (await client.post("/labels", json=new)).status_code == 200


async def test_of_the_requests_only_the_newest_are_read(ours: Settings, tmp_path: Path) -> None:
    few = ours.model_copy(update={"labels": ours.labels.model_copy(update={"queue": 8})})
    await labelling.ask(few, *(labelling.request(number) for number in range(1, 60)))
    async with asking(few, tmp_path) as (_, client):
        offered = (await client.get("/labels/queue")).json()
        assert 1 <= offered["waiting"] <= 8
        # Of each partition the last one was read, so the newest of all is among them.
        assert offered["frames"][0]["frame"] == "gate:s1:59"
