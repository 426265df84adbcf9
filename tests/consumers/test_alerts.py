import msgspec
import pytest

from consumers.alerts import needs_alert, raise_alerts
from maskwatch import kafka as clients
from maskwatch.drift_messages import Alert, Episode
from maskwatch.messages import decode, encode
from maskwatch.settings import Settings
from maskwatch.topics import Name
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
    assert needs_alert(episode, known) is expected


async def tell(producer: object, settings: Settings, *episodes: Episode) -> None:
    for episode in episodes:
        value, headers = encode(episode, kind="maskwatch.episode.v1", source="/t", id=episode.id, time=NOON)
        await put(producer, settings, Name.DRIFT, episode.camera, value, headers)


async def test_an_episode_is_kept_and_posted_once_whatever_else_comes(
    kafka: Kafka, create_topics: CreateTopics, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving(503) as hook:
        settings = kafka.settings(alerts={"webhook": hook.url, "secret": "key"})
        await create_topics(settings, Name.DRIFT, Name.ALERTS)
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


def running(settings: Settings):  # type: ignore[no-untyped-def]  # noqa: ANN201  # aiokafka has no types
    return clients.running(clients.durable_producer(settings), settings)
