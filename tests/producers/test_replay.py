import asyncio
import itertools
import os
import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from maskwatch import kafka as clients
from maskwatch.errors import BrokerError, RecordingError, SettingsError
from maskwatch.messages import Camera, CameraStatus, decode, read_frame_headers
from maskwatch.recording.format import Recorded
from maskwatch.settings import Settings
from maskwatch.topics import Name
from producers import claims
from producers.publishing import StatePublisher
from producers.replay import Outcome, told
from producers.replay_plan import order
from producers.sending import Counts
from producers.wishes import Wish, read_wish, write_wish
from tests.support.command import maskwatch
from tests.support.recordings import frame, written
from tests.support.replaying import replayed, replaying
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import read_all
from tests.support.waiting import eventually

TOPICS = (Name.CAMERAS, Name.CAMERA_STATUS, Name.FRAMES_LIVE)
Headers = tuple[tuple[str, bytes], ...]


@pytest.fixture
async def topics(settings: Settings, create_topics: CreateTopics) -> Settings:
    await create_topics(settings, *TOPICS)
    return settings


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    async with clients.running(clients.durable_producer(settings), settings) as running:
        yield running


@pytest.fixture
def visit(tmp_path: Path) -> Path:
    """Two cameras, ten frames each, 20 ms apart."""
    return written(
        tmp_path / "visit.mcap",
        [
            frame(camera, n, at_ms=20 * n, jpeg=f"{camera} {n}".encode())
            for n in range(10)
            for camera in ("door", "hall")
        ],
    )


async def live(settings: Settings) -> list[tuple[str, str, Headers]]:
    """Key, picture and headers of every live frame."""
    found = await read_all(settings, Name.FRAMES_LIVE)
    return [((r.key or b"").decode(), (r.value or b"").decode(errors="replace"), tuple(r.headers)) for r in found]


async def wishes(settings: Settings) -> dict[str, Wish | None]:
    return dict(read_wish(r.key, r.value, r.headers) for r in await read_all(settings, Name.CAMERAS))


async def statuses(settings: Settings, camera: str) -> list[tuple[str, str]]:
    found = [decode(r.value, CameraStatus) for r in await read_all(settings, Name.CAMERA_STATUS)]
    return [(status.state, status.reason) for status in found if status.camera == camera]


async def show(
    producer: AIOKafkaProducer, settings: Settings, camera: Camera, capturer: str | None, *, online: bool = True
) -> None:
    """Let a camera be another process's."""
    value, headers = write_wish(Wish(camera, capturer), "/test", datetime.now(UTC))
    await clients.send(producer, settings, Name.CAMERAS, key=camera.id, value=value, headers=headers)
    if online:
        status = CameraStatus(camera=camera.id, state="online", since=datetime.now(UTC))
        await StatePublisher(producer, settings, "other").status(status)


async def test_replayed_frames_are_new_frames_with_all_else_kept(topics: Settings, visit: Path) -> None:
    running = await replayed(topics, visit)
    outcome = running.task.result()
    assert told(outcome).startswith("replayed 20 frames of 2 cameras in ")
    assert told(outcome).endswith(" s; 0 not acknowledged")
    found = await live(topics)
    assert sorted(found) == sorted(found, key=lambda one: (one[0], one[1]))
    sessions = set()
    for camera in ("door", "hall"):
        mine = [one for one in found if one[0] == camera]
        assert [jpeg for _, jpeg, _ in mine] == [f"{camera} {n}" for n in range(10)]
        for number, (_, _, headers) in enumerate(mine):
            info = read_frame_headers(headers)
            assert dict(headers)["ce_id"].decode() == info.id == f"{camera}:{info.session}:{number}"
            sessions.add(info.session)
            changed = {"ce_id", "ce_session"}
            original = frame(camera, number, at_ms=20 * number).headers
            assert [pair for pair in headers if pair[0] not in changed] == [
                pair for pair in original if pair[0] not in changed
            ]
            assert [name for name, _ in headers] == [name for name, _ in original]
    assert len(sessions) == 2
    assert "recorded" not in sessions
    await replayed(topics, visit, speed=10)
    assert len({read_frame_headers(headers).session for _, _, headers in await live(topics)}) == 4


async def test_as_recorded_headers_are_the_same_byte_for_byte(topics: Settings, visit: Path) -> None:
    await replayed(topics, visit, as_recorded=True, fast=True)
    found = await live(topics)
    assert len(found) == 20
    for camera, jpeg, headers in found:
        number = int(jpeg.split()[1])
        assert headers == frame(camera, number, at_ms=20 * number).headers


