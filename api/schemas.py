"""What goes over HTTP: the models of the REST answers, apart from what goes over Kafka."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


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
    state: Annotated[Literal["online", "offline", "unknown"], Field(description="unknown until its capture has spoken")]
    since: Annotated[
        datetime | None, Field(description="since when; null while unknown", examples=["2026-11-01T12:00:00Z"])
    ]
    reason: Annotated[str, Field(description="why it is offline, for people", examples=[""])]


class Cameras(_Model):
    """Every camera, by id."""

    cameras: list[CameraState]


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
