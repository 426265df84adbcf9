"""When rounds start, and that a round is one process at a time, whatever dies; the round itself is a script here."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from consumers import retrain
from consumers.retrain import keep_learning
from consumers.retrain_policy import Known, due
from maskwatch import kafka as clients
from maskwatch.drift_messages import Episode
from maskwatch.label_messages import FrameLabel
from maskwatch.learning_settings import RetrainSettings
from maskwatch.messages import ModelRef, decode, encode
from maskwatch.model_messages import Run, Verdict
from maskwatch.promoting import ask_for_round
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support.seen import MODEL, NOON
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put, read_all, read_until
from tests.support.waiting import at_work, eventually

SETTINGS = RetrainSettings()
MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)


def run(state: str = "finished", *, started: datetime = MONDAY, labels: int = 0) -> Run:
    return Run(id="r1", state=state, started=started, updated=started, why="", labels=labels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "after", "why"),
    [
        (Known(99, MONDAY, None, "", None), timedelta(), ""),
        (Known(100, MONDAY, None, "", None), timedelta(), "100 new labels, and a drift"),
        (Known(100, None, None, "", None), timedelta(), ""),
        (Known(500, None, None, "", None), timedelta(), "500 new labels"),
        # Since the last round: labels, and an episode that began after it.
        (Known(150, MONDAY + timedelta(hours=2), None, "", run(labels=60)), timedelta(hours=3), ""),
        (Known(160, MONDAY - timedelta(hours=2), None, "", run(labels=60)), timedelta(hours=3), ""),
        (
            Known(160, MONDAY + timedelta(hours=2), None, "", run(labels=60)),
            timedelta(hours=3),
            "100 new labels, and a drift",
        ),
        # It rests, and one that runs is not joined by another.
        (Known(900, MONDAY, None, "", run()), timedelta(minutes=59), ""),
        (Known(900, MONDAY, MONDAY + timedelta(hours=2), "", run("running")), timedelta(hours=3), ""),
        # Sunday night, or as soon as it wakes after it.
        (Known(100, None, None, "", run()), timedelta(days=5, hours=13), ""),
        (Known(100, None, None, "", run()), timedelta(days=5, hours=14), "100 new labels, and the weekly round"),
        (Known(100, None, None, "", run()), timedelta(days=9), "100 new labels, and the weekly round"),
        # Whoever asks gets one, labels or not, and only once.
        (Known(0, None, MONDAY, "new lamp", None), timedelta(), "new lamp"),
        (Known(0, None, MONDAY, "", run(started=MONDAY + timedelta(seconds=1))), timedelta(hours=3), ""),
    ],
)
def test_a_round_starts_when_it_is_time(known: Known, after: timedelta, why: str) -> None:
    assert due(known, SETTINGS, MONDAY + after) == why


def test_without_automatic_only_who_asks_gets_one() -> None:
    settings = RetrainSettings(automatic=False)
    assert due(Known(900, MONDAY, None, "", None), settings, MONDAY) == ""
    assert due(Known(900, MONDAY, MONDAY, "", None), settings, MONDAY) == "asked for"


@pytest.fixture
async def settings(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    settings = kafka.settings(retrain={"labels": 2, "cooldown_s": 0, "attempts": 3})
    settings = settings.model_copy(update={"data_dir": tmp_path})
    await create_topics(settings, Name.LABELS, Name.DRIFT, Name.RUNS, Name.COMMANDS)
    monkeypatch.setattr(retrain, "PACKAGES", "json")  # whatever is installed
    return settings


def rounds_are(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let a script stand for ``maskwatch retrain --here``."""
    code = f"import sys, pathlib, time, os\nfolder = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])\n{script}"
    monkeypatch.setattr(retrain, "COMMAND", (sys.executable, "-c", code))


async def learn(settings: Settings, labels: int) -> None:
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for number in range(labels):
            label = FrameLabel(f"f{number}", "labelled", NOON, "ann", sha256="ab" * 32)
            value, headers = encode(label, kind="maskwatch.label.v1", source="/t", id=label.frame, time=NOON)
            await put(producer, settings, Name.LABELS, label.frame, value, headers)
        episode = Episode("e1", "door", "input", "start", NOON, NOON, NOON, MODEL, (), "darker")
        value, headers = encode(episode, kind="maskwatch.episode.v1", source="/t", id="e1", time=NOON)
        await put(producer, settings, Name.DRIFT, "door", value, headers)