async def test_the_pace_is_the_recorded_one_or_scaled(topics: Settings, tmp_path: Path) -> None:
    file = written(tmp_path / "slow.mcap", [frame("door", n, at_ms=400 * n) for n in range(4)])
    real = (await replayed(topics, file)).task.result()
    assert real.seconds >= 1.2
    times = [record.timestamp for record in await read_all(topics, Name.FRAMES_LIVE)]
    assert times[-1] - times[0] >= 1100
    halved = (await replayed(topics, file, speed=0.5)).task.result()
    assert halved.seconds >= 2.4
    fast = (await replayed(topics, file, fast=True)).task.result()
    assert fast.seconds < real.seconds
    assert {real.counts.frames, halved.counts.frames, fast.counts.frames} == {4}


async def test_as_fast_as_possible_everything_is_acknowledged_in_order(topics: Settings, tmp_path: Path) -> None:
    jpeg = os.urandom(50_000)
    file = written(
        tmp_path / "hour.mcap",
        (frame("door", n, at_ms=36_000 * n, jpeg=jpeg if n else b"first") for n in range(600)),
    )
    outcome = (await replayed(topics, file, fast=True)).task.result()
    assert (outcome.counts.frames, outcome.counts.unacknowledged, outcome.counts.late) == (600, 0, 0)
    found = await read_all(topics, Name.FRAMES_LIVE)
    assert [read_frame_headers(record.headers).sequence for record in found] == list(range(600))


async def test_a_loop_begins_again_with_new_sessions_until_it_is_stopped(topics: Settings, visit: Path) -> None:
    async with replaying(topics, order(visit, cameras=["door"], loop=True, speed=10)) as running:
        await eventually(lambda: running.task.done() or _more_than(topics, 25))
        outcome = await running.end()
    found = [read_frame_headers(headers) for _, _, headers in await live(topics)]
    assert {info.camera for info in found} == {"door"}
    assert len({info.id for info in found}) == len(found) == outcome.counts.frames
    assert len({info.session for info in found}) >= 3
    assert (await statuses(topics, "door"))[-1] == ("offline", "the replay was stopped")


async def _more_than(settings: Settings, least: int) -> bool:
    return len(await live(settings)) > least


async def test_the_console_shows_the_cameras_while_it_lasts(topics: Settings, tmp_path: Path) -> None:
    file = written(tmp_path / "long.mcap", [frame("door", n, at_ms=100 * n) for n in range(100)])
    async with replaying(topics, order(file)) as running:
        await eventually(lambda: live(topics))
        wish = (await wishes(topics))["door"]
        assert wish is not None
        assert wish.camera == Camera(
            id="door", source="replay:long.mcap", name="door (replay)", rate=10.1, record_rate=0
        )
        assert wish.capturer is not None
        assert await statuses(topics, "door") == [("online", "")]
        await running.end()
    assert await wishes(topics) == {"door": None}
    assert await statuses(topics, "door") == [("online", ""), ("offline", "the replay was stopped")]
    assert len(await live(topics)) < 100


async def test_a_camera_that_is_online_elsewhere_is_refused_and_can_be_renamed(
    topics: Settings, producer: AIOKafkaProducer, visit: Path
) -> None:
    await show(producer, topics, Camera(id="door", source="webcam:0"), "other")
    shooting = asyncio.create_task(_shoot(producer, topics, "door"))
    try:
        with pytest.raises(SettingsError, match=r"camera «door» is online from another process: .*--rename door="):
            await replayed(topics, visit)
        assert {key for key, _, _ in await live(topics)} <= {"door"}
        await replayed(topics, visit, renamed=["door=door-again"], speed=10)
    finally:
        shooting.cancel()
    found = await live(topics)
    again = [(jpeg, headers) for key, jpeg, headers in found if key == "door-again"]
    assert [jpeg for jpeg, _ in again] == [f"door {n}" for n in range(10)]
    for _, headers in again:
        info = read_frame_headers(headers)
        assert (info.camera, info.id) == ("door-again", f"door-again:{info.session}:{info.sequence}")
        assert dict(headers)["ce_source"] == b"/cameras/door-again"
    wished = await wishes(topics)
    assert wished["door"] == Wish(Camera(id="door", source="webcam:0"), "other")
    assert wished["door-again"] is None
    assert await statuses(topics, "door") == [("online", "")]


async def _shoot(producer: AIOKafkaProducer, settings: Settings, camera: str) -> None:
    name = f"{settings.kafka.topic_prefix}{Name.FRAMES_LIVE}"
    while True:
        await producer.send_and_wait(name, b"live", camera.encode())
        await asyncio.sleep(0.1)


