"""``maskwatch cameras`` as it is typed, on a real Kafka, a real capture and a camera that asks for a password."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import msgspec
import psutil
import pytest
from click.testing import CliRunner
from PIL import Image

from maskwatch import kafka as clients
from maskwatch.cli import main
from maskwatch.embedded.broker import free_port
from maskwatch.errors import SettingsError
from maskwatch.messages import Camera, CameraStatus
from maskwatch.settings import Settings
from maskwatch.topics import Name
from producers.publishing import StatePublisher
from producers.wishes import Wish
from producers.wishing import changed
from tests.support.rtsp import PASSWORD, USER, rtsp_camera
from tests.support.stack import PORTS, CreateTopics, Kafka, settings_for
from tests.support.stage import Stage, stages, variables
from tests.support.topic import read_all
from tests.support.waiting import eventually

WRONG = "wr0ng-p%40ss"
RIGHT = "p%40ss%3Aw%2Frd"
SECRETS = (f"{USER}:", f"{USER}@", PASSWORD, RIGHT, WRONG, "wr0ng-p@ss")
CAPTURED = (Name.CAMERAS, Name.CAMERA_STATUS, Name.FRAMES_LIVE, Name.FRAMES_RECORDING, Name.SCENE)


class Operator:
    """Somebody at a terminal; all that was ever shown there is kept."""

    def __init__(self, settings: Settings) -> None:
        self.shown = ""
        self._variables = variables(settings)

    async def types(self, *arguments: str, code: int = 0) -> str:
        """Type a command, and return what it says."""
        done = await asyncio.to_thread(
            CliRunner().invoke, main, ["cameras", *arguments], env=self._variables, catch_exceptions=False
        )
        self.shown += done.output
        assert done.exit_code == code, done.output
        return done.output

    async def state(self, camera: str) -> tuple[str, str]:
        """Return how a camera is, and why; empty if there is none."""
        rows = json.loads(await self.types("list", "--json"))
        return next(((row["state"], row["reason"]) for row in rows if row["id"] == camera), ("", ""))


@pytest.fixture
async def ours(kafka: Kafka, create_topics: CreateTopics, tmp_path: Path) -> Settings:
    settings = kafka.settings(capture={"allowed_networks": ["127.0.0.0/8"]}, metrics={"port": free_port(PORTS)})
    await create_topics(settings, *CAPTURED)
    return settings.model_copy(update={"data_dir": tmp_path / "home"})


def in_lists_of_processes(stage: Stage) -> str:
    """Return how a stage and all its children look to everybody on this machine."""
    capture = psutil.Process(stage.running.pid)
    return "\n".join(" ".join(process.cmdline()) for process in (capture, *capture.children(recursive=True)))


async def seen_by_others(settings: Settings, stage: Stage) -> str:
    """Return all that somebody without the key can see of the cameras."""
    metrics = await asyncio.to_thread(
        lambda: urlopen(f"http://127.0.0.1:{settings.metrics.port}", timeout=10).read().decode()
    )
    assert 'maskwatch_frames_captured_total{camera="gate"}' in metrics
    texts = [metrics, stage.log(), in_lists_of_processes(stage)]
    for name in CAPTURED:
        for record in await read_all(settings, name):
            headers = b" ".join(value for _, value in record.headers)
            is_picture = name in {Name.FRAMES_LIVE, Name.FRAMES_RECORDING}
            texts.append(b" ".join([record.key or b"", headers, b"" if is_picture else record.value or b""]).decode())
    return "\n".join(texts)


@pytest.mark.timeout(240)
async def test_cameras_are_kept_across_restarts_and_their_passwords_are_seen_nowhere(
    ours: Settings, tmp_path: Path
) -> None:
    operator = Operator(ours)
    capture = Stage("camera", ours)
    with rtsp_camera(locked=True) as camera:

        def login(password: str) -> str:
            return camera.address().replace("rtsp://", f"rtsp://{USER}:{password}@")

        async def is_online() -> bool:
            return await operator.state("gate") == ("online", "")

        async def is_refused() -> bool:
            return "refuses user or password" in (await operator.state("cellar"))[1]

        assert "no camera is wished for" in await operator.types("list")
        still = tmp_path / "still.jpg"
        assert "640x360" in await operator.types("test", login(RIGHT), "--save", str(still))
        with Image.open(still) as picture:
            assert picture.size == (640, 360)
        assert "refuses user or password" in await operator.types("test", login(WRONG), code=78)
        await operator.types("add", login(RIGHT), "--id", "gate", "--rate", "5")
        await operator.types("add", login(WRONG), "--id", "cellar")
        assert "already" in await operator.types("add", login(RIGHT), "--id", "gate", code=78)
        async with stages(capture):
            await eventually(is_online)
            await eventually(is_refused)
            await operator.types("change", "gate", "--rate", "2", "--name", "The gate")
            await operator.types("pause", "gate", "cellar")
            assert await operator.state("gate") == ("paused", "")
            await operator.types("resume", "gate", "cellar")
            await operator.types("retry", "cellar")
            await eventually(is_online)
            capture.running.terminate()
            assert await capture.ended() == 0
            assert await operator.state("gate") == ("offline", "stopped")
            # What is wished for is in the topic, and the key beside the data: nothing has to be said again.
            capture.start()
            await capture.ready()
            await eventually(is_online)
            await eventually(is_refused)
            assert "gate  rtsp://127.0.0.1" in await operator.types("list")
            everything = operator.shown + await seen_by_others(ours, capture)
            await operator.types("remove", "gate", "cellar")
            assert await operator.state("gate") == ("", "")
    assert "no camera «gate»" in await operator.types("retry", "gate", code=78)
    assert "cellar" in everything
    assert [secret for secret in SECRETS if secret in everything] == []


def test_a_clip_is_paused_and_tried_again_from_where_its_path_leads_nowhere(tmp_path: Path) -> None:
    # Cameras are looked after from one machine and captured on another; no disk is shared.
    clip = Camera(id="hall", source="/on/another/machine/hall.mp4", cast="/there/too", zones=((0.1, 0.1, 0.2, 0.2),))
    settings, wishes = settings_for(tmp_path, "127.0.0.1:1", {}), {"hall": Wish(clip)}
    assert changed(settings, "hall", {}, wishes) == clip
    assert changed(settings, "hall", {"paused": True}, wishes) == msgspec.structs.replace(clip, paused=True)
    with pytest.raises(SettingsError, match=r"rate: Expected `float` <= 60\.0"):
        changed(settings, "hall", {"rate": 61.0}, wishes)
    with pytest.raises(SettingsError, match="there is no clip or folder at /nor/here"):
        changed(settings, "hall", {"source": "/nor/here"}, wishes)


async def test_a_camera_of_a_process_is_removed_once_that_has_ended(ours: Settings) -> None:
    operator, now = Operator(ours), datetime.now(UTC)
    async with clients.running(clients.durable_producer(ours), ours) as producer:
        states = StatePublisher(producer, ours, "another")
        await states.wish(Camera(id="desk", source="webcam:0"))
        await states.status(CameraStatus("desk", "online", now))
        assert "end that process" in await operator.types("remove", "desk", code=78)
        await states.status(CameraStatus("desk", "offline", now, "stopped"))
    assert "alone says how it is captured" in await operator.types("pause", "desk", code=78)
    await operator.types("remove", "desk")
    assert await operator.state("desk") == ("", "")
