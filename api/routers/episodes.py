"""Episodes of drift, their evidence, and the alerts that people acknowledge."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from api.dependencies import Asking, Services, Shared, known_origin
from api.drift_schemas import Alerts, AlertState, EpisodeAnswer, Episodes, EpisodeSummary
from api.problems import (
    AWAY,
    PICTURE_GONE,
    UNAUTHORIZED,
    UNKNOWN_ALERT,
    UNKNOWN_EPISODE,
    ProblemError,
    documented,
)
from api.routers.labels import faces_of, refuse_unread
from api.routers.signals import RETRY_AFTER, refuse_incomplete
from maskwatch import evidence, kafka
from maskwatch.blurring import blurred
from maskwatch.drift_messages import Alert, Episode
from maskwatch.errors import BrokerError
from maskwatch.messages import encode, rfc3339
from maskwatch.topics import Name

router = APIRouter(tags=["drift"])

_ID = "door-2:20261101t120000-1f0c:812:drift"
_ALERT = {
    "id": _ID,
    "camera": "door-2",
    "kind": "input",
    "raised": "2026-11-01T17:43:20Z",
    "text": "door-2 became darker at 17:42 UTC",
    "open": True,
    "acknowledged": None,
    "by": "",
}
_KNOWN = _ALERT | {"open": False, "acknowledged": "2026-11-01T17:45:00Z", "by": "local"}
_EPISODE = {
    "id": _ID,
    "camera": "door-2",
    "kind": "input",
    "state": "open",
    "since": "2026-11-01T17:42:00Z",
    "started": "2026-11-01T17:43:20Z",
    "updated": "2026-11-01T17:43:20Z",
    "ended": None,
    "reason": "",
    "text": "door-2 became darker at 17:42 UTC",
    "signals": ["brightness"],
    "alert": _ALERT,
    "confirmation": {
        "labels": 34,
        "confirmed": True,
        "text": "confirmed by 34 labels: quality 0.81 → 0.62 (drop ≥0.11)",
        "before": 0.81,
        "after": 0.62,
        "drop": 0.11,
    },
}
_SPREAD = {"samples": 240, "mean": 0.44, "low": 0.41, "middle": 0.44, "high": 0.47}
_SHIFT = {
    "signal": "brightness",
    "kind": "input",
    "since": "2026-11-01T17:42:00Z",
    "effect": 0.98,
    "p": 1e-9,
    "before": _SPREAD,
    "after": {"samples": 30, "mean": 0.16, "low": 0.14, "middle": 0.16, "high": 0.18},
    "edges": [0.1, 0.3, 0.5],
    "before_bars": [0.0, 1.0],
    "after_bars": [1.0, 0.0],
    "shifted": True,
}
_WHOLE = _EPISODE | {
    "model": {"name": "yolov8n-facemask", "version": "1", "sha256": "ab" * 32},
    "shifts": [_SHIFT],
    "before": "2026-11-01T17:41:30Z",
    "after": "2026-11-01T17:43:20Z",
}
_NO_TOKEN = (UNAUTHORIZED, "The token is missing or not the right one.", "/episodes")
_UNKNOWN = (UNKNOWN_EPISODE, "There is no episode of this id.", f"/episodes/{_ID}")
_NOT_READ = (AWAY, "What is known of drift is not read yet: reading drift.v1.", "/episodes")


@router.get(
    "/episodes",
    operation_id="list_episodes",
    summary="Episodes of drift",
    responses={
        200: {"content": {"application/json": {"example": {"episodes": [_EPISODE], "more": False}}}},
        **documented(_NO_TOKEN, _NOT_READ),
    },
)
async def list_episodes(
    shared: Shared,
    _: Asking,
    camera: Annotated[list[str], Query(description="only these cameras; repeatable")] = [],  # noqa: B006  # never changed
    only_open: Annotated[bool, Query(description="only those that go on")] = False,  # noqa: FBT002  # a query's
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Episodes:
    """List episodes, the newest first; thirty days are kept."""
    refuse_incomplete(shared)
    found = shared.drift.table.episodes(camera, only_open=only_open)
    summaries = [EpisodeSummary.model_validate(_summary(shared, episode)) for episode in found[:limit]]
    return Episodes(episodes=summaries, more=len(found) > limit)


@router.get(
    "/episodes/{episode}",
    operation_id="get_episode",
    summary="One episode, with all that is known of it",
    responses={
        200: {"content": {"application/json": {"example": _WHOLE}}},
        **documented(_NO_TOKEN, _UNKNOWN, _NOT_READ),
    },
)
async def get_episode(episode: str, shared: Shared, _: Asking) -> EpisodeAnswer:
    """Return an episode: how each signal has shifted, with histograms of before and after."""
    found = _episode(shared, episode)
    return EpisodeAnswer.model_validate(
        _summary(shared, found)
        | {
            "model": msgspec.to_builtins(found.model),
            "shifts": [msgspec.to_builtins(shift) for shift in found.shifts],
            "before": found.before.captured if found.before else None,
            "after": found.after.captured if found.after else None,
        }
    )


@router.get(
    "/episodes/{episode}/{moment}",
    operation_id="get_evidence",
    summary="A picture from before an episode, or from its beginning",
    response_class=Response,
    responses={
        200: {
            "description": "as it was recorded; the header «Captured» says when",
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        },
        **documented(
            _NO_TOKEN,
            _UNKNOWN,
            (PICTURE_GONE, "Nothing of that moment is recorded any more.", f"/episodes/{_ID}/before"),
            (AWAY, "The picture cannot be read: Kafka is away.", f"/episodes/{_ID}/before"),
        ),
    },
)
async def get_evidence(episode: str, moment: Literal["before", "after"], shared: Shared, _: Asking) -> Response:
    """Return the recorded picture that is nearest to the moment, three seconds away at most. A day is kept."""
    found = _episode(shared, episode)
    frame = found.before if moment == "before" else found.after
    if frame is None:
        raise ProblemError(PICTURE_GONE, "No frame of that moment is known.")
    # What was erased is shown no more, and until all labels are read that is not known.
    refuse_unread(shared)
    try:
        recorded = await evidence.picture(shared.settings, frame)
    except BrokerError as error:
        raise ProblemError(AWAY, "The picture cannot be read: Kafka is away.", headers=RETRY_AFTER) from error
    if recorded is None or shared.labels.table.is_erased(recorded.info.id):
        raise ProblemError(PICTURE_GONE, "Nothing of that moment is recorded any more, or ever was.")
    jpeg = await _blurred(shared, recorded, frame.partition) if shared.settings.labels.blur else recorded.jpeg
    # No browser keeps it: it may be erased.
    headers = {"Cache-Control": "no-store", "Captured": rfc3339(recorded.info.captured)}
    return Response(jpeg, media_type="image/jpeg", headers=headers)


@router.get(
    "/alerts",
    operation_id="list_alerts",
    summary="Alerts",
    responses={
        200: {"content": {"application/json": {"example": {"alerts": [_ALERT]}}}},
        **documented(_NO_TOKEN, _NOT_READ),
    },
)
async def list_alerts(
    shared: Shared,
    _: Asking,
    only_open: Annotated[bool, Query(description="only those that somebody should look at")] = False,  # noqa: FBT002  # a query's
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Alerts:
    """List alerts, the newest first; one for each episode that somebody should know of."""
    refuse_incomplete(shared)
    table = shared.drift.table
    found = [alert for alert in table.alerts() if not only_open or table.is_open(alert)]
    return Alerts(alerts=[AlertState.model_validate(_alert(shared, alert)) for alert in found[:limit]])


@router.post(
    "/alerts/{alert}/ack",
    operation_id="acknowledge_alert",
    summary="Say that one knows of an episode",
    dependencies=[Depends(known_origin)],
    responses={
        200: {"content": {"application/json": {"example": _KNOWN}}},
        **documented(
            _NO_TOKEN,
            (UNKNOWN_ALERT, "There is no alert of this id.", f"/alerts/{_ID}/ack"),
            (AWAY, "Kafka is away; nothing was changed.", f"/alerts/{_ID}/ack"),
        ),
    },
)
async def acknowledge_alert(alert: str, shared: Shared, who: Asking) -> AlertState:
    """Acknowledge an alert. Doing so again changes nothing: who was first stays."""
    table = shared.drift.table
    try:
        found = table.alert(alert)
    except KeyError:
        raise ProblemError(UNKNOWN_ALERT, "There is no alert of this id.") from None
    if found.acknowledged is None:
        found = msgspec.structs.replace(found, acknowledged=datetime.now(UTC), by=who.id)
        await _publish(shared, found)
        table.take_alert(found)
    return AlertState.model_validate(_alert(shared, found))


async def _blurred(shared: Services, recorded: evidence.Evidence, partition: int) -> bytes:
    """Hide the faces that people or the model saw; where nobody has told of any, all of the picture."""
    label = shared.labels.table.label(recorded.info.id)
    try:
        seen = await evidence.faces(shared.settings, recorded.info, partition)
        boxes = [*(seen or ()), *(faces_of(label) if label is not None else ())]
        known = seen is not None or label is not None
        return await asyncio.to_thread(blurred, recorded.jpeg, boxes if known else None)
    except BrokerError as error:
        raise ProblemError(AWAY, "The picture cannot be read: Kafka is away.", headers=RETRY_AFTER) from error


async def _publish(shared: Services, alert: Alert) -> None:
    assert alert.acknowledged is not None  # noqa: S101  # only acknowledgements are written here
    value, headers = encode(alert, kind="maskwatch.alert.v1", source="/api", id=alert.id, time=alert.acknowledged)
    try:
        producer = shared.broker.producer
        await kafka.send(producer, shared.settings, Name.ALERTS, key=alert.camera, value=value, headers=headers)
    except BrokerError as error:
        raise ProblemError(AWAY, "Kafka is away; nothing was changed.", headers=RETRY_AFTER) from error


def _episode(shared: Services, identity: str) -> Episode:
    refuse_incomplete(shared)
    try:
        return shared.drift.table.episode(identity)
    except KeyError:
        raise ProblemError(UNKNOWN_EPISODE, "There is no episode of this id.") from None


def _summary(shared: Services, episode: Episode) -> dict[str, object]:
    alert = shared.drift.table.find_alert(episode.id)
    state = "ended" if episode.ended else "acknowledged" if alert and alert.acknowledged else "open"
    return {
        "id": episode.id,
        "camera": episode.camera,
        "kind": episode.kind,
        "state": state,
        "since": episode.since,
        "started": episode.started,
        "updated": episode.updated,
        "ended": episode.ended,
        "reason": episode.reason,
        "text": episode.text,
        "signals": [shift.signal for shift in episode.shifts],
        "alert": _alert(shared, alert) if alert else None,
        "confirmation": msgspec.to_builtins(episode.confirmation),
    }


def _alert(shared: Services, alert: Alert) -> dict[str, object]:
    return msgspec.structs.asdict(alert) | {"open": shared.drift.table.is_open(alert)}
