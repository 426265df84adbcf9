"""That a round is one process at a time, whatever dies; the round itself is a script here."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from consumers import retrain, round_process
from consumers.retrain import keep_learning
from maskwatch import kafka as clients
from maskwatch import training_packages
from maskwatch.drift_messages import Episode
from maskwatch.errors import BrokerError
from maskwatch.kafka import Record
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import ModelRef, decode, encode
from maskwatch.model_messages import ModelCommand, PublishedModel, Run, RunProgress, Verdict
from maskwatch.promoting import ask_for_round
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support.seen import MODEL, NOON
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put, read_all, read_until
from tests.support.waiting import at_work, eventually


@pytest.fixture
async def settings(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    settings = kafka.settings(retrain={"labels": 2, "cooldown_s": 0, "attempts": 3})
    settings = settings.model_copy(update={"data_dir": tmp_path})
    await create_topics(settings, Name.LABELS, Name.DRIFT, Name.RUNS, Name.COMMANDS, Name.MODELS)
    monkeypatch.setattr(training_packages, "PACKAGES", ("json",))  # whatever is installed
    return settings


def rounds_are(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let a script stand for ``maskwatch retrain --here``."""
    code = f"import sys, pathlib, time, os\nfolder = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])\n{script}"
    monkeypatch.setattr(round_process, "COMMAND", (sys.executable, "-c", code))


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


@asynccontextmanager
async def two_at_work(settings: Settings) -> AsyncIterator[None]:
    """Run two retrainers that know of each other: one that joins may take a round over, as another try."""
    async with at_work(keep_learning, settings), at_work(keep_learning, settings):
        async with clients.administering(settings) as admin:

            async def both() -> bool:
                (answer,) = await admin.describe_consumer_groups([f"{settings.kafka.topic_prefix}retrain"])
                _error, _group, state, _type, _protocol, members, *_ = answer.groups[0]
                return state == "Stable" and len(members) == 2

            await eventually(both)
        yield


def test_a_round_gets_what_time_is_left_over() -> None:
    code = "import os, pathlib; print(os.nice(0), pathlib.Path('/proc/self/autogroup').read_text())"
    told = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=round_process.give_way,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.split()[::3] == ["19", "19"]


async def test_a_round_does_not_outlive_its_retrainer() -> None:
    code = (
        "import os, subprocess, sys, time; from consumers.round_process import give_way\n"
        "command = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "print(subprocess.Popen(command, preexec_fn=give_way, start_new_session=True).pid, flush=True)\n"
        "time.sleep(600)"
    )
    retrainer = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert retrainer.stdout is not None
    round_process = psutil.Process(int(await retrainer.stdout.readline()))
    retrainer.kill()
    await retrainer.wait()
    await eventually(lambda: not round_process.is_running() or round_process.status() == psutil.STATUS_ZOMBIE)


async def test_labels_and_a_drift_start_a_round_and_nothing_starts_a_second_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = ModelRef("m", "1", "")
    verdict = msgspec.json.encode(
        Verdict(candidate=ref, champion=ref, precision="int8", manifest="", judged=NOON, promote=True, conditions=())
    ).decode()
    rounds_are(monkeypatch, f"print('epoch 1 of 1', file=sys.stderr); print({verdict!r})")
    async with two_at_work(settings):
        await learn(settings, 2)
        told = await runs(settings, 1)
        assert (told[0].state, told[0].labels, told[0].why) == ("running", 2, "2 new labels, and a drift")
        assert (told[-1].state, told[-1].promote, told[-1].said) == ("finished", True, "epoch 1 of 1")
        # Whoever asks gets another, and only one, though two retrainers hear it.
        await asyncio.to_thread(ask_for_round, settings, why="a new lamp")
        again = await runs(settings, 2)
        assert again[-1].why == "a new lamp"
    known = {one.id for one in (decode(record.value, Run) for record in await read_all(settings, Name.RUNS))}
    assert len(known) == 2


