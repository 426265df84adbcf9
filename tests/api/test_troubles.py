"""What is broken, since when, what is done about it, what to do: by what there is to judge by."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from api.schemas import CameraState, Check
from api.troubles import Seen, troubles
from maskwatch.holdings import GROUPS, Holding, Holdings, Readers
from maskwatch.topics import Name

SINCE = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)


def camera(identity: str, **fields: Any) -> CameraState:  # noqa: ANN401  # its fields
    return CameraState.model_validate(
        {
            "id": identity,
            "name": identity.title(),
            "source": "scene",
            "rate": 10,
            "recorded": 1,
            "paused": False,
            "managed": True,
            "state": "online",
            "since": SINCE,
            "reason": "",
        }
        | fields
    )


def held(*missing: str, free: int = 900, uploads: int = 0) -> Holdings:
    readers = tuple(
        Readers(group, stage, () if stage in missing else ("127.0.0.1",)) for group, (stage, _) in GROUPS.items()
    )
    topic = Holding(Name.FRAMES_UPLOAD, uploads, 0, None, "7 d", {"detector-upload": uploads})
    return Holdings((topic,), readers, free, 1000)


def seen(**parts: Any) -> Seen:  # noqa: ANN401  # its parts
    now = SINCE + timedelta(minutes=1)
    well = Seen(now, [Check(name="kafka", ok=True, reason="")], [camera("door")], {"door": 0.1}, held(), None, 0.0)
    return well._replace(**parts)


def test_when_all_is_well_nothing_is_told() -> None:
    assert troubles(seen()) == []


def test_what_the_server_needs_comes_first_with_its_reason() -> None:
    checks = [Check(name="kafka", ok=False, reason="refused"), Check(name="clock", ok=False, reason="")]
    found = troubles(seen(checks=checks, holdings=None, skipped=0.9))
    assert [trouble.severity for trouble in found] == ["broken", "broken", "watch"]
    assert "(refused)" in found[0].what
    assert "doctor" in found[0].todo
    assert found[1].what == "clock is away."
    assert "90 % of the live frames" in found[2].what


def test_of_every_stage_that_reads_it_can_be_told_that_it_does_not_run() -> None:
    # One that the table lacked would end the whole API, which asks every few seconds.
    stages = {stage for stage, _ in GROUPS.values()}
    assert {trouble.key for trouble in troubles(seen(holdings=held(*stages)))} == {f"stage {stage}" for stage in stages}


def test_a_stage_that_does_not_run_is_told_with_its_command() -> None:
    found = troubles(seen(holdings=held("detector", "archive")))
    assert [(trouble.key, trouble.severity) for trouble in found] == [
        ("stage detector", "broken"),
        ("stage archive", "watch"),
    ]
    assert "«maskwatch detector»" in found[0].todo


def test_a_camera_is_told_when_it_is_offline_or_gives_no_picture() -> None:
    cameras = [
        camera("door", state="offline", reason="it was unplugged"),
        camera("yard"),
        camera("attic", state="offline", paused=True),
        camera("new", state="unknown", since=None),
    ]
    offline, silent = troubles(seen(cameras=cameras, ages={"yard": None}))
    assert troubles(seen(now=SINCE, cameras=cameras[1:2], ages={"yard": None})) == [], "it has just come"
    assert troubles(seen(cameras=cameras[1:2], ages={})) == [], "the store is away: that is told once"
    assert offline.since == SINCE
    assert offline.what == "Camera «Door» is offline: it was unplugged"
    assert "every minute" in offline.doing
    assert offline.link == "/live/door"
    assert silent.key == "silent yard"
    # Without a detector no camera gives pictures: that is told once.
    assert [trouble.key for trouble in troubles(seen(cameras=cameras[1:2], ages={}, holdings=held("detector")))] == [
        "stage detector"
    ]


def test_a_camera_that_has_ended_is_to_be_started_again_or_removed() -> None:
    cameras = [
        camera("gone", state="offline", reason="stopped", managed=False),
        camera("clip", state="offline", reason="the clip has ended"),
        camera("door", state="offline", reason="stopped"),
        camera("desk", state="offline", reason="no webcam 0", managed=False),
    ]
    door, desk, *ended = troubles(seen(cameras=cameras, ages={}))
    assert (door.key, door.severity) == ("offline door", "broken"), "the next capture goes on with it"
    assert "«Try again now»" in door.todo
    assert "«Try again now»" not in desk.todo, "nobody else may ask its process"
    assert [(one.key, one.severity) for one in ended] == [("ended gone", "watch"), ("ended clip", "watch")]
    assert ended[0].what == "Camera «Gone» has ended: stopped"
    assert "tried again" not in ended[0].doing
    assert "«maskwatch cameras remove gone»" in ended[0].todo


def test_a_disk_is_told_when_little_is_left_or_it_fills_within_a_day() -> None:
    assert troubles(seen(holdings=held(free=9)))[0].severity == "broken"
    assert troubles(seen(holdings=held(free=40)))[0].severity == "watch"
    (soon,) = troubles(seen(full_in_s=7200.0))
    assert "90 % left, and is full in 2 h 0 min" in soon.what
    old = msgspec.structs.replace(held(free=1), free=None)
    assert troubles(seen(holdings=old)) == []


def test_uploads_that_wait_are_told() -> None:
    (waiting,) = troubles(seen(holdings=held(uploads=40)))
    assert waiting.what == "40 uploads wait for a detector."
