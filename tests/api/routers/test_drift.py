"""Signals, episodes, evidence and alerts over HTTP, on a real Kafka."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
import simplejpeg

from api import history
from api.history import BusyError, SignalHistory, partition_of
from maskwatch import kafka as clients
from maskwatch.blurring import blurred
from maskwatch.drift_messages import Alert, Confirmation
from maskwatch.errors import BrokerError
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import Camera, DetectedFace, Detection, FrameInfo, decode, frame_headers
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.api.routers.test_rest import problem
from tests.support import drifting, stack
from tests.support.front_door import FrontDoor, front_door
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import read_all
from tests.support.traffic import GOLDEN
from tests.support.waiting import eventually

TOPICS = (
    Name.CAMERAS,
    Name.CAMERA_STATUS,
    Name.PREDICTIONS,
    Name.FRAMES_UPLOAD,
    Name.FRAMES_RECORDING,
    Name.SIGNALS,
    Name.DRIFT,
    Name.ALERTS,
    Name.LABELS,
    Name.LABEL_REQUESTS,
)


@pytest.fixture
async def ours(kafka: Kafka, create_topics: CreateTopics) -> Settings:
    settings = kafka.settings()
    await create_topics(settings, *TOPICS)
    return settings


async def write(settings: Settings, name: Name, camera: str, *messages: msgspec.Struct) -> None:
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for message in messages:
            # Windows lie in Kafka at the time at which they ended, as if the monitor had been there.
            end = getattr(message, "end", None)
            await producer.send_and_wait(
                f"{settings.kafka.topic_prefix}{name}",
                value=msgspec.json.encode(message),
                key=camera.encode(),
                timestamp_ms=int(end.timestamp() * 1000) if end else None,
            )


async def record(settings: Settings, camera: str, captured: datetime, jpeg: bytes, sequence: int) -> int:
    """Record a frame; return the partition."""
    info = FrameInfo(camera, "s1", sequence, captured, 640, 480)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        sent = await producer.send_and_wait(
            f"{settings.kafka.topic_prefix}{Name.FRAMES_RECORDING}",
            value=jpeg,
            key=camera.encode(),
            headers=frame_headers(info),
        )
    return int(sent.partition)


@asynccontextmanager
async def asking(settings: Settings, home: Path) -> AsyncIterator[tuple[FrontDoor, httpx.AsyncClient]]:
    async with front_door(home, settings=settings, kafka=True) as door, door.client() as client:
        shared = door.services
        await eventually(lambda: not (shared.drift.missing or shared.broker.missing or shared.label_feed.missing))
        yield door, client


async def test_signals_are_told_now_and_over_time(ours: Settings, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    await write(ours, Name.CAMERAS, "gate", Camera("gate", "scene", "The gate"))
    await write(ours, Name.SIGNALS, "yard", *drifting.windows("yard", now, 40, learning=50))
    dark = (now - timedelta(minutes=10), now + timedelta(minutes=1))
    written = drifting.windows("gate", now, 40, dark=dark, episode="gate:s1:812:drift")
    await write(ours, Name.SIGNALS, "gate", *written)
    async with asking(ours, tmp_path) as (_, client):
        answer = (await client.get("/signals")).json()
        assert answer["current"]
        found = {camera["camera"]: camera for camera in answer["cameras"]}
        assert set(found) == {"door", "gate", "yard"}
        assert (found["door"]["state"], found["door"]["signals"]) == ("silent", [])
        assert (found["yard"]["state"], found["yard"]["learned"]) == ("learning", 0.8)
        assert (found["gate"]["state"], found["gate"]["name"]) == ("drifting", "The gate")
        assert found["gate"]["episode"] == "gate:s1:812:drift"
        first = found["gate"]["signals"][0]
        assert (first["signal"], first["kind"], first["shifted"]) == ("brightness", "input", True)
        over = (await client.get("/signals/gate")).json()
        assert over["times"] == pytest.approx([window.end.timestamp() for window in written], abs=0.01)
        assert over["signals"]["brightness"]["shifted"] == [window.state == "drifting" for window in written]
        since = (now - timedelta(minutes=5, seconds=30)).isoformat()
        few = (await client.get("/signals/gate", params={"since": since, "points": 3})).json()
        assert few["times"] == pytest.approx([written[at].end.timestamp() for at in (35, 37, 39)], abs=0.01)
        # What comes next is asked for with what the last answer said.
        assert (await client.get("/signals/gate", params={"since": over["next"]})).json()["times"] == []
        assert (await client.get("/signals/door")).json()["times"] == []
        for span in (
            {"since": "0001-01-01T00:00:00Z", "until": "0001-02-01T00:00:00+05:00"},
            {"since": "9999-12-31T23:59:59Z"},
        ):
            assert (await client.get("/signals/gate", params=span)).json()["times"] == []
        problem(await client.get("/signals/nowhere"), "unknown-camera")


async def test_a_camera_that_fell_silent_says_nothing_of_now(ours: Settings, tmp_path: Path) -> None:
    await write(ours, Name.SIGNALS, "gate", *drifting.windows("gate", datetime.now(UTC) - timedelta(minutes=30), 2))
    async with asking(ours, tmp_path) as (_, client):
        gate = (await client.get("/signals")).json()["cameras"][1]
    assert (gate["camera"], gate["state"], gate["signals"]) == ("gate", "silent", [])
    assert gate["seen"] is not None


async def test_episodes_are_listed_and_told_whole(ours: Settings, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    old = drifting.darkness("yard", now - timedelta(hours=5), ended=now - timedelta(hours=4), alert=False)
    new = drifting.darkness("gate", now - timedelta(minutes=3))
    await write(ours, Name.DRIFT, "yard", old)
    await write(ours, Name.DRIFT, "gate", new)
    await write(ours, Name.ALERTS, "gate", drifting.alert(new))
    async with asking(ours, tmp_path) as (door, client):
        answer = (await client.get("/episodes")).json()
        assert [(one["id"], one["state"]) for one in answer["episodes"]] == [(new.id, "open"), (old.id, "ended")]
        assert answer["episodes"][0]["alert"]["open"]
        assert answer["episodes"][1]["alert"] is None
        assert (await client.get("/episodes", params={"limit": 1})).json()["more"]
        assert len((await client.get("/episodes", params={"camera": "yard"})).json()["episodes"]) == 1
        assert len((await client.get("/episodes", params={"only_open": True})).json()["episodes"]) == 1
        whole = (await client.get(f"/episodes/{new.id}")).json()
        assert whole["confirmation"] is None
        told = Confirmation(34, confirmed=True, text="confirmed by 34 labels", before=0.8, after=0.6, drop=0.1)
        await write(ours, Name.DRIFT, new.camera, msgspec.structs.replace(new, confirmation=told))
        await eventually(lambda: door.services.drift.table.episode(new.id).confirmation)
        said = (await client.get(f"/episodes/{new.id}")).json()["confirmation"]
        assert said == msgspec.to_builtins(told)
        assert whole["text"] == new.text
        assert [shift["signal"] for shift in whole["shifts"]] == ["brightness", "contrast", "score"]
        assert len(whole["shifts"][0]["edges"]) == len(whole["shifts"][0]["before_bars"]) + 1
        problem(await client.get("/episodes/nothing"), "unknown-episode")


async def test_an_alert_is_acknowledged_once_for_everybody(ours: Settings, tmp_path: Path) -> None:
    episode = drifting.darkness("gate", datetime.now(UTC))
    await write(ours, Name.DRIFT, "gate", episode)
    await write(ours, Name.ALERTS, "gate", drifting.alert(episode))
    async with asking(ours, tmp_path) as (_, client), asking(ours, tmp_path) as (other, _):
        (listed,) = (await client.get("/alerts", params={"only_open": True})).json()["alerts"]
        assert (listed["id"], listed["open"], listed["by"]) == (episode.id, True, "")
        known = (await client.post(f"/alerts/{episode.id}/ack")).json()
        assert (known["open"], known["by"]) == (False, "local")
        assert (await client.post(f"/alerts/{episode.id}/ack")).json() == known
        assert (await client.get("/alerts", params={"only_open": True})).json()["alerts"] == []
        assert (await client.get(f"/episodes/{episode.id}")).json()["state"] == "acknowledged"
        # Another process learns it from the topic.
        await eventually(lambda: other.services.drift.table.alert(episode.id).acknowledged)
        problem(await client.post("/alerts/nothing/ack"), "unknown-alert")
        problem(
            await client.post(f"/alerts/{episode.id}/ack", headers={"Origin": "http://evil.example"}),
            "forbidden-origin",
        )
    written = [decode(record.value, Alert) for record in await read_all(ours, Name.ALERTS)]
    assert [alert.by for alert in written] == ["", "local"]


async def test_the_evidence_is_the_frame_itself_or_its_neighbour(ours: Settings, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    episode = drifting.darkness("gate", now - timedelta(minutes=5))
    assert episode.before is not None
    assert episode.after is not None
    other = GOLDEN + b"another"
    partition = await record(ours, "gate", episode.after.captured - timedelta(seconds=1), GOLDEN + b"early", 1)
    await record(ours, "gate", episode.after.captured, other, episode.after.sequence)
    await record(ours, "gate", episode.after.captured + timedelta(seconds=9), GOLDEN + b"late", 3)
    where = {"partition": partition}
    exact, near, gone = (
        msgspec.structs.replace(
            drifting.darkness("gate", episode.since, sequence=900 + number),
            after=msgspec.structs.replace(drifting.frame("gate", captured, sequence), **where),
            before=before,
        )
        for number, (captured, sequence, before) in enumerate(
            [
                (episode.after.captured, episode.after.sequence, None),
                (episode.after.captured - timedelta(seconds=1.3), 5, None),
                (episode.after.captured + timedelta(seconds=5), 6, None),
            ]
        )
    )
    await write(ours, Name.DRIFT, "gate", exact, near, gone)
    async with asking(ours, tmp_path) as (door, client):
        answer = await client.get(f"/episodes/{exact.id}/after")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.content == other
        assert (await client.get(f"/episodes/{near.id}/after")).content == GOLDEN + b"early"
        assert "recorded" in problem(await client.get(f"/episodes/{gone.id}/after"), "picture-gone")["detail"]
        assert "known" in problem(await client.get(f"/episodes/{exact.id}/before"), "picture-gone")["detail"]
        problem(await client.get(f"/episodes/{exact.id}/meanwhile"), "invalid")
        erased = FrameLabel(exact.after.id if exact.after else "", "erased", now, "ann")
        await write(ours, Name.LABELS, erased.frame, erased)
        await eventually(lambda: door.services.labels.table.is_erased(erased.frame))
        problem(await client.get(f"/episodes/{exact.id}/after"), "picture-gone")


async def test_what_is_not_read_yet_is_not_taken_for_nothing(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.client() as client:
        for path in ("/signals", "/episodes", "/episodes/x", "/alerts"):
            answer = await client.get(path)
            assert "drift.v1" in problem(answer, "away")["detail"]
            assert answer.headers["retry-after"] == "5"
        problem(await client.get("/signals/door"), "away")


async def test_readers_take_turns(tmp_path: Path) -> None:
    past = SignalHistory(stack.settings_for(tmp_path, "127.0.0.1:1", {"kafka": {"timeout_s": 5}}), timeout_s=0.2)
    now = datetime.now(UTC)
    for _ in range(history.AT_A_TIME):
        await past._turns.acquire()
    with pytest.raises(BusyError):
        await past.windows("gate", now, now)
    past._turns.release()
    with pytest.raises(BrokerError):
        await past.windows("gate", now, now)


async def test_a_camera_lies_where_producers_put_it(ours: Settings) -> None:
    async with clients.running(clients.durable_producer(ours), ours) as producer:
        for camera in ("gate", "door-2", "a", "zz-9"):
            sent: Any = await producer.send_and_wait(
                f"{ours.kafka.topic_prefix}{Name.SIGNALS}", value=b"{}", key=camera.encode()
            )
            assert partition_of(ours, Name.SIGNALS, camera).partition == sent.partition


async def test_with_blur_faces_are_hidden_and_all_of_a_picture_of_which_nothing_is_known(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path
) -> None:
    settings = kafka.settings(labels={"blur": True})
    await create_topics(settings, *TOPICS, Name.DETECTIONS)
    now = datetime.now(UTC)
    episode = drifting.darkness("gate", now - timedelta(minutes=5))
    assert episode.before is not None
    assert episode.after is not None
    partition = await record(settings, "gate", episode.before.captured, GOLDEN, episode.before.sequence)
    await record(settings, "gate", episode.after.captured, GOLDEN, episode.after.sequence)
    before, after = (
        msgspec.structs.replace(frame, partition=partition) for frame in (episode.before, episode.after)
    )  # fmt: skip
    box = (0.1, 0.1, 0.4, 0.8)
    seen = Detection(after, drifting.MODEL, now, (DetectedFace("with_mask", 0.9, box),))
    await write(settings, Name.DETECTIONS, "gate", seen)
    await write(settings, Name.DRIFT, "gate", msgspec.structs.replace(episode, before=before, after=after))
    async with asking(settings, tmp_path) as (_, client):
        shown = (await client.get(f"/episodes/{episode.id}/after")).content
        unknown = (await client.get(f"/episodes/{episode.id}/before")).content
    assert near(shown, blurred(GOLDEN, [box]))
    assert near(unknown, blurred(GOLDEN, None))
    assert not near(shown, GOLDEN)


def near(one: bytes, other: bytes) -> bool:
    """Tell whether two pictures are the same."""
    pixels = [np.asarray(simplejpeg.decode_jpeg(jpeg, "RGB"), np.float64) for jpeg in (one, other)]
    return bool(np.abs(pixels[0] - pixels[1]).max() < 3)
