"""A round of the learning loop is killed, runs out of disk, runs out of memory; each time it goes on where it was."""

import asyncio
import importlib.util
import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from maskwatch.model_messages import Verdict
from maskwatch.settings import Settings
from maskwatch.store import Store
from maskwatch.topics import Name
from tests.faults.conftest import Figure
from tests.support.disk import small_disk
from tests.support.rounds import SMALL, labelled, round_command
from tests.support.stack import CreateTopics, Kafka
from tests.support.stage import until, variables
from training import gate

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        importlib.util.find_spec("ultralytics") is None, reason="the training packages are not here: make test TRAIN=1"
    ),
    pytest.mark.timeout(1800),
]

KILLS = 10
LABELS = 12
DISK_MB = 400
ROOM = 2**20
"""Bytes that are left to a process that is to run out of memory."""


async def prepared(kafka: Kafka, create_topics: CreateTopics, data_dir: Path, pictures: Path) -> Settings:
    settings = kafka.settings(**SMALL).model_copy(update={"data_dir": data_dir})
    await create_topics(settings, Name.MODELS, Name.MODEL_VERSIONS, Name.COMMANDS)
    labelled(Store(settings), pictures, LABELS)
    return settings


class Round:
    """A round in a process of its own, that can be started again."""

    def __init__(self, settings: Settings, out: Path) -> None:
        self.out = out
        self._environment = os.environ | variables(settings)

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            round_command(self.out, "the light changed"), env=self._environment, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def finish(self) -> tuple[int, str]:
        """Start it, wait for its end, and return its exit code and what it said."""
        process = self.start()
        _, said = process.communicate(timeout=900)
        return process.returncode, said

    def trains(self) -> bool:
        return bool(list(self.out.glob("training/run/weights/exact-*.pt")))

    def verdict(self) -> dict[str, Any]:
        """Return what was judged, without names and times."""
        verdict = msgspec.json.decode((self.out / gate.FILE).read_bytes(), type=Verdict)
        rows = {row.name: (row.outcome, row.value) for row in verdict.conditions if row.name != "speed"}
        return {"promote": verdict.promote, "p": verdict.p_better, "rows": rows}


async def test_a_round_that_is_killed_at_ten_moments_ends_as_if_it_had_not_been(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path, figure: Figure
) -> None:
    settings = await prepared(kafka, create_topics, tmp_path / "data", tmp_path / "people")
    whole = Round(settings, tmp_path / "whole")
    began = time.monotonic()
    assert (await asyncio.to_thread(whole.finish))[0] == 0
    takes = time.monotonic() - began
    killed, moments = Round(settings, tmp_path / "killed"), random.Random(1)
    kills = 0
    for _ in range(KILLS):
        process = killed.start()
        try:
            await asyncio.to_thread(process.communicate, timeout=moments.uniform(0.05, 0.45) * takes)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.communicate)
            kills += 1
    code, said = await asyncio.to_thread(killed.finish)
    assert code == 0, said[-2000:]
    fault = "a round of the learning loop is killed at random moments"
    figure(f"{fault}: kills", kills, least=5)
    figure(f"{fault}: verdicts that differ from those of one that was not", killed.verdict() != whole.verdict(), most=0)


async def test_a_full_disk_is_said_and_the_round_goes_on_once_there_is_room(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path, figure: Figure
) -> None:
    with small_disk(tmp_path / "disk", DISK_MB) as disk:
        settings = await prepared(kafka, create_topics, disk.folder / "data", tmp_path / "people")
        one = Round(settings, disk.folder / "round")
        process = one.start()
        await until(one.trains, 600, "it trains")
        disk.fill(psutil.Process(process.pid))
        _, said = await asyncio.to_thread(process.communicate, timeout=600)
        figure("the disk is full while a round trains: rounds that say so", "No space left" in said, least=1)
        assert process.returncode != 0
        disk.free()
        code, said = await asyncio.to_thread(one.finish)
    figure("there is room again: rounds that go on to their verdict", code == 0, least=1)
    assert code == 0, said[-2000:]


async def test_a_round_that_has_no_memory_left_ends_and_goes_on_later(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path, figure: Figure
) -> None:
    settings = await prepared(kafka, create_topics, tmp_path / "data", tmp_path / "people")
    one = Round(settings, tmp_path / "round")
    process = one.start()
    await until(one.trains, 600, "it trains")
    trained = psutil.Process(process.pid)
    trained.rlimit(psutil.RLIMIT_AS, (trained.memory_info().vms + ROOM, resource.RLIM_INFINITY))
    _, said = await asyncio.to_thread(process.communicate, timeout=600)
    figure("there is no memory left while a round trains: rounds that end", process.returncode != 0, least=1)
    assert "memory" in said.lower(), said[-2000:]
    code, said = await asyncio.to_thread(one.finish)
    figure("there is memory again: rounds that go on to their verdict", code == 0, least=1)
    assert code == 0, said[-2000:]
