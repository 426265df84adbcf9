"""Everything that goes over the wire, defined once.

A record with a picture is the JPEG itself, and what is known about it stands in CloudEvents headers
(:class:`FrameInfo`). Every other record is one of the Structs below as JSON, with CloudEvents headers too
(:func:`encode`). Boxes are ``(x1, y1, x2, y2)`` in 0..1 of the frame as published; times are RFC 3339 in UTC.
Within ``.v1`` changes only add optional fields.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar, get_args

import msgspec

from maskwatch.errors import MessageError

Label = Literal["with_mask", "without_mask", "mask_weared_incorrect"]
CLASSES: tuple[Label, ...] = get_args(Label)
"""The three states, in the model's order."""

Box = tuple[float, float, float, float]
CameraId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Headers = Sequence[tuple[str, bytes]]

JPEG = "image/jpeg"
LARGEST_JPEG = 900_000
"""Bytes. Brokers take one megabyte by default; the rest is for headers."""

_CAMERA_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_Message = TypeVar("_Message", bound=msgspec.Struct)


class MarkedFace(msgspec.Struct, frozen=True):
    """A face as people, or the demo scene, know it to be."""

    label: Label
    box: Box


class DetectedFace(msgspec.Struct, frozen=True):
    """A face as a model sees it; `score` is in 0..1."""

    label: Label
    score: float
    box: Box


class FrameInfo(msgspec.Struct, frozen=True):
    """What the headers of a frame say.

    A session is one uninterrupted run of a source; within it `sequence` counts every frame that the source gave
    after the rate cap, so that a gap is a dropped frame. `truth` is known for the demo scene only.
    """

    camera: CameraId
    session: str
    sequence: Annotated[int, msgspec.Meta(ge=0)]
    captured: datetime
    width: Annotated[int, msgspec.Meta(ge=1)]
    height: Annotated[int, msgspec.Meta(ge=1)]
    truth: tuple[MarkedFace, ...] | None = None

    @property
    def id(self) -> str:
        """Return the id that every reader can work out for itself."""
        return f"{self.camera}:{self.session}:{self.sequence}"


class FrameRef(msgspec.Struct, frozen=True):
    """Which frame a detection speaks of, and where it lies in Kafka."""

    id: str
    camera: CameraId
    session: str
    sequence: int
    captured: datetime
    width: int
    height: int
    topic: str
    partition: int
    offset: int


class ModelRef(msgspec.Struct, frozen=True):
    """Which model looked: `sha256` is that of what was loaded; of several files, of their SHA-256 one a line."""

    name: str
    version: str
    sha256: str


class FrameSignals(msgspec.Struct, frozen=True):
    """What a picture is like as a whole, measured on the pixels that the model looked at."""

    brightness: float
    """Mean luma, 0..1."""
    contrast: float
    """Standard deviation of luma, 0..0.5."""
    sharpness: float
    """Mean absolute Laplacian of luma over its standard deviation: blur lowers it, noise raises it, light does not."""
    colour: float
    """Mean red less mean blue over their sum, -1 (blue) to 1 (red)."""
    blockiness: float | None = None
    """Mean step of luma at the borders of the JPEG's blocks over that within them: 1 without compression."""


class Detection(msgspec.Struct, frozen=True):
    """What a model saw on one frame (``detections.v1``)."""

    frame: FrameRef
    model: ModelRef
    detected: datetime
    objects: tuple[DetectedFace, ...]
    signals: FrameSignals | None = None


class Prediction(msgspec.Struct, frozen=True):
    """The one answer to an upload (``predictions.v1``)."""

    upload: str
    status: Literal["done", "failed"]
    detected: datetime
    width: int = 0
    height: int = 0
    model: ModelRef | None = None
    objects: tuple[DetectedFace, ...] = ()
    reason: str | None = None
    """Why it failed, for people; None when done."""


class Camera(msgspec.Struct, frozen=True):
    """A camera that somebody wishes for (``cameras.v1``). Addresses are without user info."""

    id: CameraId
    source: str
    """``scene``, ``webcam:0``, an address such as ``rtsp://10.0.0.7/1``, or the path of a clip or of a folder."""
    name: str = ""
    rate: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0
    """Frames a second at most."""
    longest_side: Annotated[int, msgspec.Meta(ge=64, le=4096)] = 1280
    """Pixels; larger frames are scaled down before they are published."""
    quality: Annotated[int, msgspec.Meta(ge=10, le=100)] = 80
    """JPEG quality."""
    zones: tuple[Box, ...] = ()
    """Privacy zones, blacked out before anything is published."""
    record_rate: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.0
    """Frames a second copied to ``frames.recording.v1``; 0 records nothing."""
    loop: bool = True
    """Clips and folders begin again at their end."""
    pace: Literal["real-time", "fast"] = "real-time"
    """Clips: at their own speed, or as fast as they can be read."""
    cast: str | None = None
    """Scene: a Pascal VOC folder whose people appear in it; drawn people without one."""
    seed: int = 1
    """Scene: everything random in it follows from this."""
    login: str = ""
    """Network cameras: user and password, sealed (:mod:`maskwatch.sealing`); empty without."""
    paused: bool = False
    """Wished for, and not captured for now."""


class CameraStatus(msgspec.Struct, frozen=True):
    """Whether a camera gives frames (``camera-status.v1``)."""

    camera: CameraId
    state: Literal["online", "offline"]
    since: datetime
    reason: str = ""
    """Why it is offline, for people."""


class SceneKnobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be turned on the demo scene while it runs (``scene.v1``)."""

    light: Annotated[float, msgspec.Meta(ge=0.05, le=3)] = 1.0
    """Factor on brightness: 0.3 is dusk, 2 is over-exposed."""
    blur: Annotated[float, msgspec.Meta(ge=0, le=20)] = 0.0
    """Standard deviation of a Gaussian blur in pixels of the frame."""
    noise: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    """Standard deviation of sensor noise in grey levels of 255."""
    colour: Annotated[float, msgspec.Meta(ge=-1, le=1)] = 0.0
    """Colour cast: -1 blue, +1 orange."""
    masks: Literal["mixed", "surgical", "cloth", "patterned", "none"] = "mixed"
    """Kind of mask on those who wear one; "none" takes every mask off."""
    crowd: Annotated[int, msgspec.Meta(ge=0, le=24)] = 5
    """People in the picture at a time."""


class LiveFrame(msgspec.Struct, frozen=True):
    """What a viewer gets beside the JPEG: one frame joined with what was seen on it."""

    frame: FrameRef
    model: ModelRef
    detected: datetime
    objects: tuple[DetectedFace, ...]
    published: datetime
    """The broker's append time of the frame: ages are counted from here."""
    rate: float
    """Joined frames a second over the last few seconds."""
    dropped: int
    """Frames of this session that were skipped before this one."""


class DeadLetter(msgspec.Struct, frozen=True):
    """Why a record was refused, and where it lay (header ``refused`` of a record in ``*.dlq``).

    The record keeps its key and its headers. An upload keeps its bytes too, if they are no more than a picture may
    have; of a live frame only this remains. Headers of more than 50 kB are left out.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    refused: datetime
    size: int
    """Bytes of the refused value."""


def is_camera_id(text: str) -> bool:
    """Tell whether a text may name a camera."""
    return _CAMERA_ID.fullmatch(text) is not None


def rfc3339(time: datetime) -> str:
    """Write a time as RFC 3339 in UTC, microseconds included.

    Examples
    --------
    >>> rfc3339(datetime(2026, 11, 1, 12, 0, tzinfo=UTC))
    '2026-11-01T12:00:00.000000Z'
    """
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def encode(
    message: msgspec.Struct,
    *,
    kind: str,
    source: str,
    id: str,  # noqa: A002  # CloudEvents' word
    time: datetime,
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Write a message as JSON with its CloudEvents headers.

    Parameters
    ----------
    message
        Any Struct of this module.
    kind
        CloudEvents `type`, such as ``maskwatch.detection.v1``.
    source
        CloudEvents `source`, such as ``/detector/7f3a``.
    id
        CloudEvents `id`; deterministic, so that readers can upsert.
    time
        When it came to be.

    Returns
    -------
    value, headers
        What to give to the Kafka client.
    """
    return msgspec.json.encode(message), [
        *_event_headers(kind, source, id, time),
        ("content-type", b"application/json"),
    ]


def decode(value: bytes | None, kind: type[_Message]) -> _Message:
    """Read a JSON message.

    Raises
    ------
    MessageError
        If the value is empty or does not fit; the text says where.
    """
    if value is None:
        raise MessageError(f"a {kind.__name__} cannot be read from an empty record")
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MessageError(f"not a {kind.__name__}: {error}") from error


def frame_headers(info: FrameInfo) -> list[tuple[str, bytes]]:
    """Write what is known of a frame as CloudEvents headers; the record's value is the JPEG alone."""
    headers = [
        *_event_headers("maskwatch.frame.v1", f"/cameras/{info.camera}", info.id, info.captured),
        ("content-type", JPEG.encode()),
        ("ce_camera", info.camera.encode()),
        ("ce_session", info.session.encode()),
        ("ce_sequence", str(info.sequence).encode()),
        ("ce_width", str(info.width).encode()),
        ("ce_height", str(info.height).encode()),
    ]
    if info.truth is not None:
        headers.append(("ce_truth", msgspec.json.encode(info.truth)))
    return headers


def read_frame_headers(headers: Headers) -> FrameInfo:
    """Read what the headers of a frame say.

    Raises
    ------
    MessageError
        If one is missing or malformed; the text names it.
    """
    found: Mapping[str, bytes] = dict(headers)
    if found.get("content-type") != JPEG.encode():
        raise MessageError(f"content-type is {found.get('content-type', b'missing')!r}, expected {JPEG}")
    try:
        plain = {name: found[f"ce_{name}"].decode() for name in ("camera", "session", "sequence", "width", "height")}
        truth = msgspec.json.decode(found["ce_truth"]) if "ce_truth" in found else None
        return msgspec.convert(
            {**plain, "captured": found["ce_time"].decode(), "truth": truth}, FrameInfo, strict=False
        )
    except KeyError as error:
        raise MessageError(f"header {error.args[0]} is missing") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MessageError(f"headers do not describe a frame: {error}") from error


def upload_headers(
    identity: str, uploaded: datetime, width: int, height: int, body_hash: str
) -> list[tuple[str, bytes]]:
    """Write what is known of an upload as CloudEvents headers; the record's value is the JPEG alone.

    Parameters
    ----------
    identity
        The upload's id.
    uploaded
        When it came.
    width, height
        Of the JPEG, in pixels.
    body_hash
        SHA-256 of what was sent, as hex digits: the same key with another body is told apart by it.
    """
    return [
        *_event_headers("maskwatch.upload.v1", "/uploads", identity, uploaded),
        ("content-type", JPEG.encode()),
        ("ce_width", str(width).encode()),
        ("ce_height", str(height).encode()),
        ("ce_bodyhash", body_hash.encode()),
    ]


def _event_headers(kind: str, source: str, identity: str, time: datetime) -> list[tuple[str, bytes]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", kind.encode()),
        ("ce_source", source.encode()),
        ("ce_id", identity.encode()),
        ("ce_time", rfc3339(time).encode()),
    ]
