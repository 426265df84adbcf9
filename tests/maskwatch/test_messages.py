from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.errors import MessageError
from maskwatch.messages import (
    CameraStatus,
    FrameInfo,
    MarkedFace,
    SceneKnobs,
    decode,
    encode,
    frame_headers,
    is_camera_id,
    read_frame_headers,
    rfc3339,
)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
unit = st.floats(0, 1)
faces = st.builds(
    MarkedFace,
    label=st.sampled_from(["with_mask", "without_mask", "mask_weared_incorrect"]),
    box=st.tuples(unit, unit, unit, unit),
)
infos = st.builds(
    FrameInfo,
    camera=st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,62}\Z"),
    session=st.text(min_size=1, max_size=20),
    sequence=st.integers(0, 2**40),
    captured=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # bounds
    width=st.integers(1, 10_000),
    height=st.integers(1, 10_000),
    truth=st.none() | st.lists(faces, max_size=3).map(tuple),
)


@given(infos)
def test_a_frame_s_headers_come_back_as_they_went(info: FrameInfo) -> None:
    assert read_frame_headers(frame_headers(info)) == info


def test_a_frame_s_headers_are_cloudevents_and_readable_by_kcat() -> None:
    headers = dict(frame_headers(FrameInfo("door-2", "a1", 7, NOON, 1280, 720)))
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == b"door-2:a1:7"
    assert headers["ce_source"] == b"/cameras/door-2"
    assert headers["ce_time"] == b"2026-11-01T12:00:00.000000Z"
    assert headers["content-type"] == b"image/jpeg"
    assert "ce_truth" not in headers


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ce_width", None, "ce_width is missing"),
        ("ce_width", b"0", "width"),
        ("ce_sequence", b"-1", "sequence"),
        ("ce_camera", b"Door 2", "camera"),
        ("ce_time", b"yesterday", "captured"),
        ("ce_session", b"\xff\xfe", "do not describe a frame"),
        ("ce_truth", b"[{", "do not describe a frame"),
        ("content-type", b"image/png", "expected image/jpeg"),
    ],
)
def test_a_wrong_header_is_named(name: str, value: bytes | None, says: str) -> None:
    headers = dict(frame_headers(FrameInfo("door-2", "a1", 7, NOON, 1280, 720)))
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    with pytest.raises(MessageError, match=says):
        read_frame_headers(list(headers.items()))


def test_json_messages_come_back_as_they_went() -> None:
    status = CameraStatus("door-2", "offline", NOON, "no frame for 10 s")
    value, headers = encode(status, kind="maskwatch.camera-status.v1", source="/capture", id="door-2", time=NOON)
    assert decode(value, CameraStatus) == status
    assert dict(headers)["content-type"] == b"application/json"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "empty record"),
        (b"{", "not a SceneKnobs"),
        (b'{"light": 9}', "light"),
        (b'{"lihgt": 1}', "lihgt"),
        (b"\xff", "not a"),
    ],
)
def test_what_is_no_message_is_refused_with_the_place(value: bytes | None, says: str) -> None:
    with pytest.raises(MessageError, match=says):
        decode(value, SceneKnobs)


def test_times_are_written_in_utc() -> None:
    assert rfc3339(NOON.astimezone(timezone(timedelta(hours=2)))) == "2026-11-01T12:00:00.000000Z"


@pytest.mark.parametrize("text", ["", "-door", "Door", "a" * 64, "door 2", "door/2", "door\n"])
def test_what_cannot_name_a_camera(text: str) -> None:
    assert not is_camera_id(text)


def test_what_can_name_a_camera() -> None:
    assert is_camera_id("door-2")
    assert is_camera_id("a" * 63)
