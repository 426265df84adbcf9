import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import pytest
import simplejpeg
import structlog
from prometheus_client import REGISTRY

from maskwatch import kafka as clients
from maskwatch.errors import BrokerError, SettingsError
from maskwatch.messages import Camera, CameraStatus, FrameInfo, SceneKnobs, decode, read_frame_headers
from maskwatch.settings import Settings
from maskwatch.topics import Name
from producers import knobs
from producers.cadence import Paced, Wait
from producers.capture import capture_cameras, ready_text, stage
from producers.opening import Turned, open_source
from producers.source import Source
from producers.wishes import DEMO, Wish, read_wish, write_wish
from tests.support.sources import FakeScene, ListSource, picture
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import read_all
from tests.support.waiting import eventually

TOPICS = (Name.CAMERAS, Name.CAMERA_STATUS, Name.FRAMES_LIVE, Name.FRAMES_RECORDING, Name.SCENE)
SCENE = Camera(id="hall", source="scene", rate=20)


def small_scene(camera: Camera, knobs: Callable[[], SceneKnobs], wait: Wait) -> Source:
    """A scene that costs nothing to draw."""
    if camera.source != "scene":
        return open_source(camera, knobs, wait)
    return Paced(Turned(FakeScene(), knobs), camera.rate, wait=wait)


@pytest.fixture
async def topics(settings: Settings, create_topics: CreateTopics) -> Settings:
    await create_topics(settings, *TOPICS)
    return settings


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "Front door.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 180))
    for number in range(20):
        writer.write(picture(320, 180, level=10 * number))
    writer.release()
    return path


@contextlib.asynccontextmanager
async def capturing(settings: Settings, *own: Camera, **options: Any) -> AsyncIterator[asyncio.Task[None]]:  # noqa: ANN401
    """Capture until the end of the block."""
    stop = asyncio.Event()
    task = asyncio.create_task(capture_cameras(own, settings, stop, **{"opening": small_scene, **options}))
    try:
        yield task
    finally:
        stop.set()
        await task


async def frames(settings: Settings, name: Name = Name.FRAMES_LIVE) -> list[tuple[FrameInfo, bytes]]:
    return [(read_frame_headers(record.headers), record.value or b"") for record in await read_all(settings, name)]


async def statuses(settings: Settings) -> list[tuple[str, str, str]]:
    found = [decode(record.value, CameraStatus) for record in await read_all(settings, Name.CAMERA_STATUS)]
    return [(status.camera, status.state, status.reason) for status in found]


async def wishes(settings: Settings) -> dict[str, Wish | None]:
    found = await read_all(settings, Name.CAMERAS)
    return dict(read_wish(record.key, record.value, record.headers) for record in found)


async def wish(settings: Settings, camera: Camera, *, value: bytes | None = b"") -> None:
    """Wish for a camera as the API does: for whoever follows."""
    written, headers = write_wish(Wish(camera), "/test", datetime.now(UTC))
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        await clients.send(
            producer,
            settings,
            Name.CAMERAS,
            key=camera.id,
            value=None if value is None else value or written,
            headers=headers,
        )


async def test_a_clip_goes_to_both_topics_and_then_the_stage_ends(topics: Settings, clip: Path) -> None:
    capture = stage(topics, str(clip), {"loop": False, "pace": "fast", "rate": 25.0, "record_rate": 2.0}, None)
    await capture(topics, asyncio.Event())
    live = await frames(topics)
    assert [info.sequence for info, _ in live] == list(range(20))
    assert {(info.camera, info.width, info.height, info.truth) for info, _ in live} == {("front-door", 320, 180, None)}
    for number, (_, jpeg) in enumerate(live):
        assert abs(int(simplejpeg.decode_jpeg(jpeg)[90, 160, 0]) - 10 * number) < 5
    recorded = await frames(topics, Name.FRAMES_RECORDING)
    assert recorded
    assert len(recorded) < 20
    assert all(frame in live for frame in recorded)
    assert {record.key for record in await read_all(topics, Name.FRAMES_LIVE)} == {b"front-door"}
    assert await statuses(topics) == [
        ("front-door", "online", ""),
        ("front-door", "offline", "the clip has ended"),
    ]
    found = (await wishes(topics))["front-door"]
    assert found is not None
    assert found.camera.source == str(clip)
    assert found.capturer is not None


