"""The model that a worker serves, whatever becomes of the one that it is to serve next."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from maskwatch.inference import Detector
from maskwatch.model_messages import Champion, PublishedModel
from maskwatch.published import FOLDER, publish
from maskwatch.settings import Settings
from maskwatch.store import Store
from processors.serving import Serving
from tests.support.models import another
from tests.support.waiting import eventually


def settings_with(folder: Path, **store: object) -> Settings:
    tree = {"data_dir": folder / "data", "detector": {"precision": "int8", "threads": 1}, "store": store}
    return Settings.model_validate(tree)


@asynccontextmanager
async def bringing(settings: Settings, model: PublishedModel) -> AsyncIterator[Serving]:
    """Serve the shipped model, and be told to serve another; nothing that happens ends it."""
    serving = Serving(Detector(settings.detector.model, settings.detector), settings)
    told = Champion(
        model=model, previous=None, since=datetime.now(UTC), command="c1", by="me", why="", rolled_back=True
    )
    serving._take(SimpleNamespace(value=msgspec.json.encode(told)))
    work = asyncio.create_task(serving._bring())
    try:
        yield serving
        assert not work.done()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        serving.close()


def version(serving: Serving) -> str:
    return serving._now.detector.card.version


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.serving.RETRY_S", 0.1)


async def test_a_store_that_is_no_place_is_told_and_the_old_model_serves_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_with(tmp_path, url="nosuch://place")
    async with bringing(settings, PublishedModel("faces", "good", "a" * 64)) as serving:
        shipped = version(serving)
        await eventually(lambda: "store.url cannot be used" in capsys.readouterr().out)
        assert version(serving) == shipped


async def test_a_disk_that_takes_no_model_is_told_until_it_takes_it_and_what_is_old_is_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_with(tmp_path)
    model = publish(another(tmp_path / "good", "good"), Store(settings))
    fetched, old = (settings.data_dir / FOLDER / name for name in (model.sha256, "0" * 64))
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    fetched.touch()
    async with bringing(settings, model) as serving:
        await eventually(lambda: "model cannot be fetched yet" in capsys.readouterr().out)
        fetched.unlink()
        await eventually(lambda: version(serving) == "good" and not old.exists())
        assert fetched.is_dir()


async def test_a_store_that_hangs_holds_nobody_up_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("processors.serving.FETCH_S", 0.2)
    settings = settings_with(tmp_path, url=f"file://{tmp_path}/store")
    folder = another(tmp_path / "good", "good")
    model = publish(folder, Store(settings))
    card = tmp_path / "store" / "models" / model.sha256 / "model.json"
    card.unlink()
    # Whoever opens it waits until somebody writes.
    os.mkfifo(card)
    async with bringing(settings, model) as serving:
        await eventually(lambda: "does not answer those who asked it before" in capsys.readouterr().out)
        monkeypatch.setattr("processors.serving.FETCH_S", 60)
        writer = os.open(card, os.O_WRONLY | os.O_NONBLOCK)
        (folder / "model.json").replace(card)
        os.close(writer)
        await eventually(lambda: version(serving) == "good")
