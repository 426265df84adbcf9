"""Uploaded pictures: have them looked at, and look answers up."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from api.annotated import annotate
from api.batches import Result, items, results
from api.bodies import sent_files
from api.dependencies import Asking, Shared, known_origin
from api.problems import (
    AWAY,
    BAD_ARCHIVE,
    BUSY,
    EMPTY,
    KEY_REUSED,
    MALFORMED_BODY,
    TOO_LARGE,
    TOO_SLOW,
    UNAUTHORIZED,
    UNKNOWN_UPLOAD,
    UNREADABLE,
    ProblemError,
    body,
    documented,
)
from api.schemas import Answer, Batch, BatchItem, Model, SeenFace
from maskwatch.messages import Prediction
from producers.video import is_video

router = APIRouter(tags=["uploads"])

RETRY_AFTER_S = 1
NDJSON = "application/x-ndjson"

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, description="the same key with the same body is answered once"),
]
_ID = "6f2c6f7e-9d5a-5b0e-8f0a-2f7f3a1f9c11"
_DONE: dict[str, Any] = {
    "id": _ID,
    "status": "done",
    "detected": "2026-11-01T12:00:00Z",
    "width": 1280,
    "height": 720,
    "model": {"name": "yolov8n-facemask", "version": "1", "sha256": "ab" * 32},
    "objects": [{"label": "with_mask", "score": 0.93, "box": [0.31, 0.22, 0.45, 0.47]}],
    "reason": None,
}
_PENDING = {**_DONE, "status": "pending", "detected": None, "width": 0, "height": 0, "model": None, "objects": []}
_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary", "description": "JPEG, PNG or WebP"}},
            }
        },
        **dict.fromkeys(("image/jpeg", "image/png", "image/webp"), _PICTURE),
    },
}
_FILES = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
        **dict.fromkeys(("application/zip", "video/mp4", "video/webm", "video/quicktime"), _PICTURE),
    },
}
_ITEM = {"index": 0, "name": "door.jpg", "seconds": None, "answer": _DONE, "problem": None}
_NO_TOKEN = (UNAUTHORIZED, "The token is missing or not the right one.", "/predict")


@router.post(
    "/predict",
    operation_id="predict",
    summary="Look at a picture",
    response_model=Answer,
    dependencies=[Depends(known_origin)],
    openapi_extra={"requestBody": _BODY},
    responses={
        200: {
            "description": "what was seen; with `annotated`, the picture with boxes",
            "content": {"application/json": {"example": _DONE}, "image/jpeg": _PICTURE},
        },
        202: {
            "description": "not answered in time: it will be, at the address in Location",
            "model": Answer,
            "content": {"application/json": {"example": _PENDING}},
        },
        **documented(
            _NO_TOKEN,
            (EMPTY, "The file is empty.", "/predict"),
            (MALFORMED_BODY, "A file is in another field; send it as «file».", "/predict"),
            (TOO_SLOW, "The body did not arrive within 30 s.", "/predict"),
            (KEY_REUSED, "The same Idempotency-Key was sent with another body before.", "/predict"),
            (TOO_LARGE, "More than 20000000 bytes were sent.", "/predict"),
            (UNREADABLE, "The picture is truncated or corrupt.", "/predict"),
            (AWAY, "Kafka is away; nothing is lost.", "/predict"),
        ),
    },
)
async def predict(
    request: Request,
    shared: Shared,
    who: Asking,
    annotated: bool = False,  # noqa: FBT001, FBT002  # a query parameter
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Send a JPEG, PNG or WebP as the body, or as the field `file` of a form; the answer says which faces are on it.

    Pictures are turned as their EXIF orientation says; larger ones are scaled down first. With `annotated=true` the
    answer is the picture with boxes, as JPEG.
    """
    limits = shared.settings.api
    async with sent_files(request, shared.holding, limits, most_files=1, most_bytes=limits.max_upload_bytes) as (
        file,
        *_,
    ):
        if is_video(file.data):
            raise ProblemError(
                UNREADABLE, "That is a video: send it to /batch-predict, which takes pictures out of it."
            )
        sent = await shared.uploads.predict(file.data, who.id, idempotency_key)
    where = {"Location": f"/predictions/{sent.id}"}
    if sent.answer is None:
        pending = Answer(id=sent.id, status="pending")
        return _json(pending, 202, {**where, "Retry-After": str(RETRY_AFTER_S)})
    if sent.answer.status == "failed":
        raise ProblemError(UNREADABLE, "The model could not look at it.", headers=where)
    if annotated:
        drawn = await asyncio.to_thread(annotate, sent.jpeg.data, sent.answer.objects)
        return Response(drawn, media_type="image/jpeg", headers=where)
    return _json(answer_of(sent.answer), 200, where)


