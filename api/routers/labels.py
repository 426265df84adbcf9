"""Frames that people are asked to label, what they say about them, how far that is, and what was erased."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from api import model_answers
from api.bodies import sent_files
from api.dependencies import Asking, Services, Shared, known_origin
from api.erasures import remains
from api.label_schemas import (
    Erasure,
    Erasures,
    FrameAsked,
    FramesToLabel,
    FrameToLabel,
    KeptPicture,
    LabelAnswer,
    Labels,
    NewLabel,
    Progress,
    Remainder,
    Taking,
)
from api.label_table import Waiting
from api.labelling import RETRY_AFTER, Said
from api.problems import (
    AWAY,
    EMPTY,
    FRAME_HELD,
    LABEL_REFUSED,
    PICTURE_GONE,
    TOO_LARGE,
    UNAUTHORIZED,
    UNKNOWN_FRAME,
    UNREADABLE,
    ProblemError,
    documented,
)
from maskwatch.blurring import blurred
from maskwatch.drift_messages import LabelRequest
from maskwatch.errors import BrokerError, PictureError, StoreError
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import Box, DetectedFace, FrameRef, MarkedFace, ModelRef
from maskwatch.topics import Name
from producers import upload

router = APIRouter(prefix="/labels", tags=["labels"])

RECORDED = timedelta(days=1)
"""Older frames are nowhere any more."""

_ID = "door-2:20261101t120000-1f0c:812"
_T0 = "2026-11-01T17:42:00Z"
_FACE = {"label": "with_mask", "box": [0.31, 0.22, 0.45, 0.47]}
_FRAME = {
    "frame": _ID,
    "camera": "door-2",
    "captured": _T0,
    "width": 1280,
    "height": 720,
    "why": "near-threshold",
    "text": "score 0.48, near the threshold, door-2, 17:42 UTC",
    "requested": _T0,
    "episode": None,
    "model": {"name": "yolov8n-facemask", "version": "1", "sha256": "ab" * 32},
    "objects": [_FACE | {"score": 0.48}],
}
_LABEL = {
    "frame": _ID,
    "state": "labelled",
    "at": _T0,
    "by": "local",
    "made_by": "person",
    "faces": [_FACE],
    "source": "door-2",
    "sha256": "ab" * 32,
    "width": 1280,
    "height": 720,
}
_ASKED = "local asked for it, door-2, 17:42 UTC"
_ERASED = {
    "frame": _ID,
    "erased": _T0,
    "by": "local",
    "captured": _T0,
    "remains": [{"where": "label-requests.v1", "until": "2026-11-01T18:42:00Z"}],
}
_NO_TOKEN = (UNAUTHORIZED, "The token is missing or not the right one.", "/labels")
_NOT_READ = (AWAY, "What is known of labels is not read yet: reading labels.v1.", "/labels")
_UNKNOWN = (UNKNOWN_FRAME, "Nobody was asked to label such a frame.", "/labels")
_GONE = (PICTURE_GONE, "The picture of that frame is not there any more.", f"/labels/pictures/{_ID}")


@router.get(
    "/queue",
    operation_id="list_frames_to_label",
    summary="Frames that wait for a label",
    responses={
        200: {"content": {"application/json": {"example": {"frames": [_FRAME], "waiting": 128}}}},
        **documented(_NO_TOKEN, _NOT_READ),
    },
)
async def list_frames(shared: Shared, _: Asking, limit: Annotated[int, Query(ge=1, le=200)] = 20) -> FramesToLabel:
    """List frames that nobody has said anything about, the newest first; to label one, take it with POST."""
    refuse_unread(shared)
    return _frames(shared, list(shared.labels.table.waiting())[:limit])


@router.post(
    "/queue",
    operation_id="take_frames_to_label",
    summary="Take frames to label",
    dependencies=[Depends(known_origin)],
    responses={
        200: {"content": {"application/json": {"example": {"frames": [_FRAME], "waiting": 128}}}},
        **documented(_NO_TOKEN, _NOT_READ),
    },
)
async def take_frames(taking: Taking, shared: Shared, _: Asking) -> FramesToLabel:
    """Take some frames, which are nobody else's then for `labels.lease_s` seconds, and prolong what one keeps."""
    refuse_unread(shared)
    mine = await shared.labels.take(taking.holder, taking.keep, taking.give_back, taking.count)
    return _frames(shared, mine)


