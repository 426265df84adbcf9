"""What cameras used to be like, and what they are like now: their signals, newest and over time."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from api.dependencies import Asking, Services, Shared
from api.drift_schemas import CameraSignals, SignalNow, Signals, SignalsOverTime
from api.drift_table import columns
from api.history import BusyError, Past
from api.problems import AWAY, BUSY, UNAUTHORIZED, UNKNOWN_CAMERA, ProblemError, documented
from maskwatch.drift_messages import KINDS, SIGNALS, CameraWindow
from maskwatch.errors import BrokerError

router = APIRouter(prefix="/signals", tags=["drift"])

KEPT = timedelta(days=7)
USUAL = timedelta(hours=6)
SILENT_AFTER = 4
"""Windows without one, and a camera is silent."""

RETRY_AFTER = {"Retry-After": "5"}
_SPREAD = {"samples": 30, "mean": 0.44, "low": 0.41, "middle": 0.44, "high": 0.47}
_DOOR = {
    "camera": "door-2",
    "name": "Back door",
    "state": "watching",
    "learned": 1.0,
    "seen": "2026-11-01T17:41:00Z",
    "episode": None,
    "signals": [
        {
            "signal": "brightness",
            "kind": "input",
            "now": _SPREAD,
            "reference": _SPREAD | {"samples": 300},
            "effect": 0.08,
            "threshold": 0.31,
            "shifted": False,
        }
    ],
}
_VALUES = [0.44, 0.43]
_OVER_TIME = {
    "camera": "door-2",
    "next": "2026-11-01T17:42:00.001Z",
    "times": [1793554860.0, 1793554920.0],
    "frames": [598, 601],
    "signals": {
        "brightness": {
            **dict.fromkeys(("low", "middle", "high", "reference_low", "reference_middle", "reference_high"), _VALUES),
            "effect": [0.08, 0.09],
            "threshold": [0.31, 0.31],
            "shifted": [False, False],
        }
    },
}
_NO_TOKEN = (UNAUTHORIZED, "The token is missing or not the right one.", "/signals")
_UNKNOWN = (UNKNOWN_CAMERA, "There is no camera of this id.", "/signals/dor-2")
_AWAY = (AWAY, "The signals cannot be read: Kafka is away.", "/signals")


@router.get(
    "",
    operation_id="list_signals",
    summary="Every camera's signals now",
    responses={
        200: {"content": {"application/json": {"example": {"cameras": [_DOOR], "window_s": 60.0, "current": True}}}},
        **documented(_NO_TOKEN, _AWAY),
    },
)
async def list_signals(shared: Shared, _: Asking) -> Signals:
    """Return the newest window of each camera that is wished for, was watched lately, or drifts."""
    refuse_incomplete(shared)
    names = {camera.id: camera.name for camera in shared.cameras.roster.cameras()}
    known = {**dict.fromkeys(shared.drift.table.cameras(), ""), **names}
    now = datetime.now(UTC)
    summary_s = shared.settings.drift.summary_s
    cameras = [
        _camera(camera, known[camera] or camera, shared.drift.table.window(camera), now, summary_s)
        for camera in sorted(known)
    ]
    return Signals(cameras=cameras, window_s=summary_s, current=not shared.cameras.away)


@router.get(
    "/{camera}",
    operation_id="get_signals",
    summary="One camera's signals over time",
    responses={
        200: {"content": {"application/json": {"example": _OVER_TIME}}},
        **documented(_NO_TOKEN, _UNKNOWN, (BUSY, "4 others read signals, as many as may.", "/signals/door-2")),
    },
)
async def get_signals(  # the query's parts
    camera: str,
    shared: Shared,
    _: Asking,
    since: Annotated[AwareDatetime | None, Query(description="six hours before the end without it")] = None,
    until: Annotated[AwareDatetime | None, Query(description="now without it")] = None,
    points: Annotated[int, Query(ge=1, le=2000, description="at most; neighbours are put together")] = 720,
) -> SignalsOverTime:
    """Return what charts are made of. A week is kept; what is older is not there."""
    if camera not in shared.cameras.roster and not shared.drift.table.knows(camera):
        raise ProblemError(UNKNOWN_CAMERA, "There is no camera of this id.")
    now = datetime.now(UTC)
    oldest, end = now - KEPT, min(until or now, now)
    begin = max(oldest, since or max(oldest, end) - USUAL)
    past = Past([], begin)
    if begin < end:
        try:
            past = await shared.drift.history.windows(camera, begin, end)
        except BusyError as error:
            raise ProblemError(BUSY, f"{error}.", headers=RETRY_AFTER) from error
        except BrokerError as error:
            raise ProblemError(AWAY, "The signals cannot be read: Kafka is away.", headers=RETRY_AFTER) from error
    found = columns(past.windows, points)
    return SignalsOverTime.model_validate(
        {"camera": camera, "next": past.next, "times": found.times, "frames": found.frames, "signals": found.signals},
    )


def refuse_incomplete(shared: Services) -> None:
    """Refuse to answer from a table that is still being read.

    Raises
    ------
    ProblemError
        If it is; the console must not show «no drift» because nobody has looked yet.
    """
    if missing := shared.drift.missing:
        raise ProblemError(AWAY, f"What is known of drift is not read yet: {missing}.", headers=RETRY_AFTER)


def _camera(camera: str, name: str, window: CameraWindow | None, now: datetime, summary_s: float) -> CameraSignals:
    fresh = window is not None and now - window.end < timedelta(seconds=SILENT_AFTER * max(summary_s, 15))
    state: Literal["learning", "watching", "drifting", "silent"] = "silent"
    if window is not None and fresh:
        state = window.state
    return CameraSignals(
        camera=camera,
        name=name,
        state=state,
        learned=window.learned if window else 0.0,
        seen=window.end if window else None,
        episode=window.episode if window else None,
        signals=_signals(window) if window and fresh else [],
    )


def _signals(window: CameraWindow) -> list[SignalNow]:
    return [
        SignalNow.model_validate({"signal": name, "kind": KINDS[name], **msgspec.to_builtins(window.signals[name])})
        for name in SIGNALS
        if name in window.signals
    ]