async def test_what_a_killed_process_left_behind_is_in_nobodys_way(
    topics: Settings, producer: AIOKafkaProducer, visit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "LOOK_S", 0.5)
    await show(producer, topics, Camera(id="door", source="replay:visit.mcap", rate=10), "replay-dead")
    await show(producer, topics, Camera(id="hall", source="webcam:0", rate=10), "other")
    running = await replayed(topics, visit, speed=10)
    assert "door, hall: said to be online, but no frame came for 0 s; replaying" in running.text
    assert running.task.result().counts.frames == 20
    wished = await wishes(topics)
    assert wished["door"] is None
    # Somebody wishes for this one, and goes on to.
    assert wished["hall"] == Wish(Camera(id="hall", source="webcam:0", rate=10), "other")
    assert (await statuses(topics, "hall"))[-1] == ("offline", "the replay has ended")


async def test_a_camera_that_is_taken_over_is_left_to_whoever_took_it(
    topics: Settings, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.mcap", [frame("door", n, at_ms=50 * n) for n in range(400)])
    async with replaying(topics, order(file)) as running:
        await eventually(lambda: live(topics))
        await show(producer, topics, Camera(id="door", source="webcam:0"), "other")
        await eventually(lambda: "camera «door» was taken over or removed" in running.text)
        outcome = await running.end()
    assert 0 < outcome.counts.frames < 400
    assert (await wishes(topics))["door"] == Wish(Camera(id="door", source="webcam:0"), "other")
    assert await statuses(topics, "door") == [("online", "")] * 2


async def test_a_cut_off_file_is_replayed_up_to_the_cut(topics: Settings, tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.mcap", (frame("door", n, jpeg=os.urandom(30_000)) for n in range(90)))
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole.read_bytes()[:-200_000])
    running = await replayed(topics, cut, fast=True)
    outcome = running.task.result()
    found = await read_all(topics, Name.FRAMES_LIVE)
    assert 0 < len(found) == outcome.counts.frames < 90
    assert outcome.cut.startswith(f"{cut} is cut off after {len(found)} records")
    assert f"maskwatch: {outcome.cut}" in running.text
    cut.write_bytes(whole.read_bytes()[:1000])
    with pytest.raises(RecordingError, match=r"cut\.mcap is cut off after 0 records.*: nothing in it can be replayed"):
        await replayed(topics, cut)


async def test_other_topics_go_where_they_came_from_when_named(
    settings: Settings, create_topics: CreateTopics, tmp_path: Path
) -> None:
    await create_topics(settings, *TOPICS, Name.FRAMES_RECORDING, Name.DETECTIONS, Name.SCENE)
    knobs = Recorded(Name.SCENE.value, 0, 7, 5, b"door", b'{"light":0.5}', (("a", b"b"), ("a", b"c")))
    detection = Recorded(Name.DETECTIONS.value, 0, 8, 1_770_000_000_100, b"door", b"{}", ())
    nothing = Recorded(Name.DETECTIONS.value, 0, 9, 1_770_000_000_100, None, None, ())
    copy = frame("door", 0, topic=Name.FRAMES_RECORDING.value)
    unreadable = Recorded(Name.FRAMES_RECORDING.value, 0, 1, 1_770_000_000_000, b"door", b"x", (("ce_camera", b"d"),))
    file = written(tmp_path / "a.mcap", [knobs, copy, unreadable, detection, nothing])
    outcome = (await replayed(settings, file, names=["scene.v1", "detections.v1"])).task.result()
    assert told(outcome).startswith("replayed 0 frames of 0 cameras and 2 other records in ")
    assert outcome.counts.unacknowledged == 1
    for name, recorded in ((Name.SCENE, knobs), (Name.DETECTIONS, detection)):
        (found,) = await read_all(settings, name)
        assert (found.key, found.value, tuple(found.headers)) == (recorded.key, recorded.value, recorded.headers)
    assert await wishes(settings) == {}
    # The copies alone are shown live; named, they are copies again.
    await replayed(settings, file)
    assert len(await live(settings)) == 2
    await replayed(settings, file, names=["frames.recording.v1"])
    again = await read_all(settings, Name.FRAMES_RECORDING)
    assert len(again) == 2
    assert len(await live(settings)) == 2
    assert tuple(again[1].headers) == unreadable.headers
    assert dict(again[0].headers)["ce_session"] != b"recorded"


async def test_an_outage_costs_live_frames_and_ends_without_a_burst(
    own_broker: Kafka, create_topics: CreateTopics, tmp_path: Path
) -> None:
    settings = own_broker.settings()
    await create_topics(settings, *TOPICS)
    file = written(tmp_path / "a.mcap", [frame("door", n, at_ms=50 * n) for n in range(4000)])
    async with replaying(settings, order(file), terminal=True) as running:
        await eventually(lambda: live(settings))
        await asyncio.to_thread(own_broker.kill)
        await eventually(lambda: "Kafka does not acknowledge" in running.text)
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(3)
        await asyncio.to_thread(own_broker.start)
        away_s = asyncio.get_running_loop().time() - before
        await eventually(lambda: "Kafka acknowledges again" in running.text)
        await eventually(lambda: re.search(r"[1-9]\d* not acknowledged, [1-9]\d* late", running.text))
        outcome = await running.end()
        found = await read_all(settings, Name.FRAMES_LIVE)
    sequences = [read_frame_headers(record.headers).sequence for record in found]
    assert sequences == sorted(sequences)
    gap = max(after - one for one, after in itertools.pairwise(sequences))
    # 20 frames a second were due; what was due while the broker was away, but for the last second, is gone.
    assert gap >= 20 * (away_s - 2)
    assert outcome.counts.late > 0
    assert outcome.counts.late + outcome.counts.unacknowledged >= gap - 1 - 20


async def test_a_fast_replay_waits_for_a_broker_that_is_away_and_loses_nothing(
    own_broker: Kafka, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.sending.SILENCE_S", 0.5)
    monkeypatch.setattr("producers.claims.LAST_WORDS_S", 0.5)
    settings = own_broker.settings(kafka={"timeout_s": 3})
    await create_topics(settings, *TOPICS)
    jpeg = os.urandom(200_000)
    file = written(tmp_path / "a.mcap", (frame("door", n, jpeg=jpeg) for n in range(300)))
    async with replaying(settings, order(file, fast=True)) as running:
        await eventually(lambda: "replaying" in running.text)
        await eventually(lambda: live(settings))
        await asyncio.to_thread(own_broker.kill)
        await eventually(lambda: running.task.done() or "Kafka does not acknowledge" in running.text)
        await asyncio.to_thread(own_broker.start)
        outcome = await running.task
        found = await read_all(settings, Name.FRAMES_LIVE)
    assert (outcome.counts.frames, outcome.counts.unacknowledged) == (300, 0)
    sequences = [read_frame_headers(record.headers).sequence for record in found]
    assert sorted(set(sequences)) == list(range(300))
    # Told to stop meanwhile, it says what was not taken.
    async with replaying(settings, order(file, fast=True, loop=True)) as running:
        await eventually(lambda: _more_than(settings, 310))
        await asyncio.to_thread(own_broker.kill)
        await eventually(lambda: "Kafka does not acknowledge" in running.text)
        outcome = await running.end()
    assert outcome.counts.unacknowledged > 0
    await asyncio.to_thread(own_broker.start)


async def test_what_is_missing_is_named(settings: Settings, create_topics: CreateTopics, visit: Path) -> None:
    await create_topics(settings, Name.FRAMES_LIVE)
    with pytest.raises(BrokerError, match=r"has no topic camera-status\.v1, cameras\.v1; .*topics --create"):
        await replayed(settings, visit)
    with pytest.raises(RecordingError, match="cannot be read: No such file"):
        await replayed(settings, visit.parent / "missing.mcap")


def test_the_last_line_counts_what_was_lost() -> None:
    counts = Counts()
    counts.frames, counts.cameras, counts.unacknowledged, counts.late = 1, {b"door"}, 2, 3
    assert told(Outcome(counts, 61.2, "")) == (
        "replayed 1 frame of 1 camera in 61.2 s; 2 not acknowledged, 3 too late and dropped"
    )


async def test_the_command_line(topics: Settings, visit: Path) -> None:
    with maskwatch(
        topics, "replay", str(visit), "--speed", "10", "--camera", "door", "--rename", "door=gate"
    ) as process:
        output, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, errors
    assert re.fullmatch(r"replayed 10 frames of 1 camera in \S+ s; 0 not acknowledged\n", output)
    assert errors == f"replaying {visit}; Ctrl-C ends it\n"
    with maskwatch(topics, "replay", str(visit), "--loop") as process:
        assert process.stderr is not None
        await asyncio.to_thread(process.stderr.readline)
        await eventually(lambda: _more_than(topics, 12))
        process.send_signal(signal.SIGINT)
        output, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert re.match(r"replayed \d+ frames of 2 cameras in ", output)
    assert (await wishes(topics)) == {"gate": None, "door": None, "hall": None}
