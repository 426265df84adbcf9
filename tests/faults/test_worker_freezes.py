"""A detector worker that freezes as a whole, or whose inference hangs; cameras go on meanwhile."""

import asyncio
import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from maskwatch.errors import StuckError
from maskwatch.kafka import HEARTBEAT_MS, SESSION_TIMEOUT_MS
from maskwatch.settings import Settings
from tests.faults.conftest import Figure, Prepare
from tests.support.faulty import SCRIPT, Faulty
from tests.support.kept_up import Told, kept_up
from tests.support.shown import showing
from tests.support.stack import Valkey
from tests.support.stage import Stage, stages, until
from tests.support.traffic import Subscriber, traffic
from tests.support.workers import BATCH, BUDGET_S, CAMERAS, RATE, SLOW_S, all_seen, stale

HEARTBEAT_S = HEARTBEAT_MS / 1000
THAWED_S = 5
"""How long people look on after a worker is back, for what it might show."""


class Thaw(NamedTuple):
    """What came of a worker that was frozen and went on."""

    taken_over: float
    """Seconds until the other worker had all cameras."""
    stale: list[float]
    """Ages of detections that were too old."""
    duplicates: int
    steps_back: list[tuple[str, str]]
    """Pictures that people saw again, or after a later one."""
    pictures: int


async def freeze(settings: Settings, folder: Path, frozen_s: float) -> Thaw:
    """Freeze one of two workers in mid-batch, and let it go on."""
    zombie, other = (Faulty(folder / name, slow_s=SLOW_S) for name in ("zombie", "other"))
    async with (
        stages(zombie.stage(settings), other.stage(settings), Stage("live", settings)) as (frozen, _, _),
        traffic(settings, CAMERAS, RATE) as (_, seen),
        showing(settings.valkey_url) as shown,
    ):
        await until(lambda: zombie.begun() and other.begun(), 60, "both workers have cameras")
        await all_seen(seen, time.time(), 60)
        await until(lambda: zombie.looking, 20, "the worker is in mid-batch")
        frozen.signal(signal.SIGSTOP)
        stopped = time.time()
        taken_over = await all_seen(seen, stopped, 40)
        await asyncio.sleep(max(0.0, stopped + frozen_s - time.time()))
        before = len(seen.duplicates())
        frozen.signal(signal.SIGCONT)
        thawed = time.time()
        await asyncio.sleep(THAWED_S)
        await all_seen(seen, time.time(), 30)
    return Thaw(
        taken_over, stale(seen, thawed), len(seen.duplicates()) - before, shown.steps_back(), len(shown.pictures)
    )


def show_nothing_old(thaw: Thaw) -> None:
    assert not thaw.stale
    assert not thaw.steps_back
    assert thaw.duplicates <= BATCH
    assert thaw.pictures > 10 * len(CAMERAS)


@pytest.mark.parametrize("frozen_s", [13, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(240)])])
async def test_a_worker_that_was_frozen_shows_nothing_old(
    prepare: Prepare, valkey: Valkey, tmp_path: Path, figure: Figure, frozen_s: float
) -> None:
    settings = await prepare(valkey={"url": valkey.url})
    thaw = await freeze(settings, tmp_path, frozen_s)
    fault = f"a worker is frozen for {frozen_s} s"
    figure(f"{fault}: every camera is detected again after", thaw.taken_over, "s", most=15)
    figure(f"{fault} and goes on: pictures seen twice or out of order", len(thaw.steps_back), most=0)
    figure(f"{fault} and goes on: detections of old frames", len(thaw.stale), most=0)
    figure(f"{fault} and goes on: detections that the other worker made too", thaw.duplicates, most=BATCH)
    show_nothing_old(thaw)


@pytest.mark.long
async def test_control_a_frozen_worker_without_an_age_budget_publishes_what_is_old(
    prepare: Prepare, valkey: Valkey, tmp_path: Path
) -> None:
    settings = await prepare(valkey={"url": valkey.url}, detector={"age_budget_s": 3600, "seek_after_s": 3600})
    thaw = await freeze(settings, tmp_path, 13)
    with pytest.raises(AssertionError):
        show_nothing_old(thaw)
    assert max(thaw.stale) > 10