@router.post(
    "/requests",
    operation_id="ask_for_label",
    summary="Have a frame labelled that one sees",
    status_code=201,
    dependencies=[Depends(known_origin)],
    responses={
        201: {"content": {"application/json": {"example": _FRAME | {"why": "asked", "text": _ASKED}}}},
        **documented(_NO_TOKEN, _NOT_READ, _UNKNOWN, _GONE),
    },
)
async def ask_for_label(asked: FrameAsked, shared: Shared, who: Asking) -> FrameToLabel:
    """Put a frame into the queue, before all others: what the live socket says of it is what is sent.

    Its picture must be live yet (about a minute), or recorded.
    """
    refuse_unread(shared)
    now, shown = datetime.now(UTC), asked.frame
    if shown.id != f"{shown.camera}:{shown.session}:{shown.sequence}":
        raise ProblemError(UNKNOWN_FRAME, "The frame's id is not that of its camera, session and sequence.")
    if abs(now - shown.captured) > RECORDED:
        raise ProblemError(PICTURE_GONE, "That frame is live no more, and is recorded no more either.")
    topic = f"{shared.settings.kafka.topic_prefix}{Name.FRAMES_LIVE}"
    frame = FrameRef(**shown.model_dump() | {"topic": topic})
    request = LabelRequest(
        frame,
        ModelRef(**asked.model.model_dump()),
        tuple(DetectedFace(**face.model_dump()) for face in asked.objects),
        "asked",
        f"{who.id} asked for it, {frame.camera}, {frame.captured.astimezone(UTC):%H:%M} UTC",
        now,
    )
    await shared.labels.ask_for(request)
    return _frame(Waiting(request, 0, 0))


@router.get(
    "/progress",
    operation_id="get_label_progress",
    summary="How many labels there are, and how many are needed",
    responses=documented(_NO_TOKEN, _NOT_READ),
)
async def progress(shared: Shared, _: Asking) -> Progress:
    """Count people's labels since the last round, and the frames that wait; say what earlier labels have done."""
    refuse_unread(shared)
    if missing := shared.models.missing:
        raise ProblemError(AWAY, f"What is known of rounds is not read yet: {missing}.", headers=RETRY_AFTER)
    table = shared.labels.table
    return Progress(
        labels=model_answers.since_last_round(shared.models.table, table),
        needed=shared.settings.retrain.labels,
        total=table.counted(),
        done=model_answers.labels_done(shared.models.table),
        waiting=sum(1 for _ in table.waiting()),
        skipped=table.skipped,
        sources=table.sources(),
    )


