"""A detector worker that is killed, or asked to end; cameras go on meanwhile."""

import functools
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.faults.conftest import Figure, Prepare
from tests.support.faulty import SCRIPT, Faulty
from tests.support.kept_up import kept_up
from tests.support.stage import stages, until
from tests.support.traffic import Subscriber, traffic
from tests.support.workers import BATCH, CAMERAS, RATE, SLOW_S, all_seen


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.long)])
async def test_the_partitions_of_a_worker_killed_in_mid_batch_are_taken_over(
    prepare: Prepare, tmp_path: Path, figure: Figure, kills: int
) -> None:
    settings = await prepare()
    workers = [Faulty(tmp_path / str(number), slow_s=SLOW_S) for number in range(kills + 1)]
    running = [worker.stage(settings) for worker in workers]
    taken_over = []
    async with AsyncExitStack() as each, traffic(settings, CAMERAS, RATE) as (_, seen):
        await each.enter_async_context(stages(running[0]))
        for victim, process, heir, next_process in zip(workers, running, workers[1:], running[1:], strict=False):
            await each.enter_async_context(stages(next_process))
            await until(heir.begun, 60, "both workers have cameras")
            await all_seen(seen, time.time(), 60)
            await until(functools.partial(getattr, victim, "looking"), 20, "the worker is in mid-batch")
            process.signal(signal.SIGKILL)
            killed = time.time()
            await process.ended()
            assert victim.looking
            taken_over.append(await all_seen(seen, killed, 40))
    figure("a worker is killed in mid-batch: every camera is detected again after", max(taken_over), "s", most=15)
    figure("a worker is killed in mid-batch: detections repeated", len(seen.duplicates()) / kills, most=BATCH)


async def test_a_killed_worker_with_a_name_of_its_own_is_back_at_once(
    prepare: Prepare, tmp_path: Path, figure: Figure
) -> None:
    settings = await prepare(detector={"instance": "one"})
    worker = Faulty(tmp_path / "faults", slow_s=SLOW_S)
    async with kept_up(settings, SCRIPT, tmp_path, worker.variables) as told, traffic(settings, CAMERAS) as (_, seen):
        await all_seen(seen, time.time(), 60)
        told.process().kill()
        back = await all_seen(seen, time.time(), 40)
    assert [reason.partition(":")[0] for reason in told.deaths] == ["was killed by SIGKILL"]
    figure(
        "the only worker is killed and started anew by the supervisor: every camera is detected again after",
        back,
        "s",
        most=15,
    )


async def test_a_worker_that_goes_finishes_what_it_has_begun_and_one_that_comes_gets_its_share(
    prepare: Prepare, tmp_path: Path, figure: Figure
) -> None:
    settings = await prepare()
    first, second = (Faulty(tmp_path / name, slow_s=SLOW_S) for name in ("first", "second"))
    async with (
        stages(first.stage(settings), second.stage(settings)) as (leaving, _),
        traffic(settings, CAMERAS, RATE) as (_, seen),
    ):
        await until(lambda: first.begun() and second.begun(), 60, "both workers have cameras")
        await all_seen(seen, time.time(), 60)
        await until(lambda: first.looking, 20, "the worker is in mid-batch")
        leaving.signal(signal.SIGTERM)
        asked = time.time()
        assert await leaving.ended() == 0
        ended = time.time() - asked
        taken_over = await all_seen(seen, asked, 40)
        await until(lambda: all_published(seen, first), 10, "all that was begun is published")
        repeated = len(seen.duplicates())
        shared = second.assignments
        leaving.start()
        await leaving.ready()
        await until(lambda: second.assignments > shared, 30, "the partitions are shared anew")
        joined = await all_seen(seen, time.time(), 40)
    figure("a worker is asked to end: it has ended after", ended, "s", most=20)
    figure("a worker is asked to end: every camera is detected again after", taken_over, "s", most=5)
    figure("a worker is asked to end: detections repeated", repeated, "", most=0)
    figure("a worker joins: every camera is detected again after", joined, "s", most=5)
    figure("a worker joins: detections repeated", len(seen.duplicates()), "", most=BATCH)


def all_published(seen: Subscriber, worker: Faulty) -> bool:
    return worker.begun() <= {(a.detection.frame.partition, a.detection.frame.offset) for a in seen.arrivals}
