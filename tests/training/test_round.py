"""A round of the learning loop, on a real Kafka and a real training: small, and without the base set."""

import asyncio
import importlib.util
import os
import signal
import subprocess
from pathlib import Path

import msgspec
import psutil
import pytest
from click.testing import CliRunner

from maskwatch import rounds
from maskwatch.cli import main
from maskwatch.model_messages import ModelVersion, Verdict
from maskwatch.promoting import champion_of, versions_of
from maskwatch.settings import Settings
from maskwatch.store import Store
from maskwatch.topics import Name
from processors.rollout import roll_out
from tests.support.rounds import SMALL, labelled, round_command
from tests.support.stack import CreateTopics, Kafka
from tests.support.stage import variables
from tests.support.waiting import at_work, eventually
from training import gate
from training.errors import StageOverError

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("ultralytics") is None, reason="the training packages are not here: make test TRAIN=1"
    ),
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),  # torch warns about itself
]


@pytest.fixture
async def settings(kafka: Kafka, create_topics: CreateTopics, tmp_path: Path) -> Settings:
    settings = kafka.settings(**SMALL).model_copy(update={"data_dir": tmp_path / "data"})
    await create_topics(settings, Name.MODELS, Name.MODEL_VERSIONS, Name.COMMANDS)
    return settings


async def test_labels_become_a_judged_model_though_it_is_killed_on_the_way(settings: Settings, tmp_path: Path) -> None:
    labelled(Store(settings), tmp_path / "people", 12)
    out = tmp_path / "round"
    command = round_command(out, "the light changed")
    environment = os.environ | variables(settings)
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)  # noqa: ASYNC220  # killed
    while not list(out.glob("training/run/weights/exact-*.pt")):
        assert first.poll() is None
        await asyncio.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    # What exports is asked to stop: it ends there, with what it has started, and there is no model yet.
    second = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)  # noqa: ASYNC220  # stopped

    def exports() -> bool:
        way = rounds.read(out)
        return way is not None and way.stage == "exporting" and bool(psutil.Process(second.pid).children())

    while not exports():
        assert second.poll() is None
        await asyncio.sleep(0.05)
    started = psutil.Process(second.pid).children()
    second.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(second.wait, 60) == StageOverError.exit_code
    assert not (out / "model").exists()
    assert not any(child.is_running() for child in started)

    async with at_work(roll_out, settings):
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]

        async def told() -> ModelVersion | None:
            return next(iter((await versions_of(settings)).values()), None)

        version = await eventually(told)
    # A training at 64 px makes it worse: it is refused, is known with its verdict, and serves nowhere.
    assert (version.state, version.why, await champion_of(settings)) == ("refused", "the light changed", None)
    assert {row.name for row in version.verdict.conditions} >= {gate.GAIN, gate.CHANCE, "speed"}
    assert "**refused**" in done.stdout
    assert "no worse: test, wide | not judged" in done.stdout
    # What was told on the way is in the round's folder, whichever attempt it was of.
    way = rounds.read(out)
    assert way is not None
    assert (way.stage, way.model, [one.epoch for one in way.history]) == ("proposing", version.model, [1, 2])
    assert way.lesson is not None
    assert (way.lesson.learnt + way.lesson.holdout, way.lesson.sources) == (12, {"door": 12})
    assert set(way.history[0].losses) == {"box", "cls", "dfl"}
    # People's pictures are in the store alone.
    assert {path.name for path in out.rglob("*.jpg")} == {"golden.jpg"}
    # Judged again, it is refused again, and nothing else comes of it.
    once_more = [*command[:5], "--out", str(tmp_path / "again"), "--judge", version.model.version, "--json"]
    judged = await asyncio.to_thread(
        subprocess.run, once_more, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert judged.returncode == 0, judged.stderr[-3000:]
    second = msgspec.json.decode(judged.stdout, type=Verdict)
    assert (second.promote, second.candidate) == (False, version.verdict.candidate)
    assert await versions_of(settings) == {version.model.sha256: version}
    assert {path.name for path in (tmp_path / "again").rglob("*.jpg")} == set()
    # Once more changes nothing.
    again = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert again.returncode == 0, again.stderr[-3000:]


def test_without_labels_there_is_nothing_to_learn(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(settings).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["retrain", "--here"])
    assert done.exit_code == 1
    assert "nobody has labelled a picture" in done.output
