import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from consumers import webhook
from consumers.alerts import needs_alert, raise_alerts
from maskwatch import kafka as clients
from maskwatch.drift_messages import Alert, Episode
from maskwatch.messages import decode, encode
from maskwatch.model_messages import RoundAlert
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support import judged
from tests.support.hooks import receiving
from tests.support.seen import MODEL, NOON
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put, read_all, read_until
from tests.support.waiting import at_work, eventually

START = Episode("e1", "door", "input", "start", NOON, NOON, NOON, MODEL, (), "door became darker")
UPDATE = msgspec.structs.replace(START, phase="update")
END = msgspec.structs.replace(START, phase="end", ended=NOON, reason="recovered")


@pytest.mark.parametrize(
    ("episode", "known", "expected"),
    [
        (START, False, True),
        (START, True, True),
        (UPDATE, False, True),
        (UPDATE, True, False),
        (END, False, False),
        (msgspec.structs.replace(START, alert=False), False, False),
    ],
)
def test_one_alert_an_episode(episode: Episode, known: bool, expected: bool) -> None:
    assert needs_alert(episode, known=known) is expected


async def tell(producer: object, settings: Settings, *episodes: Episode) -> None:
    for episode in episodes:
        value, headers = encode(episode, kind="maskwatch.episode.v1", source="/t", id=episode.id, time=NOON)
        await put(producer, settings, Name.DRIFT, episode.camera, value, headers)


async def test_an_episode_is_kept_and_posted_once_whatever_else_comes(
    kafka: Kafka, create_topics: CreateTopics, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving(503) as hook:
        settings = kafka.settings(alerts={"webhook": hook.url, "secret": "key"})
        await create_topics(settings, Name.DRIFT, Name.ALERTS, Name.RUNS)
        async with running(settings) as producer:
            await put(producer, settings, Name.DRIFT, "door", b"{")
            async with at_work(raise_alerts, settings):
                await tell(producer, settings, START, UPDATE, UPDATE, END)
                # The other camera's partition may be read first, so it waits until this one's alert was taken.
                await eventually(lambda: len(hook.posted) == 2)
                await tell(producer, settings, msgspec.structs.replace(START, id="e2", camera="yard"))
                await read_until(settings, Name.ALERTS, lambda records: len(records) == 2)
                await eventually(lambda: len(hook.posted) == 3)
            # Another process knows what was told.
            async with at_work(raise_alerts, settings):
                await tell(producer, settings, UPDATE, msgspec.structs.replace(START, id="e3"))
                await eventually(lambda: len(hook.posted) == 4)
        told = [decode(record.value, Alert) for record in await read_all(settings, Name.ALERTS)]
        assert sorted(alert.id for alert in told) == ["e1", "e2", "e3"]
        assert {alert.text for alert in told} == {"door became darker"}
        assert {alert.acknowledged for alert in told} == {None}
        # Which camera's comes first is nobody's promise; what was not taken comes again.
        assert decode(hook.posted[0].body, Alert).id == hook.posted[1].headers["maskwatch-alert"]
        assert "door became darker" in capsys.readouterr().out


async def test_who_takes_over_knows_what_the_other_has_raised(kafka: Kafka, create_topics: CreateTopics) -> None:
    settings = kafka.settings()
    await create_topics(settings, Name.DRIFT, Name.ALERTS, Name.RUNS)
    async with running(settings) as producer:
        stop = asyncio.Event()
        first = asyncio.create_task(raise_alerts(settings, stop))
        # One raises it while the other is there already, and goes.
        async with at_work(raise_alerts, settings):
            await tell(producer, settings, START)
            await read_until(settings, Name.ALERTS, lambda records: len(records) == 1)
            stop.set()
            await first
            await tell(producer, settings, UPDATE, msgspec.structs.replace(START, id="e2"))
            told = await read_until(settings, Name.ALERTS, lambda records: len(records) == 2)
    assert [decode(record.value, Alert).id for record in told] == ["e1", "e2"]


async def test_a_webhook_that_refuses_does_not_hold_up_a_stop_and_is_told_later(
    kafka: Kafka, create_topics: CreateTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "FIRST_PAUSE_S", 60.0)
    monkeypatch.setattr(webhook, "LONGEST_S", 600.0)
    with receiving(503) as hook:
        settings = kafka.settings(alerts={"webhook": hook.url})
        await create_topics(settings, Name.DRIFT, Name.ALERTS, Name.RUNS)
        async with running(settings) as producer:
            await tell(producer, settings, START)
            async with at_work(raise_alerts, settings):
                await eventually(lambda: len(hook.posted) == 1)
            async with at_work(raise_alerts, settings):
                await eventually(lambda: len(hook.posted) == 2)


async def test_what_came_of_a_round_is_posted_with_the_gates_table(
    kafka: Kafka, create_topics: CreateTopics, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    old = judged.run("r0", told=judged.verdict("1"), at=now - timedelta(days=2))
    going, stopped = judged.run("r1", "running", at=now), judged.run("r1", "failed", at=now, stopped_by="ann")
    failed = judged.run("r2", "failed", at=now, said="disk full")
    refused = judged.run("r3", told=judged.verdict("3", gain=None), at=now)
    with receiving() as hook:
        settings = kafka.settings(alerts={"webhook": hook.url})
        await create_topics(settings, Name.DRIFT, Name.ALERTS, Name.RUNS)
        async with running(settings) as producer:
            await put(producer, settings, Name.RUNS, "r0", b"{")
            for run in (old, going, stopped, failed, refused):
                await put(producer, settings, Name.RUNS, run.id, msgspec.json.encode(run))
            async with at_work(raise_alerts, settings):
                await eventually(lambda: len(hook.posted) == 2)
    first, second = (decode(posted.body, RoundAlert) for posted in hook.posted)
    assert (first.id, first.text, first.promote) == ("r2", "a round of training failed: disk full", None)
    assert (second.id, second.promote, hook.posted[1].headers["maskwatch-alert"]) == ("r3", False, "r3")
    assert second.text == (
        "yolov8n-facemask 3 is refused: nobody can say whether it is better on the holdout; "
        "not met: better on the holdout"
    )
    assert "speed: passed, 14.2; needed: a median of at most 20 ms" in second.conditions
    assert "no worse: test, wide: not judged" in second.conditions[2]
    assert "disk full" in capsys.readouterr().out


def running(settings: Settings):  # type: ignore[no-untyped-def]  # noqa: ANN201  # aiokafka has no types
    return clients.running(clients.durable_producer(settings), settings)