async def test_who_asks_by_a_clock_of_their_own_gets_one_round(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds_are(monkeypatch, "pass")
    async with at_work(keep_learning, settings):
        for number, apart in enumerate((timedelta(hours=1), timedelta(hours=-1)), 1):
            asked = ModelCommand(id=f"c{number}", kind="retrain", by="ann", at=datetime.now(UTC) + apart, why="lamp")
            await command(settings, asked)
            assert (await runs(settings, number))[-1].asked == asked.id
        await asyncio.sleep(2 * retrain.POLL_MS / 1000)
    assert len({one.id for one in await runs(settings, 2)}) == 2


async def command(settings: Settings, asked: ModelCommand) -> None:
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        value, headers = encode(asked, kind="maskwatch.model-command.v1", source="/t", id=asked.id, time=asked.at)
        await put(producer, settings, Name.COMMANDS, asked.kind, value, headers)


def progress(**told: object) -> str:
    """Return the script that tells how far a round is."""
    said = msgspec.json.encode(RunProgress(**told)).decode()  # type: ignore[arg-type]
    return f"folder.mkdir(parents=True, exist_ok=True); (folder / 'progress.json').write_text({said!r})\n"


async def test_a_round_tells_how_far_it_is_and_one_that_is_stopped_does_not_go_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrain, "SAY_EVERY_S", 0.1)
    # It has started another process, which would hold its output open.
    rounds_are(
        monkeypatch,
        progress(stage="training", epoch=3, epochs=10)
        + "import subprocess; subprocess.Popen(['sleep', '600']); time.sleep(600)",
    )

    def tells(records: list[Record]) -> bool:
        return decode(records[-1].value, Run).progress is not None

    async with two_at_work(settings):
        await learn(settings, 2)
        under_way = decode((await read_until(settings, Name.RUNS, tells))[-1].value, Run)
        assert under_way.progress == RunProgress(stage="training", epoch=3, epochs=10)
        assert (under_way.state, under_way.new_labels) == ("running", 2)
        await command(settings, ModelCommand(id="c1", kind="stop", by="ann", at=NOON, run=under_way.id))
        stopped = (await runs(settings, 1))[-1]
        assert (stopped.state, stopped.stopped_by, stopped.said) == ("failed", "ann", "stopped by ann")
        assert stopped.progress == under_way.progress
        # People's pictures were in its folder.
        assert list((settings.data_dir / "rounds").iterdir()) == []
        # Its labels do not start another, and a stop that comes again changes nothing.
        await command(settings, ModelCommand(id="c2", kind="stop", by="ann", at=NOON, run=under_way.id))
        await asyncio.sleep(2 * retrain.POLL_MS / 1000)
    assert {one.id for one in await runs(settings, 1)} == {under_way.id}


async def test_a_round_that_was_stopped_while_no_retrainer_ran_is_not_gone_on_with(settings: Settings) -> None:
    left = Run(id="r1", state="running", started=NOON, updated=NOON, why="", labels=2)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        value, headers = encode(left, kind="maskwatch.run.v1", source="/t", id="r1", time=NOON)
        await put(producer, settings, Name.RUNS, "r1", value, headers)
    await command(settings, ModelCommand(id="c1", kind="stop", by="ann", at=NOON, run="r1"))
    pictures = settings.data_dir / "rounds" / "r1" / "pictures"
    pictures.mkdir(parents=True)
    async with at_work(keep_learning, settings):
        told = await runs(settings, 1)
    assert (told[-1].state, told[-1].stopped_by, told[-1].attempts) == ("failed", "ann", 2)
    assert not pictures.parent.exists()


