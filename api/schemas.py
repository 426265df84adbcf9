"""What goes over HTTP: the models of the REST answers, apart from what goes over Kafka."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from maskwatch.messages import Label


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Health(_Model):
    """That the server runs, and where its source is."""

    status: Literal["ok"] = "ok"
    version: Annotated[str, Field(description="version of Maskwatch", examples=["0.1.0"])]
    source: Annotated[
        str,
        Field(
            description="where the source of what runs here is (AGPL-3.0, section 13)",
            examples=["/source.tar.gz"],
        ),
    ]


class Check(_Model):
    """One thing that the server needs."""

    name: Annotated[str, Field(examples=["kafka"])]
    ok: bool
    reason: Annotated[str, Field(description="why not; empty when it is there", examples=[""])]


class Readiness(_Model):
    """What the server needs, all of it there."""

    status: Literal["ready"] = "ready"
    checks: list[Check]


class CameraState(_Model):
    """A camera, and whether it gives frames."""

    id: Annotated[str, Field(examples=["door-2"])]
    name: Annotated[str, Field(description="for people; the id where none was given", examples=["Back door"])]
    source: Annotated[
        str, Field(description="where its frames come from, without user and password", examples=["webcam:0"])
    ]
    rate: Annotated[float, Field(description="frames a second that are wished for", examples=[10.0])]
    recorded: Annotated[float, Field(description="frames a second that are kept for a day; 0: none", examples=[1.0])]
    paused: Annotated[bool, Field(description="wished for, and not captured for now", examples=[False])]
    managed: Annotated[
        bool,
        Field(
            description="may be changed here: it belongs to no process; one that does is removed once offline",
            examples=[True],
        ),
    ]
    state: Annotated[Literal["online", "offline", "unknown"], Field(description="unknown until its capture has spoken")]
    since: Annotated[
        datetime | None, Field(description="since when; null while unknown", examples=["2026-11-01T12:00:00Z"])
    ]
    reason: Annotated[str, Field(description="why it is offline, for people", examples=[""])]


class _Wishes(_Model):
    """Fields of a wish."""

    name: Annotated[str | None, Field(max_length=200, description="for people", examples=["Back door"])] = None
    rate: Annotated[float | None, Field(gt=0, le=60, description="frames a second at most", examples=[5.0])] = None
    longest_side: Annotated[int | None, Field(ge=64, le=4096, description="pixels", examples=[1280])] = None
    quality: Annotated[int | None, Field(ge=10, le=100, description="of the JPEGs", examples=[80])] = None
    recorded: Annotated[
        float | None, Field(ge=0, le=60, description="frames a second that are kept for a day", examples=[1.0])
    ] = None


class NewCamera(_Wishes):
    """A network camera that is to be captured."""

    source: Annotated[
        str, Field(max_length=2000, description="its address", examples=["rtsp://user:password@10.0.0.7/stream1"])
    ]
    id: Annotated[
        str | None,
        Field(
            pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="made from the address if missing", examples=["door-2"]
        ),
    ] = None


class ChangedCamera(_Wishes):
    """What is to be changed of a camera; the rest stays."""

    source: Annotated[
        str | None,
        Field(max_length=2000, description="another address", examples=["rtsp://user:password@10.0.0.7/stream2"]),
    ] = None
    paused: Annotated[bool | None, Field(description="let it rest, or wake it", examples=[True])] = None


class CameraTest(_Model):
    """An address to be tried."""

    source: Annotated[str, Field(max_length=2000, examples=["rtsp://user:password@10.0.0.7/stream1"])]


class Cameras(_Model):
    """Every camera, by id."""

    cameras: list[CameraState]


class SeenFace(_Model):
    """A face as the model sees it."""

    label: Annotated[Label, Field(description="what is on it", examples=["with_mask"])]
    score: Annotated[float, Field(description="how sure the model is, 0..1", examples=[0.93])]
    box: Annotated[
        tuple[float, float, float, float],
        Field(description="x1, y1, x2, y2 in 0..1 of the picture, upright", examples=[[0.31, 0.22, 0.45, 0.47]]),
    ]


class LabelledFace(BaseModel):
    """A face as somebody marks it."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    label: Annotated[Label, Field(description="what is on it", examples=["with_mask"])]
    box: Annotated[
        tuple[float, float, float, float],
        Field(description="x1, y1, x2, y2 in 0..1 of the picture", examples=[[0.31, 0.22, 0.45, 0.47]]),
    ]


class Model(_Model):
    """Which model looked."""

    name: Annotated[str, Field(examples=["yolov8n-facemask"])]
    version: Annotated[str, Field(examples=["1"])]
    sha256: Annotated[str, Field(description="of the file that was loaded", examples=["ab" * 32])]


class Answer(_Model):
    """What was seen on an upload, or that it is still being looked at."""

    id: Annotated[str, Field(description="the upload's", examples=["6f2c6f7e-9d5a-5b0e-8f0a-2f7f3a1f9c11"])]
    status: Annotated[
        Literal["done", "failed", "pending"],
        Field(description="pending: not answered yet; ask again at /predictions/{id}"),
    ]
    detected: Annotated[
        datetime | None,
        Field(description="when the model looked; null while pending", examples=["2026-11-01T12:00:00Z"]),
    ] = None
    width: Annotated[int, Field(description="of the picture that was looked at, in pixels", examples=[1280])] = 0
    height: Annotated[int, Field(examples=[720])] = 0
    model: Model | None = None
    objects: list[SeenFace] = []
    reason: Annotated[str | None, Field(description="why it failed, for people", examples=[None])] = None


class BatchItem(_Model):
    """What became of one picture of a batch: an answer or a problem."""

    index: Annotated[int, Field(description="place in what was sent, from 0", examples=[0])]
    name: Annotated[str, Field(description="as it was sent, or in the archive", examples=["door.jpg"])]
    seconds: float | None = Field(None, description="of a picture of a video: from its begin")
    answer: Answer | None = None
    problem: dict[str, Any] | None = Field(None, description="as application/problem+json would have it")


class Batch(_Model):
    """What became of a batch, in the order in which it was sent."""

    items: list[BatchItem]


class Token(_Model):
    """What proves who asks."""

    token: Annotated[str, Field(min_length=1, max_length=1000, examples=["the value of api.token"])]


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(description="where this kind of problem is explained", examples=["/docs#not-found"])]
    title: Annotated[str, Field(examples=["Nothing is here"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["Nothing is at this address."])]
    instance: Annotated[str, Field(description="the path that was asked for", examples=["/camera"])]
