"""Every message that was ever put on the wire can still be read, and is still written the same.

The golden bytes are kept by version. A change here is a change of the contract: within ``.v1`` only optional fields
may be added, and then a new golden stands beside the old one.
"""

from datetime import UTC, datetime

import msgspec
import pytest

from maskwatch.drift_messages import (
    Alert,
    CameraWindow,
    Confirmation,
    Episode,
    LabelRequest,
    Shift,
    SignalWindow,
    Spread,
    label_request_headers,
    read_label_request_headers,
)
from maskwatch.errors import MessageError
from maskwatch.label_messages import FrameLabel, proposal_of
from maskwatch.messages import (
    Camera,
    CameraStatus,
    DeadLetter,
    DetectedFace,
    Detection,
    FrameInfo,
    FrameRef,
    FrameSignals,
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

NOON_JSON = b'"2026-11-01T12:00:00.250000Z"'
SIGNALS = FrameSignals(0.41, 0.2, 0.3, 0.01, 1.06)
SPREAD = Spread(60, 0.3, 0.1, 0.3, 0.5)
SPREAD_JSON = b'{"samples":60,"mean":0.3,"low":0.1,"middle":0.3,"high":0.5}'
SHIFT = Shift("brightness", "input", NOON, 0.9, 1e-07, SPREAD, SPREAD, (0.0, 0.5, 1.0), (0.25, 0.75), (1.0, 0.0))
EPISODE = Episode("door-2:s1:7", "door-2", "input", "start", NOON, NOON, NOON, MODEL, (SHIFT,), "Darker.", after=FRAME)
EPISODE_JSON = (
    b'{"id":"door-2:s1:7","camera":"door-2","kind":"input","phase":"start","since":' + NOON_JSON + b',"started":'
    + NOON_JSON + b',"updated":' + NOON_JSON + b',"model":' + MODEL_JSON + b',"shifts":[{"signal":"brightness",'
    b'"kind":"input","since":' + NOON_JSON + b',"effect":0.9,"p":1e-7,"before":' + SPREAD_JSON + b',"after":'
    + SPREAD_JSON + b',"edges":[0.0,0.5,1.0],"before_bars":[0.25,0.75],"after_bars":[1.0,0.0],"shifted":true}],'
    b'"text":"Darker.","ended":null,"reason":"","before":null,"after":' + FRAME_JSON + b',"alert":true'
)  # fmt: skip
REQUEST = LabelRequest(FRAME, MODEL, (FACE,), "near-threshold", "score 0.48", NOON)

GOLDEN: list[tuple[msgspec.Struct, bytes]] = [
    (
        Detection(FRAME, MODEL, NOON, (FACE,), SIGNALS),
        b'{"frame":' + FRAME_JSON + b',"model":' + MODEL_JSON + b',"detected":"2026-11-01T12:00:00.250000Z","objects":['
        + FACE_JSON + b'],"signals":{"brightness":0.41,"contrast":0.2,"sharpness":0.3,"colour":0.01,'
        b'"blockiness":1.06}}',
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
    (
        CameraWindow(
            "door-2", NOON, NOON, "watching", 1.0, 600, 30, {"score": SignalWindow(SPREAD, SPREAD, 0.1, 0.4)}, None
        ),
        b'{"camera":"door-2","start":' + NOON_JSON + b',"end":' + NOON_JSON + b',"state":"watching","learned":1.0,'
        b'"frames":600,"samples":30,"signals":{"score":{"now":' + SPREAD_JSON + b',"reference":' + SPREAD_JSON
        + b',"effect":0.1,"threshold":0.4,"shifted":false}},"episode":null}',
    ),
    (
        msgspec.structs.replace(EPISODE, confirmation=Confirmation(34, True, "confirmed", 0.81, 0.62, 0.11)),
        EPISODE_JSON
        + b',"confirmation":{"labels":34,"confirmed":true,"text":"confirmed","before":0.81,"after":0.62,"drop":0.11}}',
    ),
    (
        Alert("door-2:s1:7", "door-2", "input", NOON, "Darker.", NOON, "operator"),
        b'{"id":"door-2:s1:7","camera":"door-2","kind":"input","raised":' + NOON_JSON + b',"text":"Darker.",'
        b'"acknowledged":' + NOON_JSON + b',"by":"operator"}',
    ),
    (
        FrameLabel(
            "door-2:s1:7", "labelled", NOON, "ann", faces=(MarkedFace("with_mask", (0.1, 0.2, 0.3, 0.4)),),
            sha256="cd" * 32, width=1280, height=720, fingerprint="0123456789abcdef", source="door-2", captured=NOON,
            proposal=proposal_of(REQUEST),
        ),
        b'{"frame":"door-2:s1:7","state":"labelled","at":' + NOON_JSON + b',"by":"ann","made_by":"person","faces":['
        b'{"label":"with_mask","box":[0.1,0.2,0.3,0.4]}],"sha256":"' + b"cd" * 32 + b'","width":1280,"height":720,'
        b'"fingerprint":"0123456789abcdef","source":"door-2","captured":' + NOON_JSON + b',"proposal":{"model":'
        + MODEL_JSON + b',"objects":[' + FACE_JSON + b'],"why":"near-threshold","episode":null}}',
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
        Detection(FRAME, MODEL, NOON, (FACE,), FrameSignals(0.41, 0.2, 0.3, 0.01)),
        b'{"frame":'
        + FRAME_JSON
        + b',"model":'
        + MODEL_JSON
        + b',"detected":"2026-11-01T12:00:00.250000Z","objects":['
        + FACE_JSON
        + b'],"signals":{"brightness":0.41,"contrast":0.2,"sharpness":0.3,"colour":0.01}}',
    ),
    (
        Detection(FRAME, MODEL, NOON, (FACE,)),
        b'{"frame":'
        + FRAME_JSON
        + b',"model":'
        + MODEL_JSON
        + b',"detected":"2026-11-01T12:00:00.250000Z","objects":['
        + FACE_JSON
        + b"]}",
    ),
    (
        Camera("door-2", "webcam:0", "Back door"),
        (
            b'{"id":"door-2","source":"webcam:0","name":"Back door","rate":10.0,"longest_side":1280,"quality":80,'
            b'"zones":[],"record_rate":1.0,"loop":true,"pace":"real-time","cast":null,"seed":1}'
        ),
    ),
    (EPISODE, EPISODE_JSON + b"}"),
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


def test_label_requests_headers_are_written_and_read_as_ever() -> None:
    headers = label_request_headers(REQUEST)
    assert headers == [
        ("ce_specversion", b"1.0"),
        ("ce_type", b"maskwatch.label-request.v1"),
        ("ce_source", b"/drift"),
        ("ce_id", b"door-2:s1:7"),
        ("ce_time", b"2026-11-01T12:00:00.250000Z"),
        *HEADERS[5:11],
        (
            "ce_request",
            b'{"frame":' + FRAME_JSON + b',"model":' + MODEL_JSON + b',"objects":[' + FACE_JSON
            + b'],"why":"near-threshold","text":"score 0.48","requested":' + NOON_JSON + b',"episode":null}',
        ),
    ]  # fmt: skip
    assert read_label_request_headers(headers) == REQUEST
    with pytest.raises(MessageError, match="header ce_request is missing"):
        read_label_request_headers(headers[:-1])
    with pytest.raises(MessageError, match="is no label request"):
        read_label_request_headers([("ce_request", b"{")])


@pytest.mark.parametrize(("message", "golden"), GOLDEN[:-3], ids=[type(message).__name__ for message, _ in GOLDEN[:-3]])
def test_a_field_that_a_later_version_adds_is_no_error(message: msgspec.Struct, golden: bytes) -> None:
    later = golden[:-1] + b',"added_later":true}'
    assert msgspec.json.decode(later, type=type(message)) == message
