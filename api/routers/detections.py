"""Detections as they are made, as server-sent events: for those who have no Kafka client at hand."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.dependencies import Asking, Shared
from api.problems import BUSY, UNAUTHORIZED, ProblemError, documented
from api.stream import Filter, Listener, TooManyListenersError
from maskwatch.messages import Label

router = APIRouter(prefix="/detections", tags=["detections"])

RETRY_MS = 2_000
_EXAMPLE = (
    "event: detection\n"
    "id: door-2:20261101t120000-1f0c:812\n"
    'data: {"frame":{"id":"door-2:20261101t120000-1f0c:812","camera":"door-2"},"objects":[…]}\n\n'
)


async def listener(
    shared: Shared,
    _: Asking,
    camera: Annotated[list[str], Query(description="only these cameras; repeatable")] = [],  # noqa: B006  # never changed
    label: Annotated[list[Label], Query(description="only with such a face; repeatable")] = [],  # noqa: B006  # never changed
    min_score: Annotated[float, Query(ge=0, le=1, description="only with such a face, so sure")] = 0.0,
) -> AsyncIterator[Listener]:
    """Let the caller listen until it leaves.

    Raises
    ------
    ProblemError
        If there are as many listeners as there may be.
    """
    try:
        async with shared.stream.listening(Filter(frozenset(camera), frozenset(label), min_score)) as one:
            yield one
    except TooManyListenersError as error:
        raise ProblemError(BUSY, f"{error}.", headers={"Retry-After": "10"}) from error


@router.get(
    "/stream",
    operation_id="stream_detections",
    summary="Detections as they are made",
    response_class=EventSourceResponse,
    responses={
        200: {"description": "server-sent events", "content": {"text/event-stream": {"example": _EXAMPLE}}},
        **documented(
            (UNAUTHORIZED, "The token is missing or not the right one.", "/detections/stream"),
            (BUSY, "100 listen already, as many as there may be.", "/detections/stream"),
        ),
    },
)
async def stream_detections(one: Annotated[Listener, Depends(listener)]) -> AsyncIterator[ServerSentEvent]:
    """Send an event `detection` for each, from now on: `id` is its frame's, `data` the JSON of `detections.v1`.

    A listener that is too slow loses the oldest, and is told how many with an event `lost`.
    """
    yield ServerSentEvent(comment="listening", retry=RETRY_MS)
    while True:
        heard = await one.next()
        if heard.lost:
            yield ServerSentEvent(event="lost", raw_data=str(heard.lost))
        yield ServerSentEvent(event="detection", id=heard.id, raw_data=heard.value.decode())
