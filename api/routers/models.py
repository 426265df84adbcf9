"""Which model serves, every version and how it was judged, another in its place, and the way back."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from api import model_answers
from api.dependencies import Asking, Services, Shared, known_origin
from api.model_schemas import ChangeAsked, EvaluateAnswer, EvaluateAsked, Models, ServiceChange, VersionAnswer
from api.problems import (
    AWAY,
    CHAMPION_CHANGED,
    CHAMPION_SERVES,
    NOTHING_BEFORE,
    PICTURE_GONE,
    UNAUTHORIZED,
    UNKNOWN_MODEL,
    ProblemError,
    documented,
)
from api.routers.labels import refuse_unread
from maskwatch.errors import StoreError

router = APIRouter(tags=["models"])

RETRY_AFTER = {"Retry-After": "5"}
_T0 = "2026-11-01T17:42:00Z"
_TWO = {"name": "yolov8n-facemask", "version": "20261101-164210", "sha256": "ab" * 32}
_SERVICE = {
    "champion": _TWO,
    "own": {"name": "yolov8n-facemask", "version": "2"},
    "previous": None,
    "can_roll_back": True,
    "since": _T0,
    "by": "local",
    "why": "100 new labels, and a drift",
}
_SUMMARY = {
    "promote": True,
    "judged": _T0,
    "gain": 0.042,
    "p_better": 0.98,
    "against": [],
    "not_judged": 4,
    "sentence": "yolov8n-facemask 20261101-164210 may take the champion's place: +0.042 mAP50-95 on the holdout, "
    "probability better: 98%",
}
_VERSION = {
    "model": _TWO,
    "state": "champion",
    "changed": _T0,
    "by": "local",
    "why": "100 new labels, and a drift",
    "verdict": _SUMMARY,
    "run": "20261101-164200",
    "new_labels": 100,
    "lesson": {
        "learnt": 66,
        "holdout": 34,
        "rehearsed": 400,
        "drawn": 264,
        "faces": {"with_mask": 210, "without_mask": 62},
        "sources": {"door-2": 100},
    },
}
_FACE = {"label": "with_mask", "box": [0.31, 0.22, 0.45, 0.47]}
_VERDICT = _SUMMARY | {
    "candidate": _TWO,
    "champion": {"name": "yolov8n-facemask", "version": "2", "sha256": "cd" * 32},
    "precision": "int8",
    "shape": "wide",
    "conditions": [
        {
            "name": "better on the holdout",
            "outcome": "passed",
            "needed": "more than 0.01 mAP50-95 gained, with a probability of at least 95%",
            "value": 0.042,
            "low": 0.008,
            "high": 0.079,
            "why": "from 0.451 to 0.493; better with a probability of 98.2%",
            "essential": True,
        }
    ],
    "disagreements": [
        {
            "sha256": "ef" * 32,
            "part": "holdout",
            "source": "door-2",
            "width": 1280,
            "height": 720,
            "faces": [_FACE],
            "champion": [],
            "candidate": [_FACE | {"score": 0.91}],
            "champion_mistakes": 1,
            "candidate_mistakes": 0,
        }
    ],
    "sources": [{"source": "door-2", "pictures": 22, "faces": 71, "champion": 0.71, "candidate": 0.84, "doubted": 3}],
}
_WHOLE = _VERSION | {"judged": _VERDICT, "evaluation": None}
_EVALUATION = {"run": "6f2c6f7e-9d5a-4b0e-8f0a-2f7f3a1f9c11", "after": None}
_NO_TOKEN = (UNAUTHORIZED, "The token is missing or not the right one.", "/models")
_NOT_READ = (AWAY, "What is known of models is not read yet: reading models.v1.", "/models")
_UNKNOWN = (UNKNOWN_MODEL, "There is no model of this version or SHA-256.", "/models/7")
_CHANGED = (CHAMPION_CHANGED, "Meanwhile another model has become the champion: look and ask again.", "/models/7")
_SERVES = (CHAMPION_SERVES, "yolov8n-facemask 2 serves already.", "/models/2/promote")

Which = Annotated[str, Path(description="a version, or a model's SHA-256", examples=["20261101-164210"])]


@router.get(
    "/models",
    operation_id="list_models",
    summary="Which model serves, and every version",
    responses={
        200: {"content": {"application/json": {"example": _SERVICE | {"versions": [_VERSION]}}}},
        **documented(_NO_TOKEN, _NOT_READ),
    },
)
async def list_models(
    shared: Shared,
    _: Asking,
    limit: Annotated[
        int | None, Query(ge=0, description="most versions; without it, all; 0 for the champion alone")
    ] = None,
) -> Models:
    """Return the champion, what a rollback leads to, and what became of every version, the last that changed first.

    A browser that asks for a page gets the console's.
    """
    refuse_unread_models(shared)
    return model_answers.models(shared.models.table, shared.models.own, limit)


@router.get(
    "/models/{version}",
    operation_id="get_model",
    summary="One version, and how it was judged",
    responses={
        200: {"content": {"application/json": {"example": _WHOLE}}},
        **documented(_NO_TOKEN, _UNKNOWN, _NOT_READ),
    },
)
async def get_model(version: Which, shared: Shared, _: Asking) -> VersionAnswer:
    """Return a version with every condition of the gate, and the pictures on which it and the champion differ most."""
    refuse_unread_models(shared)
    return model_answers.whole_version(shared.models.table, shared.commanding.version(version))


@router.get(
    "/models/{version}/pictures/{sha256}",
    operation_id="get_disagreement",
    summary="A picture of which two models say something else",
    response_class=Response,
    responses={
        200: {"description": "a JPEG", "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **documented(
            _NO_TOKEN,
            _UNKNOWN,
            _NOT_READ,
            (PICTURE_GONE, "The picture is not in the store any more.", f"/models/7/pictures/{'ef' * 32}"),
        ),
    },
)
async def get_disagreement(version: Which, sha256: str, shared: Shared, _: Asking) -> Response:
    """Return a picture that the version's verdict names. It is never copied: erased, it is gone from here too."""
    refuse_unread_models(shared)
    refuse_unread(shared)
    found = shared.commanding.version(version)
    again = shared.models.table.evaluated(found.model.sha256)
    verdicts = [verdict for verdict in (found.verdict, again.verdict if again else None) if verdict]
    if sha256 not in {one.sha256 for verdict in verdicts for one in verdict.disagreements}:
        raise ProblemError(PICTURE_GONE, "No verdict of this version names such a picture.")
    try:
        jpeg = await shared.labels.picture_of(sha256)
    except StoreError as error:
        raise ProblemError(AWAY, "The store is away.", headers=RETRY_AFTER) from error
    if jpeg is None:
        raise ProblemError(PICTURE_GONE, "It was erased, or is not on this machine any more.")
    # No browser keeps it: it may be erased.
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.post(
    "/models/{version}/promote",
    operation_id="promote_model",
    summary="Let a version serve",
    dependencies=[Depends(known_origin)],
    responses={
        200: {"content": {"application/json": {"example": _SERVICE | {"done": True}}}},
        **documented(_NO_TOKEN, _UNKNOWN, _SERVES, _CHANGED, _NOT_READ),
    },
)
async def promote_model(version: Which, asked: ChangeAsked, shared: Shared, who: Asking) -> ServiceChange:
    """Let a version serve in every worker, without a restart, whatever the gate said of it: a person's word counts."""
    refuse_unread_models(shared)
    done = await shared.commanding.promote(version, asked.champion, who.id, asked.why)
    return model_answers.service(ServiceChange, shared.models.table, shared.models.own, done=done)


