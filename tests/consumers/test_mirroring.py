"""When MLflow is told which model serves: at every change, and again while it does not take it."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consumers import mirroring
from consumers.mirroring import Mirroring
from maskwatch import kafka as clients
from maskwatch import training_packages
from maskwatch.messages import encode
from maskwatch.model_messages import Champion
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.processors.test_rollout import running
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put
from tests.support.waiting import eventually


@pytest.fixture
async def settings(kafka: Kafka, create_topics: CreateTopics, monkeypatch: pytest.MonkeyPatch) -> Settings:
    settings = kafka.settings()
    await create_topics(settings, Name.MODELS)
    monkeypatch.setattr(training_packages, "PACKAGES", ("json",))  # whatever is installed
    monkeypatch.setattr(mirroring, "RETRY_S", 0.1)
    return settings


async def promote(settings: Settings, command: str) -> None:
    now = datetime.now(UTC)
    champion = Champion(model=None, previous=None, since=now, command=command, by="ann", why="")
    value, headers = encode(champion, kind="maskwatch.champion.v1", source="/t", id=command, time=now)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        await put(producer, settings, Name.MODELS, "detector", value, headers)


async def test_every_change_is_mirrored_and_what_fails_is_tried_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = (
        "import sys, pathlib\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "tries = len(list(folder.iterdir()))\n"
        "(folder / str(tries)).touch()\n"
        "if tries == 0: sys.exit('MLflow is away')\n"
    )
    monkeypatch.setattr(mirroring, "COMMAND", (sys.executable, "-c", script))

    def tries() -> int:
        return len(list(tmp_path.iterdir()))

    async with running(Mirroring(settings).run()):
        await promote(settings, "c1")
        await eventually(lambda: tries() == 2)
        assert "MLflow is away" in capsys.readouterr().out
        await promote(settings, "c2")
        await eventually(lambda: tries() == 3)


async def test_one_that_hangs_is_ended(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirroring, "COMMAND", (sys.executable, "-c", "import time; time.sleep(600)"))
    monkeypatch.setattr(mirroring, "TIMEOUT_S", 0.5)
    assert await mirroring._mirrored() == "no answer within 0.5 s"


async def test_nothing_is_mirrored_until_the_packages_are_here(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = tmp_path / "done"
    monkeypatch.setattr(mirroring, "COMMAND", (sys.executable, "-c", f"open({str(done)!r}, 'w')"))
    monkeypatch.setattr(training_packages, "PACKAGES", ("there_is_no_such_package",))
    monkeypatch.setattr(mirroring, "LOOK_S", 0.1)
    await promote(settings, "c1")
    async with running(Mirroring(settings).run()):
        await asyncio.sleep(0.3)
        assert not done.exists()
        monkeypatch.setattr(training_packages, "PACKAGES", ("json",))
        await eventually(done.exists)
