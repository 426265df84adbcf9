"""What goes over HTTP about labels: the frames that wait, what is said about them, and what was erased."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.model_schemas import LabelsDone
from api.schemas import LabelledFace, Model, SeenFace
from maskwatch.label_checks import MOST_FACES
from maskwatch.messages import Label

_T0 = "2026-11-01T17:42:00Z"
_ID = "door-2:20261101t120000-1f0c:812"
_Frame = Annotated[str, Field(min_length=1, max_length=300, description="the frame's id", examples=[_ID])]
_Camera = Annotated[str, Field(examples=["door-2"])]
_Count = Annotated[int, Field(ge=0, examples=[63])]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


class FrameToLabel(_Answer):
    """A frame that people are asked to label, and what the model proposes."""

    frame: _Frame
    camera: _Camera
    captured: Annotated[datetime, Field(examples=[_T0])]
    width: Annotated[int, Field(description="of the picture, in pixels", examples=[1280])]
    height: Annotated[int, Field(examples=[720])]
    why: Annotated[
        Literal["near-threshold", "drift", "rare", "random", "asked"],
        Field(description="asked: a person wants this very frame to be labelled"),
    ]
    text: Annotated[
        str,
        Field(description="the same for people", examples=["score 0.48, near the threshold, door-2, 17:42 UTC"]),
    ]
    requested: Annotated[datetime, Field(examples=[_T0])]
    episode: Annotated[str | None, Field(description="the episode of drift that it is from", examples=[None])]
    model: Model
    objects: Annotated[list[SeenFace], Field(description="what the model proposes")]


class FramesToLabel(_Answer):
    """Frames that wait for somebody, the newest first."""

    frames: list[FrameToLabel]
    waiting: Annotated[int, Field(ge=0, description="how many wait in all", examples=[128])]


class Taking(BaseModel):
    """Which frames somebody wants to label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    holder: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9-]{8,64}$",
            description="who takes them: a name of one's own making, one for each page",
            examples=["3f1c2c0e-5b0e-4f0a-9f7a-2f7f3a1f9c11"],
        ),
    ]
    count: Annotated[int, Field(ge=0, le=20, description="how many in all", examples=[4])] = 4
    keep: Annotated[list[_Frame], Field(max_length=20, description="those that one holds and still wants")] = []
    give_back: Annotated[list[_Frame], Field(max_length=20, description="those that one does not want any more")] = []


_OLDEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2900, 1, 1, tzinfo=UTC)
"""Kafka knows no time before, and none much later."""


class ShownFrame(BaseModel):
    """Which frame, as the live socket and detections.v1 name it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: _Frame
    camera: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["door-2"])]
    session: Annotated[str, Field(max_length=100, examples=["20261101t120000-1f0c"])]
    sequence: Annotated[int, Field(ge=0, lt=2**63, examples=[812])]
    captured: Annotated[AwareDatetime, Field(ge=_OLDEST, le=_LATEST, examples=[_T0])]
    width: Annotated[int, Field(ge=1, le=100_000, examples=[1280])]
    height: Annotated[int, Field(ge=1, le=100_000, examples=[720])]
    topic: Annotated[str, Field(max_length=300, examples=["frames.live.v1"])]
    partition: Annotated[int, Field(ge=0, lt=32, examples=[3])]
    offset: Annotated[int, Field(ge=0, lt=2**63, examples=[51_234])]


_Share = Annotated[float, Field(ge=0, le=1)]


class ShownFace(BaseModel):
    """A face as the live socket tells it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Annotated[Label, Field(description="what is on it", examples=["with_mask"])]
    score: Annotated[_Share, Field(description="how sure the model is", examples=[0.93])]
    box: Annotated[
        tuple[_Share, _Share, _Share, _Share],
        Field(description="x1, y1, x2, y2 of the picture, upright", examples=[[0.31, 0.22, 0.45, 0.47]]),
    ]


class FrameAsked(BaseModel):
    """A frame that a person wants to be labelled, with what was seen on it: what the live socket says of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: ShownFrame
    model: Model
    objects: Annotated[list[ShownFace], Field(max_length=MOST_FACES, description="what the model proposes")] = []


class NewLabel(BaseModel):
    """What somebody says about a frame; a later label replaces an earlier one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: _Frame
    state: Annotated[
        Literal["labelled", "skipped"], Field(description="skipped: looked at, and nothing can be said")
    ] = "labelled"
    faces: Annotated[
        list[LabelledFace], Field(max_length=MOST_FACES, description="every face; none: there is no face on it")
    ] = []
    holder: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9-]{8,64}$", description="who holds the frame, as it was taken", examples=[None]),
    ] = None
    source: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
            description="what a program calls itself, for pictures of its own",
            examples=[None],
        ),
    ] = None


class LabelAnswer(_Answer):
    """What is said about a frame."""

    frame: _Frame
    state: Literal["labelled", "skipped", "erased"]
    at: Annotated[datetime, Field(examples=[_T0])]
    by: Annotated[str, Field(description="who", examples=["local"])]
    made_by: Literal["person", "import", "model"]
    faces: list[LabelledFace]
    source: Annotated[str, Field(description="the camera, or what an import or a program calls itself")]
    sha256: Annotated[str, Field(description="of the picture in the store; empty without", examples=["ab" * 32])]
    width: int
    height: int


class Labels(_Answer):
    """Labels, the newest first."""

    labels: list[LabelAnswer]
    more: Annotated[bool, Field(description="there are older ones", examples=[False])]


class KeptPicture(_Answer):
    """A picture that is kept, to be labelled next."""

    frame: Annotated[str, Field(description="its id, for POST /labels", examples=["sha256:" + "ab" * 32])]
    width: Annotated[int, Field(examples=[1280])]
    height: Annotated[int, Field(examples=[720])]


class Progress(_Answer):
    """How far the labels are."""

    labels: Annotated[_Count, Field(description="that count, since the last round of training")]
    needed: Annotated[int, Field(description="that a retrain needs", examples=[100])]
    total: Annotated[_Count, Field(description="that count in all")]
    done: Annotated[
        LabelsDone | None,
        Field(description="what came of those of the newest round; null before", examples=[None]),
    ]
    waiting: Annotated[_Count, Field(description="frames that wait for somebody")]
    skipped: _Count
    sources: Annotated[dict[str, int], Field(description="labels of each camera or import", examples=[{"door-2": 63}])]


class Remainder(_Answer):
    """Where a picture still lies after it was erased, and until when."""

    where: Annotated[str, Field(description="a topic", examples=["label-requests.v1"])]
    until: Annotated[datetime, Field(description="gone by then", examples=[_T0])]


class Erasure(_Answer):
    """A picture that was erased."""

    frame: _Frame
    erased: Annotated[datetime, Field(examples=[_T0])]
    by: Annotated[str, Field(examples=["local"])]
    captured: Annotated[datetime | None, Field(description="null for pictures that are no camera's")]
    remains: Annotated[list[Remainder], Field(description="where it lies for a while; empty: nowhere")]


class Erasures(_Answer):
    """What was erased, the newest first."""

    erasures: list[Erasure]
