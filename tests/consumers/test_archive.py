"""The archive, from a real Kafka to real files."""

import asyncio
import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from consumers import archive as module
from consumers.archive import Store, archive
from maskwatch import kafka as clients
from maskwatch.errors import SettingsError, StoreError
from maskwatch.messages import Prediction, encode
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put
from tests.support.waiting import at_work, eventually

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def settings_of(kafka: Kafka, folder: Path, **options: object) -> Settings:
    return kafka.settings(archive={"url": folder.as_uri(), "flush_s": 0.5, "days": 10_000, **options})


async def answer(producer: AIOKafkaProducer, settings: Settings, upload: str, at: datetime = NOON) -> None:
    value, headers = encode(Prediction(upload, "done", at), kind="x", source="/x", id=upload, time=at)
    await put(producer, settings, Name.PREDICTIONS, upload, value, headers)


def store_at(url: str) -> Store:
    return Store(Settings.model_validate({"archive": {"url": url}}))


def kept(folder: Path) -> dict[str, set[str]]:
    """Uploads by day."""
    found: dict[str, set[str]] = {}
    for file in folder.rglob("*.jsonl.gz"):
        lines = gzip.decompress(file.read_bytes()).splitlines()
        found.setdefault(file.parent.name, set()).update(json.loads(line)["upload"] for line in lines)
    return found


async def test_answers_are_kept_by_day_and_none_is_missing(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path
) -> None:
    settings = settings_of(kafka, tmp_path / "archive")
    await create_topics(settings, Name.PREDICTIONS)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        await put(producer, settings, Name.PREDICTIONS, "bad", b"{")
        await answer(producer, settings, "u1")
        await answer(producer, settings, "u2", NOON + timedelta(days=1))
        async with at_work(archive, settings):
            await eventually(lambda: len(kept(tmp_path)) == 2)
        await answer(producer, settings, "u3")
        async with at_work(archive, settings):
            await eventually(lambda: "u3" in kept(tmp_path).get("2026-11-01", ()))
    assert kept(tmp_path) == {"2026-11-01": {"u1", "u3"}, "2026-11-02": {"u2"}}


async def test_a_store_that_is_away_is_waited_for(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.2)
    folder = tmp_path / "archive"
    # A file lies where the folder would be.
    folder.touch()
    settings = settings_of(kafka, folder)
    await create_topics(settings, Name.PREDICTIONS)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        await answer(producer, settings, "u1")
        async with at_work(archive, settings):
            await asyncio.sleep(2)
            folder.unlink()
            await eventually(lambda: kept(folder) == {"2026-11-01": {"u1"}})


async def test_what_could_not_be_written_at_the_end_comes_again(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.2)
    folder = tmp_path / "archive"
    folder.touch()
    settings = settings_of(kafka, folder)
    await create_topics(settings, Name.PREDICTIONS)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        await answer(producer, settings, "u1")
        async with at_work(archive, settings):
            await asyncio.sleep(2)
    folder.unlink()
    async with at_work(archive, settings):
        await eventually(lambda: kept(folder) == {"2026-11-01": {"u1"}})


async def test_old_days_are_removed_and_what_is_not_ours_stays(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path
) -> None:
    for name in ("2020-01-01", "2020-01-02", "notes"):
        (tmp_path / "predictions" / name).mkdir(parents=True)
        (tmp_path / "predictions" / name / "0-000000000000.jsonl.gz").touch()
    today = datetime.now(UTC).date().isoformat()
    (tmp_path / "predictions" / today).mkdir()
    settings = settings_of(kafka, tmp_path, days=30)
    await create_topics(settings, Name.PREDICTIONS)
    async with at_work(archive, settings):
        await eventually(lambda: {path.name for path in (tmp_path / "predictions").iterdir()} == {today, "notes"})


def test_the_same_file_is_written_again_whole(tmp_path: Path) -> None:
    store = store_at(tmp_path.as_uri())
    assert store.remove_before(date(2026, 1, 1)) == []
    for data in (b"longer than it", b"short"):
        store.write(date(2026, 11, 1), "0-1.jsonl.gz", data)
    assert (tmp_path / "predictions" / "2026-11-01" / "0-1.jsonl.gz").read_bytes() == b"short"
    (tmp_path / "predictions" / "2020-01-01").write_text("a file where a folder belongs")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        store_at((tmp_path / "file").as_uri()).write(date(2026, 11, 1), "x", b"")


def test_a_place_that_cannot_be_reached_from_here_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"archive\.url cannot be used: .*nowhere"):
        store_at("nowhere://bucket/archive")
