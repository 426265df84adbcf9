"""The one writer of models is killed after each of its steps; all workers end on one model, and no command is lost."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from maskwatch.messages import decode
from maskwatch.model_messages import Champion
from maskwatch.promoting import promote
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.faults.conftest import Figure, Prepare
from tests.support import killed_rollout
from tests.support.models import another
from tests.support.stack import CreateTopics
from tests.support.stage import MALLOC, Stage, stages, until
from tests.support.topic import read_all
from tests.support.traffic import Subscriber, traffic
from tests.support.workers import CAMERAS

RATE = 2
ALIKE_S = 30
TOPICS = (Name.MODEL_VERSIONS, Name.COMMANDS, Name.LABELS, Name.SHADOW)
"""Besides a detector's."""

STEPS = (
    "command read",
    "transaction begun",
    "record written",  # the champion's
    "record written",  # of the version that serves
    "record written",  # of the one that served
    "offset written",
    "transaction committed",
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "steps",
    [pytest.param([4], id="one"), pytest.param(range(1, len(STEPS) + 1), id="each", marks=pytest.mark.long)],
)
async def test_the_one_writer_of_models_is_killed_after_its_steps(
    prepare: Prepare, create_topics: CreateTopics, tmp_path: Path, figure: Figure, steps: Iterable[int]
) -> None:
    await kill(await prepared(prepare, create_topics, tmp_path), tmp_path, figure, steps)


async def prepared(prepare: Prepare, create_topics: CreateTopics, folder: Path) -> Settings:
    settings = (await prepare()).model_copy(update={"data_dir": folder / "data"})
    await create_topics(settings, *TOPICS)
    return settings


async def kill(settings: Settings, folder: Path, figure: Figure, steps: Iterable[int]) -> None:
    versions = itertools.cycle("ab")
    models = {version: another(folder / version, version) for version in "ab"}
    promoted = [next(versions)]
    waits = []
    async with working(settings, folder) as (rollout, seen):
        await asyncio.to_thread(promote, settings, str(models[promoted[0]]), verdict=None, why="")
        await until(lambda: serving(seen) == set(promoted), ALIKE_S, "the first model looks")
        for step in steps:
            promoted.append(next(versions))
            (folder / "kill").write_text(str(step))
            # Nobody answers whoever asks, and the command is there all the same.
            asking = asyncio.create_task(
                asyncio.to_thread(promote, settings, str(models[promoted[-1]]), verdict=None, why="")
            )
            await rollout.ended()
            killed = time.time()
            assert (folder / "killed").read_text() == STEPS[step - 1]
            rollout.start()
            await until(lambda: serving(seen) == {promoted[-1]}, ALIKE_S, f"all are alike after {STEPS[step - 1]}")
            waits.append(time.time() - killed)
            await asyncio.gather(asking, return_exceptions=True)
        # A step more would be one that this does not know.
        (folder / "kill").write_text(str(len(STEPS) + 1))
        promoted.append(next(versions))
        await asyncio.to_thread(promote, settings, str(models[promoted[-1]]), verdict=None, why="")
        await until(lambda: serving(seen) == {promoted[-1]}, ALIKE_S, "the last model looks")
        told = [decode(record.value, Champion).model for record in await read_all(settings, Name.MODELS)]
    assert [model.version for model in told if model is not None] == promoted
    figure("from the kill until every camera is looked at by the new model", max(waits), "s", most=ALIKE_S)


@asynccontextmanager
async def working(settings: Settings, folder: Path) -> AsyncIterator[tuple[Stage, Subscriber]]:
    """Let cameras publish, two workers look, and a rollout wait for its end."""
    rollout = Stage("rollout", settings, script=Path(killed_rollout.__file__), FAULTS=str(folder))
    workers = [Stage("detector", settings, script=None, **MALLOC) for _ in range(2)]
    async with stages(rollout, *workers), traffic(settings, CAMERAS, RATE) as (_, seen):
        yield rollout, seen


def serving(seen: Subscriber) -> set[str]:
    """Return the versions by which each camera's latest frame was looked at; empty if a camera's was not yet."""
    by_camera = {arrival.detection.frame.camera: arrival.detection.model.version for arrival in seen.arrivals}
    return set(by_camera.values()) if len(by_camera) == len(CAMERAS) else set()
