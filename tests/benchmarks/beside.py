"""What the learning loop costs those who watch: ages of pictures beside the model before, and beside a training.

Everything on one stack, in turns, so that a machine that others use is the same for all: nothing beside, the model
before looking on at one frame in twenty, and a training at the lowest priority, as a round runs.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from statistics import median

import click
import psutil
from rich.console import Console

from consumers.round_process import give_way
from maskwatch.learning_settings import RetrainSettings
from maskwatch.promoting import promote, roll_back
from maskwatch.settings import MODELS
from tests.benchmarks.material import recorded_jpegs
from tests.benchmarks.measure import ages_at, limit, prepare_stack, running_stack
from tests.benchmarks.report import markdown_table
from tests.support.machine import this_machine, write_between
from tests.support.models import another
from tests.support.stage import until
from tests.support.up import Up
from training import rehearsal
from training.datasets import manifest as manifests

LOAD = 50
"""Percent of what goes through on its own: room for cameras to come and go, as installations have it."""

THROUGH = 0.65
"""Of decode and inference alone, what goes through Kafka at least (docs/performance.md)."""

BARE_S, AGES_S, ROUNDS = 15.0, 45.0, 3
BUSY_S = 20.0
"""So much of a core a training takes to read what it needs."""

STARTED_S = 300.0

DRAWN = 200


@contextmanager
def looking_on(up: Up, folder: Path) -> Iterator[None]:
    """Let a model serve that the model before watches."""
    told = _told(up)
    promote(up.settings, str(another(folder / "new", "new")), verdict=None, why="")
    asyncio.run(until(lambda: _told(up) > told, STARTED_S, "both models are loaded"))
    try:
        yield
    finally:
        roll_back(up.settings, why="")


def _told(up: Up) -> int:
    """Return how often the worker has logged that it has two models."""
    return (up.home / "logs" / "detector.log").read_text(encoding="utf-8").count("the model before looks on")


@contextmanager
def training(folder: Path) -> Iterator[None]:
    """Train on drawn people, at the lowest priority."""
    lesson, out = folder / "manifest.json", folder / "run"
    if not lesson.exists():
        manifests.save(rehearsal.base(RetrainSettings(base=None, rehearsal=DRAWN), folder / "drawn"), lesson)
    start = MODELS / "default" / "checkpoint.pt"
    command = [sys.executable, "-m", "maskwatch", "train", "--manifest", lesson, "--model", start, "--epochs", "100"]
    with (folder / "train.log").open("ab") as log:
        process = subprocess.Popen(
            [*map(str, command), "--out", str(out)],
            preexec_fn=give_way,  # noqa: PLW1509  # no thread runs here
            start_new_session=True,
            stdout=log,
            stderr=log,
        )
    try:
        asyncio.run(until(lambda: _busy(process), STARTED_S, "it trains"))
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the training has ended: {(folder / 'train.log').read_text()[-1000:]}")
    finally:
        process.terminate()
        process.wait(60)


def _busy(process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"the training ended with exit code {process.returncode}")
    return sum(psutil.Process(process.pid).cpu_times()[:2]) > BUSY_S


@click.command()
@click.option("--recording", type=click.Path(path_type=Path), default=Path("build/bench.mcap"), show_default=True)
@click.option("--docs", type=click.Path(path_type=Path), help="Write the table there too, such as docs/learning.md.")
def bench(recording: Path, docs: Path | None) -> None:
    """Measure ages beside what the learning loop does; leave the machine alone meanwhile."""
    console = Console(highlight=False)
    recorded_jpegs(recording)
    home = prepare_stack()
    capacity = THROUGH * limit(recording, BARE_S)
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(dir="build") as folder, running_stack(home) as up:
        turns: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "nothing": nullcontext,
            "the model before, one frame in twenty": lambda: looking_on(up, Path(tempfile.mkdtemp(dir=folder))),
            "a training": lambda: training(Path(folder).resolve()),
        }
        for number in range(ROUNDS):
            for beside, begin in turns.items():
                console.print(f"round {number + 1} of {ROUNDS}, beside: {beside}")
                with begin():
                    ages, _ = ages_at(up, recording, LOAD, capacity, AGES_S)
                found.setdefault(beside, []).append((ages.p50_ms, ages.p95_ms))
    rows = [
        (beside, *(f"{median(one[place] for one in ages):.0f} ms" for place in (0, 1)))
        for beside, ages in found.items()
    ]
    said = (
        f"{markdown_table(('beside', 'age p50', 'age p95'), rows)}\n\n"
        f"At {LOAD} % of {capacity:.0f} frames/s from eight cameras, medians of {ROUNDS} turns. "
        f"{this_machine().sentence()}."
    )
    console.print(said)
    if docs is not None:
        write_between(docs, "beside", said)


if __name__ == "__main__":
    bench()