async def test_wishes_start_change_and_end_cameras(topics: Settings) -> None:
    await wish(topics, SCENE)
    await wish(topics, Camera(id="gone", source="scene"))
    await wish(topics, Camera(id="gone", source="scene"), value=None)
    await wish(topics, Camera(id="odd", source="scene"), value=b"{")
    async with capturing(topics):
        await eventually(lambda: frames(topics))
        (first, _), *_ = await frames(topics)
        assert (first.camera, first.width) == ("hall", 64)
        await wish(topics, Camera(id="hall", source="scene", rate=20, longest_side=64, quality=20))
        await wish(topics, Camera(id="door", source="scene", rate=20))

        async def all_came() -> bool:
            sessions = {(info.camera, info.session) for info, _ in await frames(topics)}
            return sorted(camera for camera, _ in sessions) == ["door", "hall", "hall"]

        await eventually(all_came)
        await wish(topics, SCENE, value=None)

        async def hall_stopped() -> bool:
            return [state[1:] for state in await statuses(topics) if state[0] == "hall"][-1] == ("offline", "stopped")

        await eventually(hall_stopped)
        assert [state for state in await statuses(topics) if state[0] == "door"] == [("door", "online", "")]
    assert ("door", "offline", "stopped") in await statuses(topics)
    assert {"gone", "odd"}.isdisjoint(info.camera for info, _ in await frames(topics))


async def test_the_demo_is_shown_when_nothing_is_wished_for_and_goes_with_its_process(topics: Settings) -> None:
    async with capturing(topics, or_demo=True):
        await eventually(lambda: frames(topics))
        found = (await wishes(topics))["demo"]
        assert found is not None
        assert found.camera == DEMO
        await knobs.turn(topics, "demo", ["light=0.5"])

        async def darker() -> bool:
            _, jpeg = (await frames(topics))[-1]
            return abs(int(simplejpeg.decode_jpeg(jpeg)[0, 0, 0]) - 40) < 4

        await eventually(darker)
        async with clients.running(clients.durable_producer(topics), topics) as producer:
            for value in (b"{", None):
                await clients.send(producer, topics, Name.SCENE, key="demo", value=value, headers=[])

        async def bright_again() -> bool:
            return not await darker()

        await eventually(bright_again)
    assert (await statuses(topics))[-1] == ("demo", "offline", "stopped")
    assert await wishes(topics) == {"demo": None}


async def test_the_demo_is_not_shown_beside_other_wishes(topics: Settings) -> None:
    await wish(topics, SCENE)
    async with capturing(topics, or_demo=True):
        await eventually(lambda: frames(topics))
    assert (await wishes(topics)).keys() == {"hall"}


async def test_a_camera_of_one_process_is_captured_by_no_other(topics: Settings) -> None:
    async with capturing(topics), capturing(topics, SCENE):
        await eventually(lambda: frames(topics))
        await wish(topics, Camera(id="door", source="scene", rate=20))

        async def both() -> bool:
            return {info.camera for info, _ in await frames(topics)} == {"hall", "door"}

        await eventually(both)
        assert len({info.session for info, _ in await frames(topics)}) == 2


async def test_the_last_who_wishes_for_a_camera_takes_it_over(topics: Settings) -> None:
    async with capturing(topics, SCENE) as first:
        await eventually(lambda: frames(topics))
        async with capturing(topics, SCENE):
            # The first has no camera left, so it ends by itself.
            await asyncio.wait_for(first, 30)
            ended = await frames(topics)

            async def goes_on() -> bool:
                return len(await frames(topics)) > len(ended) + 3

            await eventually(goes_on)
    sessions = [info.session for info, _ in await frames(topics)]
    assert len(set(sessions)) == 2


async def test_a_camera_that_cannot_be_opened_says_why_and_harms_no_other(topics: Settings) -> None:
    async with capturing(topics, SCENE, Camera(id="webcam-999", source="webcam:999")):
        await eventually(lambda: frames(topics))

        async def told() -> list[str]:
            return [
                reason
                for camera, state, reason in await statuses(topics)
                if (camera, state) == ("webcam-999", "offline")
            ]

        assert (await eventually(told))[0].startswith("no webcam 999: ")
    assert ("webcam-999", "offline", "stopped") in await statuses(topics)