@router.get(
    "/pictures/{frame}",
    operation_id="get_picture_to_label",
    summary="The picture of a frame that is to be labelled, or was",
    response_class=Response,
    responses={
        200: {"description": "a JPEG", "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **documented(_NO_TOKEN, _NOT_READ, _GONE),
    },
)
async def get_picture(frame: str, shared: Shared, _: Asking) -> Response:
    """Return the picture of a frame that waits, or that has a label."""
    refuse_unread(shared)
    try:
        jpeg = await shared.labels.pictures.find(frame)
    except (BrokerError, StoreError) as error:
        raise ProblemError(AWAY, "The picture cannot be read at the moment.", headers=RETRY_AFTER) from error
    if jpeg is None:
        raise ProblemError(PICTURE_GONE, "The picture of that frame is not there any more, or never was.")
    label = shared.labels.table.label(frame)
    if shared.settings.labels.blur and label is not None and label.made_by != "model":
        # Whoever labelled it has seen the faces; the store has them for training.
        jpeg = await asyncio.to_thread(blurred, jpeg, faces_of(label))
    # No browser keeps it: it may be erased.
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.put(
    "/pictures",
    operation_id="keep_picture_to_label",
    summary="Bring a picture of one's own, to be labelled next",
    status_code=201,
    dependencies=[Depends(known_origin)],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {"file": {"type": "string", "format": "binary"}},
                    }
                },
                "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
    responses=documented(
        _NO_TOKEN,
        _NOT_READ,
        (EMPTY, "The body holds no file.", "/labels/pictures"),
        (TOO_LARGE, "More than 20000000 bytes were sent.", "/labels/pictures"),
        (UNREADABLE, "The bytes are no JPEG, PNG or WebP.", "/labels/pictures"),
        (PICTURE_GONE, "It was erased.", "/labels/pictures"),
    ),
)
async def keep_picture(request: Request, shared: Shared, _: Asking) -> KeptPicture:
    """Keep a JPEG, PNG or WebP; POST /labels with its id says what is on it. Without a label it is gone in two days."""
    refuse_unread(shared)
    limits = shared.settings.api
    async with sent_files(request, shared.holding, limits, most_files=1, most_bytes=limits.max_upload_bytes) as (
        file,
        *_rest,
    ):
        try:
            jpeg = await asyncio.to_thread(upload.prepare, file.data, shared.settings.detector.max_pixels)
        except PictureError as error:
            raise ProblemError(UNREADABLE, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
        frame = await shared.labels.keep_picture(jpeg.data)
    return KeptPicture(frame=frame, width=jpeg.width, height=jpeg.height)


@router.post(
    "",
    operation_id="label_frame",
    summary="Say what is on a frame",
    dependencies=[Depends(known_origin)],
    responses={
        200: {"content": {"application/json": {"example": _LABEL}}},
        **documented(
            _NO_TOKEN,
            _NOT_READ,
            _UNKNOWN,
            _GONE,
            (FRAME_HELD, "Somebody else is labelling it: it was left for too long.", "/labels"),
            (LABEL_REFUSED, "Faces 1 and 2 are one face, marked twice.", "/labels"),
        ),
    },
)
async def label_frame(new: NewLabel, shared: Shared, who: Asking) -> LabelAnswer:
    """Keep a label; the answer means that it is durable. A later one replaces it."""
    refuse_unread(shared)
    faces = tuple(MarkedFace(face.label, face.box) for face in new.faces)
    said = Said(
        new.frame, new.state, faces if new.state == "labelled" else (), who.id, new.holder or "", new.source or ""
    )
    return _answer(await shared.labels.label(said))


@router.get(
    "",
    operation_id="list_labels",
    summary="Labels",
    responses={
        200: {"content": {"application/json": {"example": {"labels": [_LABEL], "more": False}}}},
        **documented(_NO_TOKEN, _NOT_READ),
    },
)
async def list_labels(
    shared: Shared,
    _: Asking,
    state: Annotated[Literal["labelled", "skipped"] | None, Query(description="only these")] = None,
    source: Annotated[str | None, Query(max_length=300, description="only this camera's, or import's")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Labels:
    """List what was said about frames, the newest first."""
    refuse_unread(shared)

    def wanted(label: FrameLabel) -> bool:
        return label.state != "erased" and state in {None, label.state} and source in {None, label.source}

    found = shared.labels.table.labels(limit + 1, wanted)
    return Labels(labels=[_answer(label) for label in found[:limit]], more=len(found) > limit)


@router.get(
    "/erasures",
    operation_id="list_erasures",
    summary="What was erased, and where it still lies",
    responses={
        200: {"content": {"application/json": {"example": {"erasures": [_ERASED]}}}},
        **documented(_NO_TOKEN, _NOT_READ),
    },
)
async def list_erasures(shared: Shared, _: Asking, limit: Annotated[int, Query(ge=1, le=1000)] = 1000) -> Erasures:
    """List erased pictures, the newest first, with the date by which each topic has let them go."""
    refuse_unread(shared)
    found = shared.labels.table.labels(limit, lambda label: label.state == "erased")
    return Erasures(erasures=[_erasure(label) for label in found])


@router.delete(
    "/{frame}",
    operation_id="erase_frame",
    summary="Erase a picture and all that is said about it",
    dependencies=[Depends(known_origin)],
    responses={
        200: {"content": {"application/json": {"example": {"erasures": [_ERASED]}}}},
        **documented(_NO_TOKEN, _NOT_READ, (UNKNOWN_FRAME, "Nothing is known of such a frame.", f"/labels/{_ID}")),
    },
)
async def erase_frame(frame: str, shared: Shared, who: Asking) -> Erasures:
    """Erase a picture for good: from the store and from every reader at once; the answer says where it lies on."""
    refuse_unread(shared)
    return Erasures(erasures=[_erasure(label) for label in await shared.labels.erase(frame, who.id)])


def faces_of(label: FrameLabel) -> list[Box]:
    """Return every box in which people or the model saw a face."""
    proposed = label.proposal.objects if label.proposal is not None else ()
    return [*(face.box for face in label.faces), *(face.box for face in proposed)]


def refuse_unread(shared: Services) -> None:
    """Refuse to take for nothing what has not been read yet.

    Raises
    ------
    ProblemError
        While labels or requests are still being read.
    """
    if missing := shared.label_feed.missing:
        raise ProblemError(AWAY, f"What is known of labels is not read yet: {missing}.", headers=RETRY_AFTER)


def _frames(shared: Services, found: list[Waiting]) -> FramesToLabel:
    waiting = sum(1 for _ in shared.labels.table.waiting())
    return FramesToLabel(frames=[_frame(one) for one in found], waiting=waiting)


def _frame(waiting: Waiting) -> FrameToLabel:
    request = waiting.request
    frame = request.frame
    return FrameToLabel.model_validate(
        {
            "frame": frame.id,
            "camera": frame.camera,
            "captured": frame.captured,
            "width": frame.width,
            "height": frame.height,
            "why": request.why,
            "text": request.text,
            "requested": request.requested,
            "episode": request.episode,
            "model": msgspec.to_builtins(request.model),
            "objects": msgspec.to_builtins(request.objects),
        }
    )


def _answer(label: FrameLabel) -> LabelAnswer:
    return LabelAnswer.model_validate({name: getattr(label, name) for name in LabelAnswer.model_fields})


def _erasure(label: FrameLabel) -> Erasure:
    left = [Remainder(where=name, until=until) for name, until in remains(label, datetime.now(UTC))]
    return Erasure(frame=label.frame, erased=label.at, by=label.by, captured=label.captured, remains=left)
