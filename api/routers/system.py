"""How everything does: what is wrong, since when, what is done about it, and all the figures behind it."""

from fastapi import APIRouter

from api import model_answers
from api.dependencies import Asking, Services, Shared
from api.model_schemas import Learning
from api.problems import UNAUTHORIZED, documented
from api.system_schemas import System

router = APIRouter(tags=["health"])

_T0 = "2026-11-01T17:42:00Z"
_EXAMPLE = {
    "now": _T0,
    "troubles": [
        {
            "severity": "broken",
            "what": "Camera «Back door» is offline: the webcam was unplugged",
            "since": _T0,
            "doing": "It is tried again by itself, every minute at the latest.",
            "todo": "See to its power and its network; «Try again now» stands beside its picture.",
            "link": "/live/door-2",
        }
    ],
    "cameras": [
        {
            "id": "door-2",
            "name": "Back door",
            "state": "offline",
            "since": _T0,
            "reason": "the webcam was unplugged",
            "wished": 10.0,
            "rate": None,
            "age_s": None,
            "dropped": None,
            "lost": [{"reason": "replaced", "per_minute": 1.5}],
        }
    ],
    "workers": [
        {
            "stage": "detector",
            "pid": 4121,
            "memory": 243_000_000,
            "rate": 41.2,
            "batch": 1.4,
            "detect_s": 0.017,
            "model": "yolov8n-facemask 1",
        }
    ],
    "readers": [{"stage": "detector", "group": "detector-live", "hosts": ["127.0.0.1"]}],
    "pipeline": {"seconds": 60.0, "detected": 41.2, "age_p50_s": 0.05, "age_p95_s": 0.11, "skipped": []},
    "topics": [
        {
            "name": "frames.live.v1",
            "records": 600,
            "bytes": 45_000_000,
            "oldest": _T0,
            "kept": "1 min, byte cap",
            "lag": [{"group": "detector-live", "records": 2}],
        }
    ],
    "disk": {"free": 71_000_000_000, "total": 252_000_000_000, "full_in_s": None, "seen_s": 3600.0},
    "versions": [{"name": "Maskwatch", "version": "0.1.0"}],
    "learning": {"champion": None, "running": None, "labels": 63, "needed": 100, "open_episodes": 1},
}


@router.get(
    "/status",
    operation_id="status",
    summary="How everything does",
    responses={
        200: {"content": {"application/json": {"example": _EXAMPLE}}},
        **documented((UNAUTHORIZED, "The token is missing or not the right one.", "/status")),
    },
)
async def status(shared: Shared, _: Asking) -> System:
    """Return what is wrong, and how cameras, workers, topics, the disk and the learning loop do.

    What cannot be found out is null.
    """
    found = await shared.system.status()
    return found.model_copy(update={"learning": _learning(shared)})


def _learning(shared: Services) -> Learning | None:
    if shared.models.missing or shared.label_feed.missing or shared.drift.missing:
        return None
    table = shared.models.table
    running = table.running()
    return Learning.model_validate(
        {
            "champion": table.champion.model if table.champion else None,
            "running": model_answers.run(running) if running else None,
            "labels": model_answers.since_last_round(table, shared.labels.table),
            "needed": shared.settings.retrain.labels,
            "open_episodes": len(shared.drift.table.episodes(only_open=True)),
        }
    )
