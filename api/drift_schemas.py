"""What goes over HTTP about drift: signals, episodes, alerts."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import Model
from maskwatch.drift_messages import Kind, SignalName

_T0 = "2026-11-01T17:42:00Z"
_ID = "door-2:20261101t120000-1f0c:812:drift"
_Camera = Annotated[str, Field(examples=["door-2"])]
_Kind = Annotated[Kind, Field(description="of the picture, of what is seen on it, or of its agreement with people")]
_Name = Annotated[SignalName, Field(description="docs/drift.md says what each is", examples=["brightness"])]
_Effect = Annotated[
    float, Field(description="Kolmogorov-Smirnov's D between now and the reference, 0..1", examples=[0.91])
]
_Values = Annotated[list[float | None], Field(examples=[[0.42, None]])]


class Answer(BaseModel):
    """What an answer over HTTP is made of, read from whatever has these attributes."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


class SpreadAnswer(Answer):
    """How the samples of a signal lie."""

    samples: Annotated[int, Field(examples=[240])]
    mean: Annotated[float, Field(examples=[0.44])]
    low: Annotated[float, Field(description="the tenth percentile", examples=[0.41])]
    middle: Annotated[float, Field(examples=[0.44])]
    high: Annotated[float, Field(description="the ninetieth percentile", examples=[0.47])]


class SignalNow(Answer):
    """A signal in the newest window."""

    signal: _Name
    kind: _Kind
    now: SpreadAnswer
    reference: Annotated[SpreadAnswer | None, Field(description="null while it is learned")]
    effect: _Effect
    threshold: Annotated[float, Field(description="the effect from which it counts as drift", examples=[0.31])]
    shifted: Annotated[bool, Field(description="part of the open episode", examples=[False])]


class CameraSignals(Answer):
    """A camera, and whether it is what it used to be."""

    camera: _Camera
    name: Annotated[str, Field(description="for people", examples=["Back door"])]
    state: Annotated[
        Literal["learning", "watching", "drifting", "silent"],
        Field(description="silent: nothing was measured for the last few minutes"),
    ]
    learned: Annotated[float, Field(description="how much of the reference is learned, 0..1", examples=[1.0])]
    seen: Annotated[datetime | None, Field(description="end of the newest window", examples=[_T0])]
    episode: Annotated[str | None, Field(description="the open episode", examples=[None])]
    signals: Annotated[list[SignalNow], Field(description="of the newest window; none while silent")]


class Signals(Answer):
    """Every camera, by id."""

    cameras: list[CameraSignals]
    window_s: Annotated[float, Field(description="seconds that a window spans", examples=[60.0])]
    current: Annotated[bool, Field(description="false while Kafka is away: this is what was known", examples=[True])]


class SignalColumn(Answer):
    """One signal over time: lists as long as `times`; null where there was no sample."""

    low: _Values
    middle: _Values
    high: _Values
    reference_low: _Values
    reference_middle: _Values
    reference_high: _Values
    effect: _Values
    threshold: _Values
    shifted: Annotated[list[bool], Field(examples=[[False, False]])]


class SignalsOverTime(Answer):
    """The signals of one camera over a span of time, ready for charts."""

    camera: _Camera
    next: Annotated[datetime, Field(description="ask since then for what comes later", examples=[_T0])]
    times: Annotated[
        list[float], Field(description="end of each window, in seconds since 1970", examples=[[1793554920, 1793554980]])
    ]
    frames: Annotated[list[int], Field(description="detections in each window", examples=[[598, 601]])]
    signals: dict[SignalName, SignalColumn]


class AlertState(Answer):
    """Whether somebody knows of an episode."""

    id: Annotated[str, Field(description="that of the episode", examples=[_ID])]
    camera: _Camera
    kind: _Kind
    raised: Annotated[datetime, Field(examples=[_T0])]
    text: Annotated[str, Field(examples=["door-2 became darker at 17:42 UTC"])]
    open: Annotated[bool, Field(description="nobody has acknowledged it, and the episode goes on", examples=[True])]
    acknowledged: Annotated[datetime | None, Field(description="when somebody did", examples=[None])]
    by: Annotated[str, Field(description="who", examples=[""])]


class Alerts(Answer):
    """Alerts, the newest first."""

    alerts: list[AlertState]


class ConfirmationAnswer(Answer):
    """What people's labels of an episode's frames say of the model."""

    labels: Annotated[int, Field(description="of the episode's frames", examples=[34])]
    confirmed: Annotated[bool, Field(description="the model is worse on them than it was", examples=[True])]
    text: Annotated[str, Field(examples=["confirmed by 34 labels: quality 0.81 → 0.62 (drop ≥0.11)"])]
    before: Annotated[float | None, Field(description="mean F1 on frames from before; null: too few", examples=[0.81])]
    after: Annotated[float | None, Field(description="mean F1 on the episode's frames", examples=[0.62])]
    drop: Annotated[float | None, Field(description="lower bound, one-sided 95 %", examples=[0.11])]


class EpisodeSummary(Answer):
    """A time in which a camera, or what is seen on it, differs from its reference."""

    id: Annotated[str, Field(examples=[_ID])]
    camera: _Camera
    kind: _Kind
    state: Annotated[
        Literal["open", "acknowledged", "ended"],
        Field(description="open: it goes on, and nobody has said that they know"),
    ]
    since: Annotated[datetime, Field(description="when the change seems to have begun", examples=[_T0])]
    started: Annotated[datetime, Field(description="when it was sure", examples=[_T0])]
    updated: Annotated[datetime, Field(examples=[_T0])]
    ended: Annotated[datetime | None, Field(examples=[None])]
    reason: Annotated[
        Literal["recovered", "adopted", "new-model", ""],
        Field(description="why it ended: the signals are back, the new is normal by now, or another model looks"),
    ]
    text: Annotated[str, Field(examples=["door-2 became darker at 17:42 UTC"])]
    signals: Annotated[list[SignalName], Field(description="the largest effect first", examples=[["brightness"]])]
    alert: Annotated[
        AlertState | None, Field(description="null if it came so soon after the last that none was raised")
    ]
    confirmation: Annotated[
        ConfirmationAnswer | None, Field(description="what labels say of it; null while nobody has labelled its frames")
    ]


class Episodes(Answer):
    """Episodes, the newest first."""

    episodes: list[EpisodeSummary]
    more: Annotated[bool, Field(description="there are older ones", examples=[False])]


class ShiftAnswer(Answer):
    """How a signal differs from its reference, and how sure that is."""

    signal: _Name
    kind: _Kind
    since: Annotated[datetime, Field(description="when it became part of the episode", examples=[_T0])]
    effect: _Effect
    p: Annotated[float, Field(description="how likely that would be without a change", examples=[1e-9])]
    before: SpreadAnswer
    after: SpreadAnswer
    edges: Annotated[list[float], Field(description="of the bars, one more than there are", examples=[[0.0, 0.5, 1.0]])]
    before_bars: Annotated[list[float], Field(description="share of the reference's samples", examples=[[0.1, 0.9]])]
    after_bars: Annotated[list[float], Field(examples=[[0.9, 0.1]])]
    shifted: Annotated[bool, Field(description="false once it is back", examples=[True])]


class EpisodeAnswer(EpisodeSummary):
    """An episode with all that is known of it."""

    model: Model
    shifts: list[ShiftAnswer]
    before: Annotated[
        datetime | None, Field(description="when the frame from before the change was captured", examples=[_T0])
    ]
    after: Annotated[datetime | None, Field(description="when the frame of the change was captured", examples=[_T0])]
