"""The cameras that are known: the pure table, then a real Kafka."""

import asyncio

import msgspec
import pytest
from structlog.testing import capture_logs

from api import roster as module
from api.roster import FEEDS, KAFKA_AWAY, Roster, RosterFeed
from maskwatch import kafka as clients
from maskwatch.addresses import without_user
from maskwatch.errors import MessageError
from maskwatch.messages import Camera, CameraStatus
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support import stack
from tests.support.overlay import START, until
from tests.support.stack import CreateTopics, Kafka


def wish(roster: Roster, identity: str, **fields: object) -> None:
    value = msgspec.json.encode({"id": identity, "source": "scene"} | fields)
    roster.take(Name.CAMERAS, identity.encode(), value)


def test_a_wish_is_a_camera_whose_state_nobody_knows_yet() -> None:
    roster = Roster()
    wish(roster, "door", rate=5, record_rate=0.5)
    assert roster.cameras()[0].model_dump() == {
        "id": "door",
        "name": "door",
        "source": "scene",
        "rate": 5.0,
        "recorded": 0.5,
        "paused": False,
        "managed": True,
        "state": "unknown",
        "since": None,
        "reason": "",
    }
    assert "started" in roster.why_no_picture("door")


def test_capture_says_whether_it_gives_frames() -> None:
    roster = Roster()
    offline = msgspec.json.encode(CameraStatus("door", "offline", START, "the webcam was unplugged"))
    roster.take(Name.CAMERA_STATUS, b"door", offline)
    assert "door" not in roster
    wish(roster, "door", name="Back door")
    found = roster.camera("door")
    assert (found.name, found.state, found.since, found.reason) == (
        "Back door",
        "offline",
        START,
        "the webcam was unplugged",
    )
    assert roster.why_no_picture("door") == "the webcam was unplugged"
    roster.take(Name.CAMERA_STATUS, b"door", msgspec.json.encode(CameraStatus("door", "online", START)))
    assert roster.camera("door").state == "online"
    assert "detector" in roster.why_no_picture("door")
    roster.take(Name.CAMERA_STATUS, b"door", msgspec.json.encode(CameraStatus("door", "offline", START)))
    assert "offline" in roster.why_no_picture("door")


def test_an_empty_record_removes_a_camera() -> None:
    roster = Roster()
    wish(roster, "b")
    wish(roster, "a")
    assert [camera.id for camera in roster.cameras()] == ["a", "b"]
    roster.take(Name.CAMERAS, b"a", None)
    roster.take(Name.CAMERA_STATUS, b"a", b"")
    assert [camera.id for camera in roster.cameras()] == ["b"]
    with pytest.raises(KeyError):
        roster.camera("a")


def test_an_address_is_shown_without_user_and_password() -> None:
    roster = Roster()
    wish(roster, "door", source="rtsp://admin:secret@10.0.0.7:554/main?x=1")
    assert roster.camera("door").source == "rtsp://10.0.0.7:554/main?x=1"
    assert without_user("rtsp://admin:secret@[10.0.0.7/main") == "rtsp://[10.0.0.7/main"
    assert without_user("clips/me@home.mp4") == "clips/me@home.mp4"


@pytest.mark.parametrize(("key", "value"), [(b"Door!", b"{}"), (None, b"{}"), (b"\xff", b"{}"), (b"door", b"{}")])
def test_what_is_no_camera_is_refused(key: bytes | None, value: bytes) -> None:
    with pytest.raises(MessageError):
        Roster().take(Name.CAMERAS, key, value)


def test_cameras_do_not_fill_our_memory() -> None:
    roster = Roster()
    for number in range(module.MOST_CAMERAS):
        wish(roster, f"c{number}")
    with pytest.raises(MessageError, match="cameras already"):
        wish(roster, "one-more")
    wish(roster, "c1", name="still changed")
    assert roster.camera("c1").name == "still changed"


async def publish(settings: Settings, *records: tuple[Name, str, bytes | None]) -> None:
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for topic, key, value in records:
            await clients.send(producer, settings, topic, key=key, value=value, headers=[])


async def test_the_topics_are_followed_from_their_beginning(kafka: Kafka, create_topics: CreateTopics) -> None:
    settings = kafka.settings()
    await create_topics(settings, *FEEDS)
    door, yard = msgspec.json.encode(Camera("door", "scene")), msgspec.json.encode(Camera("yard", "webcam:0"))
    online = msgspec.json.encode(CameraStatus("door", "online", START))
    await publish(
        settings,
        (Name.CAMERAS, "door", door),
        (Name.CAMERAS, "door", b"not a camera"),
        (Name.CAMERAS, "yard", yard),
        (Name.CAMERA_STATUS, "door", online),
    )
    feed = RosterFeed(settings)
    assert "cameras.v1" in feed.missing
    following = [asyncio.create_task(feed.follow(name)) for name in FEEDS]
    try:
        with capture_logs() as logs:
            await until(lambda: not feed.missing, 60)
        assert [(camera.id, camera.state) for camera in feed.roster.cameras()] == [
            ("door", "online"),
            ("yard", "unknown"),
        ]
        assert [entry["event"] for entry in logs] == ["malformed record skipped"]
        await publish(settings, (Name.CAMERAS, "yard", None))
        await until(lambda: "yard" not in feed.roster)
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def test_without_a_broker_it_says_why_and_tries_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = stack.settings_for(tmp_path_factory.mktemp("none"), "127.0.0.1:1", {"kafka": {"timeout_s": 0.2}})
    feed = RosterFeed(settings, retry_s=0.01)
    with capture_logs() as logs:
        following = asyncio.create_task(feed.follow(Name.CAMERAS))
        await until(lambda: len(logs) > 1)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert "127.0.0.1:1" in feed.missing


async def test_while_the_broker_is_away_that_is_why_there_is_no_picture(own_broker: Kafka) -> None:
    feed = RosterFeed(own_broker.settings(), watch_s=1)
    wish(feed.roster, "door")
    watching = asyncio.create_task(feed.watch())
    try:
        await asyncio.sleep(1.5)
        await until(lambda: feed.why_no_picture("door") == "The camera has not been started yet.")
        own_broker.kill()
        await until(lambda: feed.why_no_picture("door") == KAFKA_AWAY)
        await asyncio.to_thread(own_broker.start)
        await until(lambda: feed.why_no_picture("door") != KAFKA_AWAY)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
