"""A second and a third worker join and leave, again and again; cameras go on meanwhile."""

import asyncio
import itertools
import signal
import time
from pathlib import Path

import pytest

from maskwatch.settings import Settings
from tests.faults.conftest import Figure, Prepare
from tests.support.faulty import Faulty
from tests.support.shown import showing
from tests.support.stack import Valkey
from tests.support.stage import Stage, stages
from tests.support.traffic import Subscriber, traffic
from tests.support.workers import CAMERAS, RATE, all_seen

QUIET_S = 15
EVERY_S = 10


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_workers_that_come_and_go_cost_some_frames_and_no_camera(
    prepare: Prepare, valkey: Valkey, tmp_path: Path, figure: Figure
) -> None:
    settings = await prepare(valkey={"url": valkey.url})
    await come_and_go(settings, tmp_path, figure, 300)


async def come_and_go(settings: Settings, folder: Path, figure: Figure, seconds: float) -> None:
    constant = Faulty(folder / "constant")
    async with (
        stages(constant.stage(settings), Stage("live", settings)),
        traffic(settings, CAMERAS, RATE) as (cameras, seen),
        showing(settings.valkey_url) as shown,
    ):
        await all_seen(seen, time.time(), 60)
        began = time.time()
        await asyncio.sleep(QUIET_S)
        quiet = share(seen, cameras.published, began, time.time())
        began = time.time()
        async with asyncio.TaskGroup() as both:
            for number in range(2):
                both.create_task(one_that_comes_and_goes(settings, folder, number, began + seconds))
        ended = time.time()
        busy = share(seen, cameras.published, began, ended)
        gap = max(seen.longest_gap(began, ended, camera) for camera in CAMERAS)
    assert constant.assignments > seconds / EVERY_S
    fault = "two workers join and leave every 10 s for 5 min"
    figure(f"{fault}: share of the frames that are detected", busy, least=0.7)
    figure("one worker alone: share of the frames that are detected", quiet)
    figure(f"{fault}: longest time without a detection of a camera", gap, "s", most=5)
    figure(
        f"{fault}: share of the detections that are repeated", len(seen.duplicates()) / len(seen.arrivals), most=0.01
    )
    figure(f"{fault}: pictures seen twice or out of order", len(shown.steps_back()), most=0)


async def one_that_comes_and_goes(settings: Settings, folder: Path, number: int, until_then: float) -> None:
    for life in itertools.count():
        if time.time() > until_then:
            return
        worker = Faulty(folder / f"{number}-{life}")
        async with stages(worker.stage(settings)) as (stage,):
            await asyncio.sleep(EVERY_S * (1 + number / 2))
            stage.signal(signal.SIGTERM)
            assert await stage.ended() == 0
        await asyncio.sleep(EVERY_S)


def share(seen: Subscriber, published: dict[str, float], began: float, ended: float) -> float:
    """Return the share of the frames of a time that were detected."""
    frames = {identity for identity, at in published.items() if began < at < ended - 1}
    return len(frames & set(seen.ids())) / len(frames)