@router.post(
    "/batch-predict",
    operation_id="batch_predict",
    summary="Look at many pictures",
    response_model=Batch,
    dependencies=[Depends(known_origin)],
    openapi_extra={"requestBody": _FILES},
    responses={
        200: {
            "description": "an answer or a problem for each",
            "content": {
                "application/json": {"example": {"items": [_ITEM]}},
                NDJSON: {"schema": {"type": "string"}, "example": json.dumps(_ITEM)},
            },
        },
        **documented(
            _NO_TOKEN,
            (EMPTY, "The body holds no file.", "/batch-predict"),
            (TOO_SLOW, "The body did not arrive within 30 s.", "/batch-predict"),
            (TOO_LARGE, "More than 100 files were sent.", "/batch-predict"),
            (BAD_ARCHIVE, "The archive's table cannot be read.", "/batch-predict"),
            (BUSY, "Uploads of 150000000 bytes are in hand, of 150000000 that may be.", "/batch-predict"),
        ),
    },
)
async def batch_predict(
    request: Request, shared: Shared, who: Asking, idempotency_key: IdempotencyKey = None
) -> Response:
    """Send pictures as files `file` of a form, ZIP archives and short videos among them, or one of these as the body.

    Each picture is answered by itself; of a video one a second is taken (`api.video_rate`). With
    `Accept: application/x-ndjson` one line is sent as each is done.
    """
    limits = shared.settings.api
    async with AsyncExitStack() as reading:
        files = await reading.enter_async_context(
            sent_files(
                request,
                shared.holding,
                limits,
                most_files=limits.max_batch_files,
                most_bytes=limits.max_batch_bytes,
            )
        )
        # One at a time: videos take a core, and memory for what is taken out of them.
        async with shared.unpacking:
            batch = await asyncio.to_thread(items, files, shared.settings)
        unpacked = sum(item.size for item in batch if item.seconds is not None)
        shared.holding.take(unpacked)
        reading.callback(shared.holding.give_back, unpacked)
        done = results(batch, shared.uploads, shared.holding, who.id, idempotency_key)
        if NDJSON in request.headers.get("accept", ""):
            return StreamingResponse(_lines(reading.pop_all(), done), media_type=NDJSON)
        found = sorted([_item(result) async for result in done], key=lambda item: item.index)
    return JSONResponse(Batch(items=found).model_dump(mode="json"))


async def _lines(reading: AsyncExitStack, done: AsyncGenerator[Result, None]) -> AsyncIterator[str]:
    async with reading, aclosing(done):
        async for result in done:
            yield f"{_item(result).model_dump_json()}\n"


def _item(result: Result) -> BatchItem:
    known: dict[str, Any] = {
        "index": result.item.place,
        "name": result.item.name,
        "seconds": result.item.seconds,
    }
    if result.problem is not None:
        where = f"/batch-predict#{result.item.place}"
        problem = body(result.problem.kind, result.problem.detail, where)
        return BatchItem(problem=problem, **known)
    assert result.sent is not None  # noqa: S101  # one of the two
    sent = result.sent
    answer = Answer(id=sent.id, status="pending") if sent.answer is None else answer_of(sent.answer)
    return BatchItem(answer=answer, **known)


@router.get(
    "/predictions/{upload}",
    operation_id="get_prediction",
    summary="The answer to an upload",
    responses={
        200: {"content": {"application/json": {"example": _DONE}}},
        **documented(
            _NO_TOKEN,
            (UNKNOWN_UPLOAD, "There is no upload of this id.", f"/predictions/{_ID}"),
            (AWAY, "Valkey is away; nothing is lost.", f"/predictions/{_ID}"),
        ),
    },
)
async def get_prediction(upload: str, shared: Shared, _: Asking) -> Answer:
    """Return the answer; while there is none its status is `pending`."""
    try:
        answer = await shared.uploads.find(upload)
    except KeyError:
        raise ProblemError(UNKNOWN_UPLOAD, "There is no upload of this id.") from None
    return Answer(id=upload, status="pending") if answer is None else answer_of(answer)


def answer_of(prediction: Prediction) -> Answer:
    """Return a prediction as it is answered."""
    return Answer(
        id=prediction.upload,
        status=prediction.status,
        detected=prediction.detected,
        width=prediction.width,
        height=prediction.height,
        model=None if prediction.model is None else Model(**msgspec.structs.asdict(prediction.model)),
        objects=[SeenFace(**msgspec.structs.asdict(face)) for face in prediction.objects],
        reason=prediction.reason,
    )


def _json(answer: Answer, status: int, headers: dict[str, str]) -> JSONResponse:
    return JSONResponse(answer.model_dump(mode="json"), status_code=status, headers=headers)