@router.post(
    "/models/roll-back",
    operation_id="roll_back_model",
    summary="Let the model serve that served before",
    dependencies=[Depends(known_origin)],
    responses={
        200: {"content": {"application/json": {"example": _SERVICE | {"done": True}}}},
        **documented(
            _NO_TOKEN,
            _CHANGED,
            (NOTHING_BEFORE, "Nothing was promoted yet: each worker serves its own model.", "/models/roll-back"),
            _NOT_READ,
        ),
    },
)
async def roll_back(asked: ChangeAsked, shared: Shared, who: Asking) -> ServiceChange:
    """Go back one step; asked twice, it goes forward again."""
    refuse_unread_models(shared)
    done = await shared.commanding.roll_back(asked.champion, who.id, asked.why)
    return model_answers.service(ServiceChange, shared.models.table, shared.models.own, done=done)


@router.post(
    "/evaluate",
    operation_id="evaluate_model",
    summary="Judge a version against the champion",
    status_code=202,
    dependencies=[Depends(known_origin)],
    responses={
        202: {"content": {"application/json": {"example": _EVALUATION}}},
        **documented(_NO_TOKEN, _UNKNOWN, _SERVES, _NOT_READ),
    },
)
async def evaluate_model(asked: EvaluateAsked, shared: Shared, who: Asking) -> EvaluateAnswer:
    """Ask the retrainer to judge a version on what a round would be judged on now; whatever comes out promotes nothing.

    GET /runs tells how far it is; then GET /models/{version} has the verdict as its «evaluation».
    """
    refuse_unread_models(shared)
    running = shared.models.table.running()
    run = await shared.commanding.evaluate(asked.version, who.id, asked.why)
    return EvaluateAnswer(run=run, after=running.id if running else None)


def refuse_unread_models(shared: Services) -> None:
    """Refuse to take for nothing what has not been read yet.

    Raises
    ------
    ProblemError
        While models are still being read.
    """
    if missing := shared.models.missing:
        raise ProblemError(AWAY, f"What is known of models is not read yet: {missing}.", headers=RETRY_AFTER)
