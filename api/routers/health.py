"""Whether the server runs, whether it can do its work, and its figures for Prometheus."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.dependencies import Asking, Shared
from api.problems import MEDIA_TYPE, NOT_READY, UNAUTHORIZED, ProblemError, body, documented
from api.routers.source import address
from api.schemas import Health, Readiness
from api.system import look_at
from maskwatch import __version__
from maskwatch.metrics import exposition

router = APIRouter(tags=["health"])

_NAMES = ("kafka", "valkey", "cameras", "uploads")
_THERE = [{"name": name, "ok": True, "reason": ""} for name in _NAMES]
_AWAY = [{"name": "kafka", "ok": False, "reason": "Kafka at 127.0.0.1:9092 does not answer"}, *_THERE[1:]]


@router.get("/health", operation_id="health", summary="Whether the server runs")
async def health(shared: Shared) -> Health:
    """Answer as long as the server runs, whatever else is away. Needs no token."""
    return Health(version=__version__, source=address(shared))


@router.get(
    "/ready",
    operation_id="ready",
    summary="Whether the server can do its work",
    responses={
        200: {"content": {"application/json": {"example": {"status": "ready", "checks": _THERE}}}},
        503: {
            "description": NOT_READY.title,
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": body(NOT_READY, "kafka is away.", "/ready", checks=_AWAY),
                }
            },
        },
        **documented((UNAUTHORIZED, "The token is missing or not the right one.", "/ready")),
    },
)
async def ready(shared: Shared, _: Asking) -> Readiness:
    """Check Kafka, Valkey and the list of cameras; every one that is away is named with the reason."""
    checks = await look_at(shared.checks)
    away = [check.name for check in checks if not check.ok]
    if away:
        more = {"checks": [check.model_dump() for check in checks]}
        raise ProblemError(NOT_READY, f"{' and '.join(away)} {'is' if len(away) == 1 else 'are'} away.", more=more)
    return Readiness(checks=checks)


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "every metric of this process, or of every process that the supervisor started",
            "content": {"text/plain": {"example": "# TYPE maskwatch_viewers gauge\nmaskwatch_viewers 2.0\n"}},
        },
        **documented((UNAUTHORIZED, "The token is missing or not the right one.", "/metrics")),
    },
)
def metrics(_: Asking) -> Response:
    """Return the figures in Prometheus's text format."""
    # In a thread (no «async»): with many processes it reads as many files.
    return Response(exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})
