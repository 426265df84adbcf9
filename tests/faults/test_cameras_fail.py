"""Network cameras fail: a silent one is soon known to and soon back, and those that flap cost the others little."""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

import psutil
import pytest

from maskwatch.messages import CameraStatus, decode
from maskwatch.settings import Settings
from maskwatch.subscribe import Frame, subscribe
from maskwatch.topics import Name
from producers import wishing
from tests.faults.conftest import Figure
from tests.support.rtsp import Line, RtspCamera, line_to, rtsp_camera
from tests.support.stack import CreateTopics, Kafka
from tests.support.stage import Stage, stages
from tests.support.topic import read_all
from tests.support.weight import weigh

TOPICS = (Name.CAMERAS, Name.CAMERA_STATUS, Name.FRAMES_LIVE, Name.FRAMES_RECORDING, Name.SCENE)
RATE = 5
PATIENCE_S = 60.0
FLAPPING = 10
UP_S, DOWN_S = 4.0, 2.0
TRIES_AN_HOUR = 60
"""An offline camera is tried once a minute."""

SETTLED = 10
"""Tries after which everything that happens once has happened."""


@pytest.fixture
async def ours(kafka: Kafka, create_topics: CreateTopics) -> Settings:
    settings = kafka.settings(capture={"allowed_networks": ["127.0.0.0/8"]})
    await create_topics(settings, *TOPICS)
    return settings


@asynccontextmanager
async def capturing(settings: Settings) -> AsyncIterator[Stage]:
    """Capture what is wished for, as a process of its own."""
    async with stages(Stage("camera", settings)) as (stage,):
        yield stage


async def wish(settings: Settings, camera: str, address: str) -> None:
    """Wish for a camera; once more means: try it now."""
    made = wishing.new(settings, address, {"id": camera, "rate": float(RATE), "record_rate": 0.0}, {})
    await wishing.publish(settings, made, camera)


async def until_it_is(settings: Settings, camera: str, state: str) -> CameraStatus:
    """Wait until its last status is such, and return it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            records = await read_all(settings, Name.CAMERA_STATUS)
            told = [decode(record.value, CameraStatus) for record in records if record.key == camera.encode()]
            if told and told[-1].state == state:
                return told[-1]
            await asyncio.sleep(0.1)


class Failure(NamedTuple):
    """A way to fail, and to come back."""

    name: str
    fail: Callable[[RtspCamera, Line], None]
    come_back: Callable[[RtspCamera, Line], None]


FAILURES = (
    Failure("frozen", lambda camera, _: camera.freeze(), lambda camera, _: camera.thaw()),
    Failure("behind a line that is dead", lambda _, line: line.cut(), lambda _, line: line.mend()),
    Failure("killed", lambda camera, _: camera.kill(), lambda camera, _: camera.start()),
)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name.split()[0])
@pytest.mark.parametrize("away_s", [0.0, pytest.param(20.0, marks=pytest.mark.long)], ids=["briefly", "for-long"])
async def test_a_camera_that_fails_is_known_to_and_is_back_when_it_is(
    ours: Settings, figure: Figure, failure: Failure, away_s: float
) -> None:
    with rtsp_camera() as camera, line_to(camera) as line:
        address = camera.address().replace(str(camera.port), str(line.port))
        async with capturing(ours):
            await wish(ours, "door", address)
            await until_it_is(ours, "door", "online")
            failed = time.monotonic()
            failure.fail(camera, line)
            status = await until_it_is(ours, "door", "offline")
            figure(
                f"a camera that is {failure.name} is known to be offline after", time.monotonic() - failed, "s", most=25
            )
            assert status.reason
            await asyncio.sleep(away_s)
            failure.come_back(camera, line)
            back = time.monotonic()
            await wish(ours, "door", address)
            await until_it_is(ours, "door", "online")
            figure("it is back and tried at once: frames again after", time.monotonic() - back, "s", most=10)


async def frames_of(settings: Settings, seconds: float, *cameras: str) -> Counter[str]:
    """Count frames that are published in so many seconds."""
    found: Counter[str] = Counter()
    async with subscribe(Frame, settings=settings, keys=cameras) as frames:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for frame in frames:
                    found[frame.info.camera] += 1
    return found


@pytest.mark.parametrize(
    "seconds",
    [12.0, pytest.param(60.0, marks=[pytest.mark.long, pytest.mark.timeout(300)])],
    ids=["briefly", "a-minute"],
)
async def test_ten_flapping_cameras_cost_the_others_little(ours: Settings, figure: Figure, seconds: float) -> None:
    steady = [f"steady-{number}" for number in range(2)]
    with rtsp_camera() as calm, rtsp_camera() as nervous:
        async with capturing(ours):
            for name in steady:
                await wish(ours, name, calm.address())
                await until_it_is(ours, name, "online")
            before = await frames_of(ours, seconds, *steady)

            async def flap() -> None:
                while True:
                    await asyncio.sleep(UP_S)
                    await asyncio.to_thread(nervous.kill)
                    await asyncio.sleep(DOWN_S)
                    await asyncio.to_thread(nervous.start)

            for number in range(FLAPPING):
                await wish(ours, f"flapping-{number}", nervous.address())
            flapping = asyncio.create_task(flap())
            during = await frames_of(ours, seconds, *steady)
            flapping.cancel()
            await asyncio.gather(flapping, return_exceptions=True)
            told = Counter(
                (record.key or b"").decode().partition("-")[0] + " " + decode(record.value, CameraStatus).state
                for record in await read_all(ours, Name.CAMERA_STATUS)
            )
    assert told["flapping offline"] >= FLAPPING
    share = min(during[name] / before[name] for name in steady)
    figure(f"frames of two cameras while {FLAPPING} others flap, as a share of those without", share, least=0.95)


@contextmanager
def closing_host() -> Iterator[tuple[int, list[float]]]:
    """A host that takes a connection and ends it; tells its port, and when it was asked."""
    asked: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    server.accept()[0].close()
                    asked.append(time.monotonic())

        threading.Thread(target=accept, daemon=True).start()
        yield int(server.getsockname()[1]), asked
        server.shutdown(socket.SHUT_RDWR)


async def test_an_offline_camera_leaks_nothing_over_as_many_tries_as_in_an_hour(ours: Settings, figure: Figure) -> None:
    with closing_host() as (port, asked):
        address = f"rtsp://127.0.0.1:{port}/x"
        async with capturing(ours) as stage:

            async def tries(number: int) -> None:
                async with asyncio.timeout(PATIENCE_S):
                    while len(asked) < number:
                        await wish(ours, "gone", address)
                        await asyncio.sleep(0.05)

            process = psutil.Process(stage.running.pid)
            await tries(SETTLED)
            await until_it_is(ours, "gone", "offline")
            before, children = weigh({"camera": process})["camera"], len(process.children(recursive=True))
            await tries(SETTLED + TRIES_AN_HOUR)
            await asyncio.sleep(1)
            gained = weigh({"camera": process})["camera"].gained(before)
            # One reads at a time; the others are what forks.
            more = len(process.children(recursive=True)) - children
    figure(
        f"memory that capture gained in {TRIES_AN_HOUR} tries of a camera that is not there",
        gained.memory,
        "MB",
        most=4,
    )
    figure("open files that it gained", gained.files, most=2)
    figure("threads that it gained", gained.threads, most=1)
    figure("processes that it gained", more, most=1)