async def runs(settings: Settings, enough: int) -> list[Run]:
    def ended(found: list[Run]) -> bool:
        return len({one.id for one in found if one.state != "running"}) >= enough

    records = await read_until(
        settings, Name.RUNS, lambda records: ended([decode(record.value, Run) for record in records])
    )
    return [decode(record.value, Run) for record in records]


async def test_labels_and_a_drift_start_a_round_and_nothing_starts_a_second_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = ModelRef("m", "1", "")
    verdict = msgspec.json.encode(
        Verdict(candidate=ref, champion=ref, precision="int8", manifest="", judged=NOON, promote=True, conditions=())
    ).decode()
    rounds_are(monkeypatch, f"print('epoch 1 of 1', file=sys.stderr); print({verdict!r})")
    await learn(settings, 2)
    async with at_work(keep_learning, settings), at_work(keep_learning, settings):
        told = await runs(settings, 1)
        assert (told[0].state, told[0].labels, told[0].why) == ("running", 2, "2 new labels, and a drift")
        assert (told[-1].state, told[-1].promote, told[-1].said) == ("finished", True, "epoch 1 of 1")
        # Whoever asks gets another, and only one, though two retrainers hear it.
        await asyncio.to_thread(ask_for_round, settings, why="a new lamp")
        again = await runs(settings, 2)
        assert again[-1].why == "a new lamp"
    known = {one.id for one in (decode(record.value, Run) for record in await read_all(settings, Name.RUNS))}
    assert len(known) == 2


async def test_a_round_that_is_killed_or_whose_retrainer_stops_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds_are(
        monkeypatch,
        "folder.mkdir(parents=True, exist_ok=True)\n"
        "starts = len(list(folder.iterdir()))\n"
        "(folder / str(starts)).touch()\n"
        "if starts == 0: os.kill(os.getpid(), 9)\n"
        "if starts == 1: time.sleep(600)\n",
    )
    await learn(settings, 2)

    def starts() -> int:
        return len(list((settings.data_dir / "rounds").glob("*/*")))

    async with at_work(keep_learning, settings):
        await eventually(lambda: starts() == 2)
    async with at_work(keep_learning, settings):
        told = await runs(settings, 1)
    assert len({one.id for one in told}) == 1
    assert (told[-1].state, told[-1].attempts, told[-1].promote) == ("finished", 3, None)


async def test_a_round_that_takes_longer_than_the_group_waits_is_run_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "MAX_POLL_INTERVAL_MS", 2500)
    rounds_are(
        monkeypatch,
        "folder.mkdir(parents=True, exist_ok=True)\n(folder / str(os.getpid())).touch()\ntime.sleep(8)\n",
    )
    await learn(settings, 2)
    async with at_work(keep_learning, settings), at_work(keep_learning, settings):
        told = await runs(settings, 1)
    assert (told[-1].state, told[-1].attempts) == ("finished", 1)
    assert len(list((settings.data_dir / "rounds").glob("*/*"))) == 1


async def test_a_round_that_always_dies_or_fails_is_given_up_and_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await learn(settings, 2)
    rounds_are(monkeypatch, "os.kill(os.getpid(), 9)")
    async with at_work(keep_learning, settings):
        told = await runs(settings, 1)
        assert (told[-1].state, told[-1].said) == ("failed", "it was started too often")
        rounds_are(monkeypatch, "print('disk full', file=sys.stderr); sys.exit(1)")
        await asyncio.to_thread(ask_for_round, settings, why="once more")
        assert [(one.state, one.said) for one in await runs(settings, 2)][-1] == ("failed", "disk full")


async def test_without_the_packages_it_says_so_once_and_starts_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(retrain, "PACKAGES", "there_is_no_such_package")
    await learn(settings, 2)
    said = ""
    async with at_work(keep_learning, settings):

        async def told() -> bool:
            nonlocal said
            said += capsys.readouterr().out
            return "what trains is not installed" in said

        await eventually(told)
        await asyncio.sleep(2 * retrain.POLL_MS / 1000)
    assert (said + capsys.readouterr().out).count("what trains is not installed") == 1
    assert await read_all(settings, Name.RUNS) == []