async def test_an_evaluation_judges_once_and_its_verdict_is_told_whatever_it_says(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = ModelRef("m", "1", "")
    verdict = Verdict(
        candidate=ref, champion=ref, precision="int8", manifest="", judged=NOON, promote=True, conditions=()
    )
    told = msgspec.json.encode(verdict).decode()
    rounds_are(monkeypatch, f"assert sys.argv[sys.argv.index('--judge') + 1] == 'ab' * 32; print({told!r})")
    model = PublishedModel("m", "1", "ab" * 32)
    # One that would lie outside of the rounds' folder is not heard.
    for identity in ("../../elsewhere", "e1"):
        await command(settings, ModelCommand(id=identity, kind="evaluate", by="ann", at=NOON, model=model))
    async with at_work(keep_learning, settings):
        done = (await runs(settings, 1))[-1]
        assert (done.id, done.kind, done.state, done.verdict) == ("e1", "evaluate", "finished", verdict)
        assert done.progress == RunProgress(model=model)
        # It is no round: labels count as they did.
        rounds_are(monkeypatch, "pass")
        await learn(settings, 2)
        assert (await runs(settings, 2))[-1].new_labels == 2
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
    async with two_at_work(settings):
        await learn(settings, 2)
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
        rounds_are(
            monkeypatch,
            "(folder / 'pictures').mkdir(parents=True)\n"
            "print('\\x1b[K\\x1b[31mdisk full\\x1b[0m\\n\\x1b[2J', file=sys.stderr); sys.exit(1)",
        )
        await asyncio.to_thread(ask_for_round, settings, why="once more")
        assert [(one.state, one.said) for one in await runs(settings, 2)][-1] == ("failed", "disk full")
    # People's pictures were in its folder, and no erasure would find them there.
    assert list((settings.data_dir / "rounds").iterdir()) == []


async def test_a_round_that_reaches_nobody_is_gone_on_with_and_one_that_cannot_say_how_far_it_is_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrain, "RETRY_S", 0.1)
    monkeypatch.setattr(retrain, "SAY_EVERY_S", 0.1)
    rounds_are(
        monkeypatch,
        progress(stage="training", epoch=1, epochs=10)
        + "again = (folder / 'tried').exists(); (folder / 'tried').touch(); time.sleep(1)\n"
        + "sys.exit(0 if again else 69)",
    )
    send = clients.send
    refused: list[str] = []

    async def without_progress(*arguments: Any, **parts: Any) -> float:  # noqa: ANN401  # whatever is sent
        if b'"running"' in parts["value"] and b'"epoch":1,' in parts["value"] and not refused:
            refused.append(parts["key"])
            raise BrokerError("away")
        return await send(*arguments, **parts)

    await learn(settings, 2)
    monkeypatch.setattr(clients, "send", without_progress)
    async with at_work(keep_learning, settings):
        told = await runs(settings, 1)
    assert (told[-1].state, told[-1].attempts, len({one.id for one in told})) == ("finished", 2, 1)
    assert len(refused) == 1


async def test_without_the_packages_it_says_so_once_and_starts_once_they_are_here(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training_packages, "PACKAGES", ("there_is_no_such_package",))
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
        # Once they are here it starts by itself.
        rounds_are(monkeypatch, "pass")
        monkeypatch.setattr(training_packages, "PACKAGES", ("json",))
        begun = (await runs(settings, 1))[-1]
        assert (begun.state, begun.why) == ("finished", "2 new labels, and a drift")
        # Who asks while they are away gets an answer, and labels count for the next round.
        monkeypatch.setattr(training_packages, "PACKAGES", ("there_is_no_such_package",))
        await asyncio.to_thread(ask_for_round, settings, why="a new lamp")
        failed = (await runs(settings, 2))[-1]
    assert (failed.state, failed.labels, failed.new_labels) == ("failed", 2, 0)
    assert "make .venv/.train" in failed.said


async def test_one_that_could_not_begin_leaves_the_drift_to_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_packages, "PACKAGES", ("there_is_no_such_package",))
    rounds_are(monkeypatch, "pass")
    async with at_work(keep_learning, settings):
        await asyncio.to_thread(ask_for_round, settings, why="a new lamp")
        assert [(one.state, one.attempts) for one in await runs(settings, 1)] == [("failed", 0)]
        monkeypatch.setattr(training_packages, "PACKAGES", ("json",))
        # Its drift began before that.
        await learn(settings, 2)
        begun = (await runs(settings, 2))[-1]
    assert (begun.state, begun.why) == ("finished", "2 new labels, and a drift")
