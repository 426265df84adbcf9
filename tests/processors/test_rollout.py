"""The one writer of models, on a real Kafka; and workers that serve what it says."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaError, ProducerFenced

from maskwatch import kafka as clients
from maskwatch import reading
from maskwatch.errors import BrokerError, ModelError
from maskwatch.kafka import Record
from maskwatch.messages import decode, encode
from maskwatch.model_messages import Champion, ModelCommand, PublishedModel
from maskwatch.promoting import champion_of, promote, roll_back, versions_of
from maskwatch.published import FOLDER, publish
from maskwatch.settings import Settings
from maskwatch.store import Store
from maskwatch.topics import Name, partition_count
from processors.detection import detect
from processors.rollout import Writer, roll_out
from tests.support.models import another
from tests.support.stack import CreateTopics, Kafka
from tests.support.stage import Stage, stages
from tests.support.topic import put, read_all, read_until
from tests.support.traffic import Cameras, Subscriber
from tests.support.waiting import at_work, eventually

TOPICS = (Name.MODELS, Name.MODEL_VERSIONS, Name.COMMANDS, Name.SHADOW, Name.LABELS)
WORKER = (Name.FRAMES_LIVE, Name.FRAMES_UPLOAD, Name.DETECTIONS, Name.PREDICTIONS, Name.FRAMES_LIVE_DLQ)
MODELS = [PublishedModel("faces", version, version * 64) for version in "123"]


@pytest.fixture
async def settings(kafka: Kafka, create_topics: CreateTopics, tmp_path: Path) -> Settings:
    settings = kafka.settings(detector={"precision": "int8"}).model_copy(update={"data_dir": tmp_path / "data"})
    await create_topics(settings, *TOPICS)
    return settings


async def ask(settings: Settings, identity: str, model: PublishedModel, instead_of: str | None = None) -> None:
    command = ModelCommand(
        id=identity, kind="promote", by="me", at=datetime.now(UTC), model=model, instead_of=instead_of
    )
    value, headers = encode(command, kind="maskwatch.model-command.v1", source="/t", id=identity, time=command.at)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        await put(producer, settings, Name.COMMANDS, "promote", value, headers)


def champions(records: list[Record]) -> list[str]:
    return [told.model.version for record in records if (told := decode(record.value, Champion)).model]


async def test_commands_are_done_in_order_and_a_bad_one_stops_nobody(settings: Settings) -> None:
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        await put(producer, settings, Name.COMMANDS, "promote", b"{no json")
    async with at_work(roll_out, settings):
        await ask(settings, "a", MODELS[0])
        await ask(settings, "b", MODELS[1], instead_of=MODELS[0].sha256)
        # Two at once: both have seen the same champion, and one of them wins.
        await ask(settings, "c", MODELS[2], instead_of=MODELS[0].sha256)
        await ask(settings, "d", MODELS[0])
        told = await read_until(settings, Name.MODELS, lambda records: len(records) == 3)
    assert champions(told) == ["1", "2", "1"]
    known = {version.model.version: version.state for version in (await versions_of(settings)).values()}
    assert known == {"1": "champion", "2": "retired"}


async def test_after_a_kill_it_goes_on_and_repeats_nothing(settings: Settings) -> None:
    first = Stage("rollout", settings)
    async with stages(first):
        await ask(settings, "a", MODELS[0])
        await read_until(settings, Name.MODELS, bool)
        first.signal(signal.SIGKILL)
        await ask(settings, "b", MODELS[1])
    async with at_work(roll_out, settings):
        told = await read_until(settings, Name.MODELS, lambda records: len(records) == 2)
    assert champions(told) == ["1", "2"]
    now = await champion_of(settings)
    assert now is not None
    # It knew what had been before.
    assert now.previous == MODELS[0]


async def test_a_writer_that_was_taken_for_dead_can_write_no_more(settings: Settings) -> None:
    await ask(settings, "a", MODELS[0])
    await ask(settings, "b", MODELS[1])
    first, second = await reading.held(settings, Name.COMMANDS, partition_count(Name.COMMANDS))
    async with Writer(settings) as zombie:
        await zombie.take(first)
        async with Writer(settings) as owner:
            with pytest.raises(ProducerFenced):
                await zombie.take(second)
            assert champions(await read_all(settings, Name.MODELS)) == ["1"]
            await owner.take(second)
    assert champions(await read_all(settings, Name.MODELS)) == ["1", "2"]


async def test_what_cannot_be_read_of_models_stops_nobody(settings: Settings) -> None:
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for name in (Name.MODELS, Name.MODEL_VERSIONS):
            await put(producer, settings, name, "detector", b"{no json")
    async with at_work(roll_out, settings):
        await ask(settings, "a", MODELS[0])
        told = await read_until(settings, Name.MODELS, lambda records: len(records) == 2)
    assert champions(told[1:]) == ["1"]


async def test_a_writer_whose_broker_dies_ends_in_time_and_one_that_cannot_read_leaves_nothing_behind(
    own_broker: Kafka, create_topics: CreateTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = own_broker.settings(kafka={"timeout_s": 2})
    await create_topics(settings, *TOPICS)
    await ask(settings, "a", MODELS[0])
    (command,) = await read_all(settings, Name.COMMANDS)

    async def away(*_: object) -> list[Record]:
        raise BrokerError("away")

    writer = Writer(settings)
    with monkeypatch.context() as patched:
        patched.setattr(reading, "held", away)
        with pytest.raises(BrokerError):
            await writer.__aenter__()
    assert writer._producer._closed
    async with asyncio.timeout(60) as bound, Writer(settings) as writer:
        commit_with_it = writer._producer.send_offsets_to_transaction

        async def die_before(*asked: Any) -> None:  # noqa: ANN401  # as the one whose place it takes
            own_broker.kill()
            await commit_with_it(*asked)

        monkeypatch.setattr(writer._producer, "send_offsets_to_transaction", die_before)
        with pytest.raises((TimeoutError, KafkaError)):
            await writer.take(command)
    assert not bound.expired()


@asynccontextmanager
async def running(*work: object) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(one) for one in work]  # type: ignore[call-overload]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_worker_swaps_models_between_batches_and_keeps_the_old_one_where_the_new_is_bad(
    settings: Settings, create_topics: CreateTopics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await create_topics(settings, *WORKER)
    store, cameras = Store(settings), Cameras(settings, ("door", "yard"), 5)
    seen = Subscriber(settings, cameras)

    def latest() -> set[str]:
        return {arrival.detection.model.version for arrival in seen.arrivals[-4:]}

    async with at_work(roll_out, settings), at_work(detect, settings), running(cameras.run(), seen.run()):
        await eventually(lambda: len(seen.arrivals) > 4)
        shipped = latest()
        await asyncio.to_thread(promote, settings, str(another(tmp_path / "good", "good")), verdict=None, why="try")
        await eventually(lambda: latest() == {"good"})

        # Altered in the store: it is said, and the old one serves on.
        bad = publish(another(tmp_path / "bad", "bad"), store)
        store.write_model(bad.sha256, "golden.jpg", b"another picture")
        await ask(settings, "bad", bad)
        await eventually(lambda: "model cannot be served" in capsys.readouterr().out)
        before = len(seen.arrivals)
        await eventually(lambda: len(seen.arrivals) > before + 6)
        assert latest() == {"good"}

        # Back to what was before it; and once more, to the model of the worker's own setting.
        await asyncio.to_thread(roll_back, settings, why="it is bad")
        now = await champion_of(settings)
        assert now is not None
        assert now.model is not None
        assert now.model.version == "good"
        with pytest.raises(ModelError, match="serves already"):
            await asyncio.to_thread(promote, settings, "good", verdict=None, why="")
    assert seen.duplicates() == []
    assert shipped != {"good"}
    assert {version.state for version in (await versions_of(settings)).values()} == {"champion", "retired"}
    # Only what this machine needs was fetched.
    fetched = settings.data_dir / FOLDER / now.model.sha256
    assert {path.name for path in fetched.iterdir()} == {"model.json", "golden.jpg", "model-int8.xml", "model-int8.bin"}


async def test_a_version_that_nobody_knows_is_said_with_those_that_are(settings: Settings) -> None:
    with pytest.raises(ModelError, match="neither a model's folder nor a version"):
        await asyncio.to_thread(promote, settings, "v9", verdict=None, why="")
    with pytest.raises(ModelError, match="nothing to roll back"):
        await asyncio.to_thread(roll_back, settings, why="")