async def test_inference_that_hangs_for_a_while_goes_on_and_nobody_rebalances(
    prepare: Prepare, tmp_path: Path, figure: Figure
) -> None:
    settings = await prepare(detector={"stuck_after_s": 12})
    hanging, other = (Faulty(tmp_path / name) for name in ("hanging", "other"))
    async with (
        stages(hanging.stage(settings), other.stage(settings)) as (stuck, _),
        traffic(settings, CAMERAS, RATE) as (_, seen),
    ):
        await until(lambda: hanging.begun() and other.begun(), 60, "both workers have cameras")
        await all_seen(seen, time.time(), 60)
        before = hanging.assignments, other.assignments
        hanging.hang(6)
        await until(lambda: not hanging.will_hang, 10, "inference hangs")
        began = time.time()
        await until(lambda: "inference takes long" in stuck.log(), 20, "people are warned")
        back = await all_seen(seen, began, 30)
        await asyncio.sleep(2)
        assert (hanging.assignments, other.assignments) == before
    assert back > 5
    assert not stale(seen, began)
    figure("inference hangs for 6 s: every camera is detected again after", back, "s", most=9)
    figure(
        "inference hangs for 6 s and goes on: age of the oldest frame that is then detected",
        max(a.age for a in seen.since(began)),
        "s",
        most=BUDGET_S + 1,
    )


class Restart(NamedTuple):
    """What came of a worker whose inference hung, and which was to be started anew."""

    back: float
    """Seconds from the hanging until every camera was detected."""
    told: Told
    seen: Subscriber
    began: float
    rebalances: int
    """How often the other worker was given partitions anew."""


async def hang(prepare: Prepare, folder: Path, stuck_after_s: float, bound_s: float) -> Restart:
    """Let the inference of one of two workers hang for good."""
    settings = await prepare(detector={"instance": "one", "stuck_after_s": stuck_after_s})
    beside = Settings.model_validate(
        {**settings.model_dump(), "detector": {**settings.detector.model_dump(), "instance": "two"}}
    )
    hanging, other = (Faulty(folder / name) for name in ("hanging", "other"))
    async with (
        kept_up(settings, SCRIPT, folder, hanging.variables) as told,
        stages(other.stage(beside)),
        traffic(settings, CAMERAS, RATE) as (_, seen),
    ):
        await until(lambda: hanging.begun() and other.begun(), 60, "both workers have cameras")
        await all_seen(seen, time.time(), 60)
        before = other.assignments
        hanging.hang(40)
        await until(lambda: not hanging.will_hang, 10, "inference hangs")
        began = time.time()
        back = await all_seen(seen, began, bound_s)
        return Restart(back, told, seen, began, other.assignments - before)


@pytest.mark.parametrize(
    ("stuck_after_s", "bound_s"),
    [(3, 20), pytest.param(30, 42, marks=[pytest.mark.long, pytest.mark.timeout(240)])],
)
async def test_a_worker_whose_inference_hangs_is_started_anew(
    prepare: Prepare, tmp_path: Path, figure: Figure, stuck_after_s: float, bound_s: float
) -> None:
    restart = await hang(prepare, tmp_path, stuck_after_s, 60)
    (reason,) = restart.told.deaths
    assert reason.startswith(f"ended with exit code {StuckError.exit_code}: ")
    assert f"pictures for {stuck_after_s:g} s" in reason
    assert not stale(restart.seen, restart.began)
    fault = f"inference hangs for 40 s, and the watchdog acts after {stuck_after_s:g} s"
    figure(
        f"{fault}: every camera is detected again after",
        restart.back, "s", most=bound_s,
    )  # fmt: skip
    figure(f"{fault}: rebalances", restart.rebalances, most=1)
    # A machine that is too slow to start a worker within a session has one.
    assert not restart.rebalances or restart.back - stuck_after_s > SESSION_TIMEOUT_MS / 1000 - HEARTBEAT_S


@pytest.mark.long
async def test_control_without_the_watchdog_a_hanging_worker_is_not_back_in_time(
    prepare: Prepare, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="waited 20 s in vain until every camera is detected"):
        await hang(prepare, tmp_path, 59, 20)
