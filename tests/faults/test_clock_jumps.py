"""Clocks that are wrong: a worker's jumps by an hour, a camera's is off by a day. Neither is asked what time it is."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest

from maskwatch.settings import Settings
from tests.faults.conftest import Figure, Prepare
from tests.support.faulty import Faulty
from tests.support.stage import stages
from tests.support.traffic import traffic
from tests.support.workers import CAMERAS, RATE, all_seen

STEADY_S = 4
"""How long people look on after each jump."""

GAP_S = 3
HOUR_S = 3600


async def jump(settings: Settings, worker: Faulty) -> float:
    """Let a worker's clock jump there and back, and return the longest time without a detection of some camera."""
    async with stages(worker.stage(settings)), traffic(settings, CAMERAS, RATE, timedelta(days=1)) as (_, seen):
        await all_seen(seen, time.time(), 60)
        began = time.time()
        for seconds in (HOUR_S, -HOUR_S, 0):
            worker.set_clock(seconds)
            await asyncio.sleep(STEADY_S)
        ended = time.time()
        await asyncio.sleep(1)
        return max(seen.longest_gap(began, ended, camera) for camera in CAMERAS)


async def test_detection_goes_on_when_clocks_are_wrong_and_jump(
    prepare: Prepare, tmp_path: Path, figure: Figure
) -> None:
    worker = Faulty(tmp_path)
    worker.set_clock(HOUR_S / 2)  # wrong from the start
    gap = await jump(await prepare(), worker)
    figure(
        "the worker's clock jumps by 1 h, the cameras' are a day ahead: longest time without a detection of a camera",
        gap, "s", most=GAP_S,
    )  # fmt: skip


@pytest.mark.long
async def test_control_with_ages_by_the_wall_clock_a_jump_ends_detection(prepare: Prepare, tmp_path: Path) -> None:
    gap = await jump(await prepare(), Faulty(tmp_path, undefended="wall-clock"))
    assert gap > GAP_S
