"""A promotion under watch: what is asked, when, and that it is done, on a real Kafka with real workers."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from maskwatch import kafka as clients
from maskwatch.errors import MessageError
from maskwatch.messages import decode, encode
from maskwatch.model_messages import Champion, ModelCommand, PublishedModel
from maskwatch.promoting import champion_of, promote
from maskwatch.settings import Settings
from maskwatch.shadow_messages import Shadowed
from maskwatch.topics import Name
from maskwatch.watching import show, watched
from processors.detection import detect
from processors.guard import Watched
from processors.relapse import LEAST_BLOCKS
from processors.rollout import roll_out
from tests.processors.test_relapse import A_MINUTE, label, shadowed
from tests.processors.test_rollout import TOPICS, WORKER, running
from tests.support.models import another
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put, read_all, read_until
from tests.support.traffic import Cameras, Subscriber
from tests.support.waiting import at_work, eventually

NEW, OLD = (PublishedModel("faces", version, version * 64) for version in "21")
SINCE = datetime(2026, 11, 2, 12, tzinfo=UTC)
CHAMPION = Champion(model=NEW, previous=OLD, since=SINCE, command="c1", by="ann", why="better")
SPAN = timedelta(minutes=10)
SOON = SINCE + timedelta(hours=1)


def told(watched: Watched, name: Name, key: str, message: msgspec.Struct | None) -> None:
    value = msgspec.json.encode(message) if message is not None else None
    watched.take(name, SimpleNamespace(key=key.encode(), value=value))


def bad_hour(watched: Watched, **changes: object) -> None:
    for number in range(LEAST_BLOCKS * A_MINUTE):
        told(watched, Name.SHADOW, "door", msgspec.structs.replace(shadowed(number, 1, 2), **changes))


def test_a_roll_back_is_wished_for_of_the_champion_that_was_watched() -> None:
    watched = Watched(Settings())
    assert watched.wish(SOON) is None
    told(watched, Name.MODELS, "detector", CHAMPION)
    bad_hour(watched)
    wish = watched.wish(SOON)
    assert wish is not None
    assert (wish.id, wish.kind, wish.by, wish.instead_of) == ("watch-c1", "roll-back", "watch", NEW.sha256)
    assert "50% fewer faces" in wish.why


@pytest.mark.parametrize(
    ("champion", "promotion", "after"),
    [
        (CHAMPION, "another", timedelta(hours=1)),
        (CHAMPION, "c1", timedelta(hours=25)),
        (msgspec.structs.replace(CHAMPION, rolled_back=True), "c1", timedelta(hours=1)),
    ],
    ids=["another promotion", "long ago", "brought back"],
)
def test_none_is_wished_for(champion: Champion, promotion: str, after: timedelta) -> None:
    watched = Watched(Settings())
    told(watched, Name.MODELS, "detector", champion)
    bad_hour(watched, promotion=promotion)
    assert watched.wish(SINCE + after) is None


def test_another_promotion_is_watched_from_its_beginning_and_labels_are_heard() -> None:
    watched = Watched(Settings())
    told(watched, Name.MODELS, "detector", CHAMPION)
    bad_hour(watched)
    # Said again, or what was before it, nothing begins anew.
    told(watched, Name.MODELS, "detector", msgspec.structs.replace(CHAMPION, command="c0", since=SINCE - SPAN))
    told(watched, Name.MODELS, "detector", CHAMPION)
    assert watched.wish(SOON) is not None
    told(watched, Name.MODELS, "detector", msgspec.structs.replace(CHAMPION, command="c2", since=SINCE + SPAN))
    bad_hour(watched)
    assert watched.wish(SOON) is None
    told(watched, Name.LABELS, "door:s:1", label(1, 4))
    told(watched, Name.LABELS, "door:s:1", None)
    with pytest.raises(MessageError):
        watched.take(Name.SHADOW, SimpleNamespace(key=b"", value=b"?"))


@pytest.fixture
async def settings(kafka: Kafka, create_topics: CreateTopics, tmp_path: Path) -> Settings:
    settings = kafka.settings(detector={"precision": "int8"}, rollout={"shadow_share": 0.5})
    settings = settings.model_copy(update={"data_dir": tmp_path / "data"})
    await create_topics(settings, *TOPICS, *WORKER)
    return settings


async def test_the_model_before_looks_on_and_a_champion_that_loses_faces_is_rolled_back_by_itself(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cameras = Cameras(settings, ("door", "yard"), 5)
    seen = Subscriber(settings, cameras)
    async with at_work(roll_out, settings), at_work(detect, settings), running(cameras.run(), seen.run()):
        await eventually(lambda: len(seen.arrivals) > 4)
        shipped = seen.arrivals[-1].detection.model
        await asyncio.to_thread(promote, settings, str(another(tmp_path / "new", "new")), verdict=None, why="try")
        # Both look at the same frames, and one in two is told.
        records = await read_until(settings, Name.SHADOW, lambda records: len(records) >= 6)
        first = decode(records[0].value, Shadowed)
        champion = await champion_of(settings)
        assert champion is not None
        assert (first.champion.version, first.previous, first.promotion) == ("new", shipped, champion.command)
        # The same weights: they see the same.
        assert first.by_champion == first.by_previous != ()
        _, found = await watched(settings)
        assert set(found) <= {"door", "yard"}
        assert all(one.frames == one.same > 0 for one in found.values())
        capsys.readouterr()
        for as_json in (False, True):
            await asyncio.to_thread(show, settings, as_json=as_json)
        table, told_as_json = capsys.readouterr().out.rsplit("\n", 2)[:2]
        assert "new / detector.model, since" in table
        assert set(msgspec.json.decode(told_as_json)) <= {"door", "yard"}
        # A bad hour, as workers would tell of it.
        async with clients.running(clients.durable_producer(settings), settings) as producer:
            for number in range(0, LEAST_BLOCKS * A_MINUTE, A_MINUTE):
                one = msgspec.structs.replace(shadowed(number, 0, 10, "yard"), promotion=champion.command)
                value, headers = encode(
                    one, kind="maskwatch.shadowed.v1", source="/t", id=one.frame.id, time=one.looked
                )
                await put(producer, settings, Name.SHADOW, "yard", value, headers)
        back = decode((await read_until(settings, Name.MODELS, lambda records: len(records) == 2))[-1].value, Champion)
        assert (back.model, back.by, back.rolled_back) == (champion.previous, "watch", True)
        assert "fewer faces than the one before" in back.why
        await eventually(lambda: seen.arrivals[-1].detection.model == shipped)
        # Nobody looks on then, and nobody asks again.
        count = len(await read_all(settings, Name.SHADOW))
        before = len(seen.arrivals)
        await eventually(lambda: len(seen.arrivals) > before + 10)
        assert len(await read_all(settings, Name.SHADOW)) <= count + 1
    asked = [decode(record.value, ModelCommand) for record in await read_all(settings, Name.COMMANDS)]
    assert [(one.kind, one.by == "watch") for one in asked] == [("promote", False), ("roll-back", True)]
    assert seen.duplicates() == []
