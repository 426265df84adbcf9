"""What the drift monitor says on the wire: signals over time, episodes, alerts, and frames that people should label.

These belong to :mod:`maskwatch.messages` and are written and read by its functions; they stand apart because they are
many. Every record of an episode or an alert is whole, so readers keep the newest of each id and need no other.
"""

from datetime import datetime
from typing import Literal, get_args

import msgspec

from maskwatch.errors import MessageError
from maskwatch.messages import (
    JPEG,
    CameraId,
    DetectedFace,
    FrameInfo,
    FrameRef,
    Headers,
    ModelRef,
    encode,
    frame_headers,
)

SignalName = Literal[
    "brightness",
    "contrast",
    "sharpness",
    "colour",
    "blockiness",
    "face_size",
    "score",
    "without_mask",
    "incorrect",
    "faces",
    "agreement",
]
SIGNALS: tuple[SignalName, ...] = get_args(SignalName)
"""Every signal, in the order in which they are shown; docs/drift.md says what each means."""

Kind = Literal["input", "output", "quality"]
KINDS: dict[SignalName, Kind] = {
    "brightness": "input",
    "contrast": "input",
    "sharpness": "input",
    "colour": "input",
    "blockiness": "input",
    "face_size": "input",
    "score": "output",
    "without_mask": "output",
    "incorrect": "output",
    "faces": "output",
    "agreement": "quality",
}
"""What kind of drift a signal tells of."""


class Spread(msgspec.Struct, frozen=True):
    """How the samples of one signal lie, in the signal's unit."""

    samples: int
    mean: float
    low: float
    """The tenth percentile."""
    middle: float
    high: float
    """The ninetieth percentile."""


class SignalWindow(msgspec.Struct, frozen=True):
    """One signal over one window: what it was, and what it was compared with."""

    now: Spread
    reference: Spread | None
    """None while the camera's reference is learned."""
    effect: float = 0.0
    """Kolmogorov-Smirnov's D between the newest samples and the reference, 0..1; 0 while learning."""
    threshold: float = 1.0
    """The D from which it would count as drift at that moment."""
    shifted: bool = False
    """Part of the open episode, if there is one."""


class CameraWindow(msgspec.Struct, frozen=True):
    """The signals of one camera over one window (``signals.v1``): what charts are made of."""

    camera: CameraId
    start: datetime
    end: datetime
    state: Literal["learning", "watching", "drifting"]
    learned: float
    """How much of the reference is learned, 0..1."""
    frames: int
    """Detections that were read in the window."""
    samples: int
    """How many of them were taken as samples."""
    signals: dict[SignalName, SignalWindow]
    """Those that had a sample: without a face there is no score."""
    episode: str | None = None
    """The open episode."""


class Shift(msgspec.Struct, frozen=True):
    """How one signal differs from its reference, and how sure that is."""

    signal: SignalName
    kind: Kind
    since: datetime
    """When it became part of the episode."""
    effect: float
    """Kolmogorov-Smirnov's D, 0..1."""
    p: float
    """How likely such a D would be without a change, neighbouring samples being alike."""
    before: Spread
    after: Spread
    edges: tuple[float, ...]
    """Of the histograms, one more than they have bars."""
    before_bars: tuple[float, ...]
    """Share of the reference's samples in each bar."""
    after_bars: tuple[float, ...]
    shifted: bool = True
    """False once it is back."""


class Confirmation(msgspec.Struct, frozen=True):
    """What people's labels of an episode's frames say of the model: whether it is worse on them than it was before."""

    labels: int
    """Of the episode's frames on which the model or people see a face."""
    confirmed: bool
    text: str
    """For people."""
    before: float | None = None
    """Mean agreement (F1) on frames from before the episode; None while there are too few."""
    after: float | None = None
    """Mean agreement on the episode's frames."""
    drop: float | None = None
    """Lower bound of the drop, one-sided 95 %, by bootstrap over frames."""


class Episode(msgspec.Struct, frozen=True):
    """A time in which a camera, or what is seen on it, differs from its reference (``drift.v1``).

    A camera has one open episode at most; further signals join it. Its records are whole: the newest of an id is true.
    """

    id: str
    camera: CameraId
    kind: Kind
    """Input if any signal of the picture has shifted, else quality, else output."""
    phase: Literal["start", "update", "end"]
    since: datetime
    """When the change seems to have begun."""
    started: datetime
    """When it was sure."""
    updated: datetime
    model: ModelRef
    shifts: tuple[Shift, ...]
    """The largest effect first, as they are now; at the end as they were at their largest."""
    text: str
    """One sentence for people."""
    ended: datetime | None = None
    reason: Literal["recovered", "adopted", "new-model", ""] = ""
    """Why it ended: the signals are back, the new is the reference by now, or another model looks."""
    before: FrameRef | None = None
    """A frame from before the change; its picture is kept for a day (:func:`maskwatch.evidence.picture`)."""
    after: FrameRef | None = None
    alert: bool = True
    """False if it came so soon after the last that nobody need be told."""
    confirmation: Confirmation | None = None
    """What labels say of it, which may come after its end; None while nobody has labelled a frame of it."""


class Alert(msgspec.Struct, frozen=True):
    """That somebody should know of an episode (``alerts.v1``); one for each.

    It is written when it is raised, and again, with who and when, when somebody acknowledges it. Of several records of
    an id, one that is acknowledged is true.
    """

    id: str
    """That of the episode."""
    camera: CameraId
    kind: Kind
    raised: datetime
    text: str
    acknowledged: datetime | None = None
    by: str = ""
    """Who acknowledged it."""


class LabelRequest(msgspec.Struct, frozen=True):
    """Why a frame should be labelled, and what the model proposes (header ``ce_request`` on ``label-requests.v1``).

    The record's value is the JPEG, which outlives the frame; its other headers are those of the frame.
    """

    frame: FrameRef
    model: ModelRef
    objects: tuple[DetectedFace, ...]
    why: Literal["near-threshold", "drift", "rare", "random", "asked"]
    """Asked: a person wants this very frame to be labelled."""
    text: str
    """One plain sentence for people, such as «score 0.48, near the threshold»."""
    requested: datetime
    episode: str | None = None
    """The episode in which it was taken, for `why` drift."""


def label_request_headers(request: LabelRequest) -> list[tuple[str, bytes]]:
    """Write the headers of a label request; the record's value is the JPEG alone, its key the frame's id."""
    frame = request.frame
    info = FrameInfo(frame.camera, frame.session, frame.sequence, frame.captured, frame.width, frame.height)
    value, event = encode(
        request, kind="maskwatch.label-request.v1", source="/drift", id=frame.id, time=request.requested
    )
    described = dict(frame_headers(info)) | dict(event) | {"content-type": JPEG.encode(), "ce_request": value}
    return list(described.items())


def read_label_request_headers(headers: Headers) -> LabelRequest:
    """Read why a frame should be labelled.

    Raises
    ------
    MessageError
        If the header is missing or malformed.
    """
    found = dict(headers)
    if "ce_request" not in found:
        raise MessageError("header ce_request is missing")
    try:
        return msgspec.json.decode(found["ce_request"], type=LabelRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MessageError(f"header ce_request is no label request: {error}") from error
