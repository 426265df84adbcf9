"""What goes over HTTP about the system: what is wrong, cameras, workers, topics, the disk, versions."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.drift_schemas import Answer
from api.model_schemas import Learning

_T0 = "2026-11-01T17:42:00Z"


class TroubleAnswer(Answer):
    """One thing that is wrong, or is about to be."""

    severity: Annotated[Literal["broken", "watch"], Field(description="broken now, or soon")]
    what: Annotated[str, Field(examples=["Camera «Back door» is offline: it was unplugged"])]
    since: Annotated[datetime, Field(description="since when, or since when it has been seen", examples=[_T0])]
    doing: Annotated[str, Field(description="what happens by itself", examples=["It is tried again by itself."])]
    todo: Annotated[str, Field(description="what a person should do", examples=["See to its power."])]
    link: Annotated[str, Field(description="where more is to be seen; may be empty", examples=["/live/door-2"])]


class Count(Answer):
    """Something by its reason."""

    reason: Annotated[str, Field(examples=["replaced"])]
    per_minute: Annotated[float, Field(examples=[1.5])]


class CameraFigures(Answer):
    """How a camera does."""

    id: Annotated[str, Field(examples=["door-2"])]
    name: Annotated[str, Field(examples=["Back door"])]
    state: Literal["online", "offline", "unknown", "paused"]
    since: Annotated[datetime | None, Field(examples=[_T0])]
    reason: Annotated[str, Field(description="why it is offline", examples=[""])]
    wished: Annotated[float, Field(description="frames a second that are wished for", examples=[10.0])]
    rate: Annotated[
        float | None, Field(description="frames a second that viewers get; null while none", examples=[9.8])
    ]
    age_s: Annotated[
        float | None, Field(description="from the frame's append to its detection, of the newest", examples=[0.06])
    ]
    dropped: Annotated[int | None, Field(description="frames of this session that no model looked at", examples=[3])]
    lost: Annotated[list[Count], Field(description="frames that never reached Kafka; of cameras on this machine")]


class Worker(Answer):
    """A process of a stage on this machine."""

    stage: Annotated[str, Field(examples=["detector"])]
    pid: Annotated[int, Field(examples=[4121])]
    memory: Annotated[int, Field(description="bytes", examples=[243_000_000])]
    rate: Annotated[float | None, Field(description="frames a second, of a detector", examples=[41.2])]
    batch: Annotated[float | None, Field(description="frames of a batch, on average", examples=[1.4])]
    detect_s: Annotated[float | None, Field(description="seconds for a frame, on average", examples=[0.017])]
    model: Annotated[str, Field(examples=["yolov8n-facemask 1"])]


class Reader(Answer):
    """A consumer group: who reads, wherever it runs."""

    stage: Annotated[str, Field(examples=["detector"])]
    group: Annotated[str, Field(examples=["detector-live"])]
    hosts: Annotated[list[str], Field(description="one for each member", examples=[["127.0.0.1"]])]


class Lag(Answer):
    """How far behind a group is."""

    group: Annotated[str, Field(examples=["detector-live"])]
    records: Annotated[int, Field(examples=[2])]


class TopicFigures(Answer):
    """What lies in a topic."""

    name: Annotated[str, Field(examples=["frames.live.v1"])]
    records: Annotated[int, Field(examples=[600])]
    bytes: Annotated[int, Field(description="on all brokers together", examples=[45_000_000])]
    oldest: Annotated[datetime | None, Field(description="null while it is empty", examples=[_T0])]
    kept: Annotated[str, Field(examples=["1 min, byte cap"])]
    lag: list[Lag]


class Disk(Answer):
    """The disk of the broker whose disk is the fullest."""

    free: Annotated[int, Field(description="bytes", examples=[71_000_000_000])]
    total: Annotated[int, Field(examples=[252_000_000_000])]
    full_in_s: Annotated[float | None, Field(description="at this pace; null: it does not fill, or is not known yet")]
    seen_s: Annotated[float, Field(description="seconds over which the pace was measured", examples=[3600.0])]


class Pipeline(Answer):
    """What all detectors on this machine do together, over the last minute."""

    seconds: Annotated[float, Field(description="over which it was measured", examples=[60.0])]
    detected: Annotated[float | None, Field(description="frames a second; null: not known yet", examples=[41.2])]
    age_p50_s: Annotated[
        float | None, Field(description="from append to detection; null: nothing seen", examples=[0.05])
    ]
    age_p95_s: Annotated[float | None, Field(examples=[0.11])]
    skipped: Annotated[list[Count], Field(description="live frames that no model looked at")]


class Version(Answer):
    """A part and its version."""

    name: Annotated[str, Field(examples=["Maskwatch"])]
    version: Annotated[str, Field(examples=["0.1.0"])]


class System(Answer):
    """How everything does."""

    now: Annotated[datetime, Field(examples=[_T0])]
    troubles: Annotated[list[TroubleAnswer], Field(description="the worst first; none: nothing is wrong")]
    cameras: list[CameraFigures]
    workers: Annotated[list[Worker], Field(description="of this machine alone")]
    readers: list[Reader]
    pipeline: Pipeline
    topics: Annotated[list[TopicFigures], Field(description="none while Kafka is away")]
    disk: Annotated[Disk | None, Field(description="null while Kafka does not say")]
    versions: list[Version]
    learning: Annotated[Learning | None, Field(description="null while topics are still being read")] = None
