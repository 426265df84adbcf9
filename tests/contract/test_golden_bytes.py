"""Every message that was ever put on the wire can still be read, and is still written the same.

The golden bytes are kept by version. A change here is a change of the contract: within ``.v1`` only optional fields
may be added, and then a new golden stands beside the old one.
"""

from datetime import UTC, datetime

import msgspec
import pytest

from maskwatch.messages import (
    Camera,
    CameraStatus,
    DeadLetter,
    DetectedFace,
    Detection,
    FrameInfo,
    FrameRef,
    LiveFrame,
    MarkedFace,
    ModelRef,
    Prediction,
    SceneKnobs,
    frame_headers,
    read_frame_headers,
)

NOON = datetime(2026, 11, 1, 12, 0, 0, 250_000, tzinfo=UTC)
FRAME = FrameRef("door-2:s1:7", "door-2", "s1", 7, NOON, 1280, 720, "frames.live.v1", 3, 99)
MODEL = ModelRef("yolov8n-facemask", "1", "ab" * 32)
FACE = DetectedFace("with_mask", 0.91, (0.1, 0.2, 0.3, 0.4))

FRAME_JSON = (
    b'{"id":"door-2:s1:7","camera":"door-2","session":"s1","sequence":7,"captured":"2026-11-01T12:00:00.250000Z",'
    b'"width":1280,"height":720,"topic":"frames.live.v1","partition":3,"offset":99}'
)
MODEL_JSON = b'{"name":"yolov8n-facemask","version":"1","sha256":"' + b"ab" * 32 + b'"}'
FACE_JSON = b'{"label":"with_mask","score":0.91,"box":[0.1,0.2,0.3,0.4]}'

GOLDEN: list[tuple[msgspec.Struct, bytes]] = [
    (
        Detection(FRAME, MODEL, NOON, (FACE,)),
        b'{"frame":' + FRAME_JSON + b',"model":' + MODEL_JSON + b',"detected":"2026-11-01T12:00:00.250000Z","objects":['
        + FACE_JSON + b"]}",
    ),
    (
        Prediction("u1", "done", NOON, 640, 480, MODEL, (FACE,)),
        b'{"upload":"u1","status":"done","detected":"2026-11-01T12:00:00.250000Z","width":640,"height":480,"model":'
        + MODEL_JSON + b',"objects":[' + FACE_JSON + b'],"reason":null}',
    ),
    (
        Camera("door-2", "webcam:0", "Back door"),
        (
            b'{"id":"door-2","source":"webcam:0","name":"Back door","rate":10.0,"longest_side":1280,"quality":80,'
            b'"zones":[],"record_rate":1.0,"loop":true,"pace":"real-time","cast":null,"seed":1,"login":"","paused":false}'
        ),
    ),
    (
        CameraStatus("door-2", "offline", NOON, "no frame for 10 s"),
        b'{"camera":"door-2","state":"offline","since":"2026-11-01T12:00:00.250000Z","reason":"no frame for 10 s"}',
    ),
    (SceneKnobs(light=0.3), b'{"light":0.3,"blur":0.0,"noise":0.0,"colour":0.0,"masks":"mixed","crowd":5}'),
    (
        LiveFrame(FRAME, MODEL, NOON, (FACE,), NOON, 9.8, 3),
        b'{"frame":' + FRAME_JSON + b',"model":' + MODEL_JSON + b',"detected":"2026-11-01T12:00:00.250000Z","objects":['
        + FACE_JSON + b'],"published":"2026-11-01T12:00:00.250000Z","rate":9.8,"dropped":3}',
    ),
    (
        DeadLetter("frames.live.v1", 3, 99, "empty", NOON, 0),
        (
            b'{"topic":"frames.live.v1","partition":3,"offset":99,"reason":"empty",'
            b'"refused":"2026-11-01T12:00:00.250000Z","size":0}'
        ),
    ),
]  # fmt: skip

HEADERS = [
    ("ce_specversion", b"1.0"),
    ("ce_type", b"maskwatch.frame.v1"),
    ("ce_source", b"/cameras/door-2"),
    ("ce_id", b"door-2:s1:7"),
    ("ce_time", b"2026-11-01T12:00:00.250000Z"),
    ("content-type", b"image/jpeg"),
    ("ce_camera", b"door-2"),
    ("ce_session", b"s1"),
    ("ce_sequence", b"7"),
    ("ce_width", b"1280"),
    ("ce_height", b"720"),
    ("ce_truth", b'[{"label":"with_mask","box":[0.1,0.2,0.3,0.4]}]'),
]


EARLIER: list[tuple[msgspec.Struct, bytes]] = [
    (
        Camera("door-2", "webcam:0", "Back door"),
        (
            b'{"id":"door-2","source":"webcam:0","name":"Back door","rate":10.0,"longest_side":1280,"quality":80,'
            b'"zones":[],"record_rate":1.0,"loop":true,"pace":"real-time","cast":null,"seed":1}'
        ),
    ),
]
"""What earlier versions wrote."""


@pytest.mark.parametrize(("message", "golden"), EARLIER)
def test_what_was_written_before_a_field_was_added_is_read(message: msgspec.Struct, golden: bytes) -> None:
    assert msgspec.json.decode(golden, type=type(message)) == message


@pytest.mark.parametrize(("message", "golden"), GOLDEN, ids=[type(message).__name__ for message, _ in GOLDEN])
def test_messages_are_written_and_read_as_ever(message: msgspec.Struct, golden: bytes) -> None:
    assert msgspec.json.encode(message) == golden
    assert msgspec.json.decode(golden, type=type(message)) == message


def test_frames_headers_are_written_and_read_as_ever() -> None:
    info = FrameInfo("door-2", "s1", 7, NOON, 1280, 720, (MarkedFace("with_mask", (0.1, 0.2, 0.3, 0.4)),))
    assert frame_headers(info) == HEADERS
    assert read_frame_headers(HEADERS) == info


@pytest.mark.parametrize(("message", "golden"), GOLDEN[:-3], ids=[type(message).__name__ for message, _ in GOLDEN[:-3]])
def test_a_field_that_a_later_version_adds_is_no_error(message: msgspec.Struct, golden: bytes) -> None:
    later = golden[:-1] + b',"added_later":true}'
    assert msgspec.json.decode(later, type=type(message)) == message