async def test_a_source_that_blocks_holds_up_neither_the_start_nor_the_stop(
    topics: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    source = ListSource([], released=released)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        try:
            async with capturing(topics, SCENE, opening=lambda *_: source):
                told = await asyncio.to_thread(notify.recv, 4096)
        finally:
            released.set()
    assert "STATUS=camera «hall» gave no frame yet" in told.decode()
    assert await statuses(topics) == [("hall", "offline", "stopped")]


async def test_a_bug_in_a_source_ends_the_stage(topics: Settings) -> None:
    broken = ListSource([picture()], error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await capture_cameras([SCENE], topics, asyncio.Event(), opening=lambda *_: broken)


async def test_a_broker_that_is_not_there_is_an_error(settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        away = settings.model_copy(
            update={"kafka": settings.kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:{port}"})}
        )
        with pytest.raises(BrokerError, match=f"Kafka at 127.0.0.1:{port} cannot be used"):
            await capture_cameras([SCENE], away, asyncio.Event())


async def test_a_killed_broker_costs_frames_ends_without_a_burst_and_does_not_hold_up_the_stop(
    own_broker: Kafka, create_topics: CreateTopics
) -> None:
    settings = own_broker.settings()
    await create_topics(settings, *TOPICS)

    def lost() -> float:
        labels = {"camera": "outage", "reason": "unacknowledged"}
        return REGISTRY.get_sample_value("maskwatch_frames_not_published_total", labels) or 0

    with structlog.testing.capture_logs() as logs:
        async with capturing(settings, Camera(id="outage", source="scene", rate=20)):
            await eventually(lambda: frames(settings))
            threads = threading.active_count()
            await asyncio.to_thread(own_broker.kill)
            killed = datetime.now(UTC)
            await eventually(lambda: lost() >= 4)
            assert threading.active_count() <= threads + 1  # the one that waited for the kill
            starting = datetime.now(UTC)
            await asyncio.to_thread(own_broker.start)

            async def goes_on() -> list[datetime]:
                captured = [info.captured for info, _ in await frames(settings)]
                return [time for time in captured if time > starting + timedelta(seconds=2)]

            await eventually(goes_on)
            arrived = [info for info, _ in await frames(settings)]
            await asyncio.to_thread(own_broker.kill)
    events = [entry["event"] for entry in logs]
    assert events.count("frames are acknowledged again") == 1
    assert "Kafka was not told that the cameras stop" in events
    # What was on its way when the broker died, or was being tried when it came back, may have arrived.
    captured = [info.captured for info in arrived]
    assert [t for t in captured if killed + timedelta(seconds=1) < t < starting - timedelta(seconds=1)] == []
    sequences = [info.sequence for info in arrived]
    assert sequences == sorted(sequences)
    await asyncio.to_thread(own_broker.start)


def test_what_is_asked_for_must_fit_together(tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text('[[camera]]\nsource = "scene"\n')
    with pytest.raises(SettingsError, match="give a SOURCE or --file, not both"):
        stage(Settings(), "scene", {}, file)
    with pytest.raises(SettingsError, match="id, rate: belongs to a SOURCE"):
        stage(Settings(), None, {"rate": 3.0, "id": "a"}, None)


async def test_the_file_of_the_settings_is_read_at_the_start(topics: Settings, clip: Path, tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(f'[[camera]]\nid = "a"\nsource = "{clip.name}"\nloop = false\npace = "fast"\n')
    settings = topics.model_copy(update={"capture": topics.capture.model_copy(update={"file": file})})
    await stage(settings, None, {}, None)(settings, asyncio.Event())
    assert {info.camera for info, _ in await frames(topics)} == {"a"}


def test_the_line_for_whoever_started_it() -> None:
    assert ready_text([], {}) == "no camera is wished for"
    assert ready_text(["a"], {}) == "camera «a» gave no frame yet"
    assert ready_text(["a", "b", "c", "d", "e"], {"b": "1280x720 at 5 frames/s"}) == (
        "camera «a» gave no frame yet; camera «b» 1280x720 at 5 frames/s; camera «c» gave no frame yet; and 2 more"
    )


class CommandLine:
    """`maskwatch camera` as a process, with somebody who waits for its readiness."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "MASKWATCH_KAFKA__BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "MASKWATCH_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
            "NOTIFY_SOCKET": str(folder / "notify"),
        }
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        self._notify.settimeout(60)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "maskwatch", "camera", *arguments],
            env=self._environment,
            cwd=self._folder,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> str:
        fields = dict(line.split("=", 1) for line in self._notify.recv(4096).decode().splitlines())
        assert fields["READY"] == "1"
        return fields["STATUS"]

    def close(self) -> None:
        self._notify.close()


async def test_the_command_line(topics: Settings, tmp_path: Path, clip: Path) -> None:
    command = CommandLine(tmp_path, topics)
    try:
        once = command.start(clip.name, "--once", "--fast", "--id", "once", "--width", "160")
        assert await asyncio.to_thread(command.ready) == "camera «once» 160x90 at 10 frames/s"
        assert await asyncio.to_thread(once.wait, 60) == 0, once.stderr and once.stderr.read()
        assert {info.width for info, _ in await frames(topics)} == {160}
        once.communicate()

        for number in (signal.SIGTERM, signal.SIGINT):
            looped = command.start(clip.name, "--id", f"looped-{number}")
            assert "at 10 frames/s" in await asyncio.to_thread(command.ready)
            looped.send_signal(number)
            assert await asyncio.to_thread(looped.wait, 60) == 0
            _, errors = looped.communicate()
            assert "Traceback" not in errors
            assert (f"looped-{number}", "offline", "stopped") in await statuses(topics)

        waiting = command.start()
        assert await asyncio.to_thread(command.ready) == "no camera is wished for"
        waiting.terminate()
        assert await asyncio.to_thread(waiting.wait, 60) == 0
        waiting.communicate()
    finally:
        command.close()
