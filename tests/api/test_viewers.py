"""The hub on a dict: one read for all viewers, newest wins, stale, and a store that goes away and returns."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.viewers import STORE_AWAY, Hub, TooManyViewersError, Viewer
from maskwatch import metrics
from maskwatch.overlay import live_key, unpack
from tests.support.overlay import DictPictures, at, record, until

LONG = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def hub(
    pictures: DictPictures, fresh_s: float = LONG, most: int = 10, erased: Collection[str] = ()
) -> AsyncIterator[Hub]:
    async with asyncio.TaskGroup() as tasks:
        made = Hub(
            pictures,
            tasks,
            most=most,
            fresh_s=fresh_s,
            why=lambda camera: f"{camera} sleeps",
            erased=lambda frame: frame in erased,
        )
        running = tasks.create_task(made.run())
        await asyncio.sleep(0)
        yield made
        running.cancel()


async def event(viewer: Viewer) -> dict[str, Any]:
    async with asyncio.timeout(10):
        message = await viewer.next()
    assert isinstance(message, str)
    found: dict[str, Any] = json.loads(message)
    return found


async def sequence(viewer: Viewer) -> int:
    async with asyncio.timeout(10):
        message = await viewer.next()
    assert isinstance(message, bytes)
    viewer.acknowledge()
    return unpack(message)[0].frame.sequence


async def nothing(viewer: Viewer) -> bool:
    """Tell whether there is nothing that may be sent."""
    waiting = asyncio.ensure_future(viewer.next())
    for _ in range(20):
        await asyncio.sleep(0)
    if waiting.done():
        return False
    waiting.cancel()
    return True


async def test_no_more_than_two_pictures_are_unacknowledged_and_the_newest_wins() -> None:
    viewer = Viewer(Clock())
    before = metrics.FRAMES_NOT_SENT._value.get()
    viewer.offer(b"1")
    assert await viewer.next() == b"1"
    viewer.offer(b"2")
    assert await viewer.next() == b"2"
    viewer.offer(b"3")
    viewer.offer(b"4")
    assert await nothing(viewer)
    viewer.acknowledge()
    assert await viewer.next() == b"4"
    assert metrics.FRAMES_NOT_SENT._value.get() - before == 1


async def test_a_note_follows_the_picture_before_it_and_gives_way_to_the_one_after() -> None:
    viewer = Viewer(Clock())
    viewer.offer(b"last")
    viewer.tell("stale")
    assert [await viewer.next(), await viewer.next()] == [b"last", "stale"]
    viewer.tell("stale")
    viewer.offer(b"fresh")
    assert await viewer.next() == b"fresh"
    assert await nothing(viewer)


async def test_a_viewer_is_silent_only_while_it_owes_an_acknowledgement() -> None:
    clock = Clock()
    viewer = Viewer(clock)
    viewer.acknowledge()
    clock.now += 100
    silent = asyncio.ensure_future(viewer.silence(0.01))
    await asyncio.sleep(0.03)
    assert not silent.done()
    viewer.offer(b"1")
    await viewer.next()
    clock.now += 0.02
    async with asyncio.timeout(10):
        await silent


async def test_a_picture_is_read_once_for_everyone_and_handed_on_as_it_is() -> None:
    pictures = DictPictures()
    pictures.publish("door", record(1))
    async with hub(pictures) as made, made.viewing("door") as first, made.viewing("door") as second:
        assert (await sequence(first), await sequence(second)) == (1, 1)
        reads = pictures.reads[live_key("door")]
        pictures.publish("door", record(2))
        one, other = await first.next(), await second.next()
        assert one is other
        assert pictures.reads[live_key("door")] == reads + 1


async def test_only_cameras_with_viewers_are_subscribed_to() -> None:
    pictures = DictPictures()
    async with hub(pictures) as made:
        async with made.viewing("door"):
            async with made.viewing("door"), made.viewing("yard"):
                assert pictures.subscribed == {"door", "yard"}
            assert pictures.subscribed == {"door"}
        assert pictures.subscribed == set()


async def test_who_comes_later_sees_at_once_what_the_others_see() -> None:
    pictures = DictPictures()
    pictures.publish("door", record(1))
    async with hub(pictures) as made, made.viewing("door") as first:
        await sequence(first)
        reads = pictures.reads[live_key("door")]
        async with made.viewing("door") as second:
            assert await sequence(second) == 1
        assert pictures.reads[live_key("door")] == reads


async def test_what_another_process_has_erased_is_shown_to_nobody() -> None:
    pictures, erased = DictPictures(), set[str]()
    pictures.publish("door", record(1))
    async with hub(pictures, fresh_s=0.02, erased=erased) as made, made.viewing("door") as first:
        assert await sequence(first) == 1
        erased.add("door:s1:1")
        # It may still lie in the store, under both keys.
        async with made.viewing("door") as second:
            while (await event(second))["last_seen"] is not None:
                pass
            pictures.publish("door", record(2))
            while not isinstance(message := await second.next(), bytes):
                pass
            assert unpack(message)[0].frame.sequence == 2


async def test_a_camera_that_never_was_seen_is_stale_without_a_picture() -> None:
    async with hub(DictPictures()) as made, made.viewing("door") as viewer, made.viewing("door") as other:
        told = {"event": "stale", "last_seen": None, "reason": "door sleeps"}
        assert await event(viewer) == told
        assert await event(other) == told


async def test_a_stale_camera_shows_its_last_picture_once_and_then_says_so() -> None:
    pictures = DictPictures()
    pictures.publish("door", record(7))
    pictures.expire("door")
    async with hub(pictures) as made, made.viewing("door") as viewer:
        assert await sequence(viewer) == 7
        assert await event(viewer) == {
            "event": "stale",
            "last_seen": at(0.7).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reason": "door sleeps",
        }
        async with made.viewing("door") as later:
            assert await sequence(later) == 7
            assert (await event(later))["event"] == "stale"
        pictures.publish("door", record(8))
        assert await sequence(viewer) == 8


async def test_a_camera_that_falls_silent_becomes_stale_and_goes_on_saying_so() -> None:
    pictures = DictPictures()
    pictures.publish("door", record(1))
    async with hub(pictures, fresh_s=0.02) as made, made.viewing("door") as viewer:
        assert await sequence(viewer) == 1
        assert (await event(viewer))["reason"] == "door sleeps"
        assert (await event(viewer))["reason"] == "door sleeps"


async def test_a_picture_that_nobody_announced_is_found_all_the_same() -> None:
    pictures = DictPictures()
    pictures.publish("door", record(1))
    async with hub(pictures, fresh_s=0.02) as made, made.viewing("door") as viewer:
        assert await sequence(viewer) == 1
        pictures.records[live_key("door")] = record(2)
        while not isinstance(message := await viewer.next(), bytes):
            pass
        assert unpack(message)[0].frame.sequence == 2


async def test_a_record_that_cannot_be_read_is_shown_as_it_is_and_has_no_time() -> None:
    pictures = DictPictures()
    pictures.publish("door", b"?")
    pictures.expire("door")
    async with hub(pictures) as made, made.viewing("door") as viewer:
        assert await viewer.next() == b"?"
        assert (await event(viewer))["last_seen"] is None


async def test_the_picture_returns_when_the_store_does() -> None:
    pictures = DictPictures()
    pictures.publish("door", record(1))
    async with hub(pictures) as made, made.viewing("door") as viewer:
        assert await sequence(viewer) == 1
        pictures.put_away()
        assert await event(viewer) == {
            "event": "stale",
            "last_seen": at(0.1).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reason": STORE_AWAY,
        }
        async with made.viewing("yard") as newcomer:
            assert (await event(newcomer))["reason"] == STORE_AWAY
            pictures.away = False
            pictures.publish("door", record(2))
            pictures.publish("yard", record(3, camera="yard"))
            await until(lambda: "yard" in pictures.subscribed)
            while not isinstance(message := await viewer.next(), bytes):
                pass
            assert unpack(message)[0].frame.sequence == 2
        assert pictures.subscribed == {"door"}


async def test_a_connection_that_breaks_while_subscribing_harms_no_viewer() -> None:
    pictures = DictPictures()
    async with hub(pictures) as made:
        pictures.away = True
        async with made.viewing("door") as viewer:
            assert (await event(viewer))["reason"] == STORE_AWAY
        assert pictures.subscribed == set()


async def test_more_viewers_than_there_may_be_are_refused_and_places_come_free() -> None:
    async with hub(DictPictures(), most=1) as made:
        async with made.viewing("door"):
            with pytest.raises(TooManyViewersError):
                async with made.viewing("door"):
                    pass
        async with made.viewing("door") as viewer:
            assert await event(viewer)
