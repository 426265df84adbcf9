"""Rounds of training: how far they are, another one, and the end of one."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api import model_answers
from api.dependencies import Asking, Shared, known_origin
from api.model_schemas import RunAnswer, Runs, TrainAnswer, TrainAsked
from api.problems import AWAY, RUN_OVER, UNAUTHORIZED, UNKNOWN_RUN, documented
from api.routers.labels import refuse_unread
from api.routers.models import refuse_unread_models

router = APIRouter(tags=["models"])

_T0 = "2026-11-01T16:42:00Z"
_ID = "20261101-164200"
_RUN = {
    "id": _ID,
    "kind": "retrain",
    "state": "running",
    "started": _T0,
    "updated": "2026-11-01T16:44:05Z",
    "why": "100 new labels, and a drift",
    "said": "epoch 4 of 10 · box 1.24, cls 0.80 · mAP50 0.712, mAP50-95 0.401 on val · 3 min left",
    "promote": None,
    "attempts": 1,
    "labels": 163,
    "new_labels": 100,
    "stopped_by": "",
    "progress": {
        "stage": "training",
        "share": 0.42,
        "epoch": 5,
        "epochs": 10,
        "seconds_left": 180.0,
        "expected_minutes": 4.4,
        "lesson": {
            "learnt": 66,
            "holdout": 34,
            "rehearsed": 400,
            "drawn": 264,
            "faces": {"with_mask": 210},
            "sources": {"door-2": 100},
        },
        "history": [
            {"epoch": 4, "losses": {"box": 1.24, "cls": 0.8}, "map50": 0.712, "map50_95": 0.401, "seconds": 31.5}
        ],
        "model": None,
    },
    "verdict": None,
}
_RUNS = {"runs": [_RUN], "running": _ID, "labels": 63, "needed": 100, "expected_minutes": 4.4}
_ASKED = {"command": "6f2c6f7e-9d5a-4b0e-8f0a-2f7f3a1f9c11", "after": None, "expected_minutes": 4.4}
_NO_TOKEN = (UNAUTHORIZED, "The token is missing or not the right one.", "/runs")
_NOT_READ = (AWAY, "What is known of models is not read yet: reading runs.v1.", "/runs")


@router.get(
    "/runs",
    operation_id="list_runs",
    summary="Rounds of training, and how far they are",
    responses={
        200: {"content": {"application/json": {"example": _RUNS}}},
        **documented(_NO_TOKEN, _NOT_READ),
    },
)
async def list_runs(shared: Shared, _: Asking, limit: Annotated[int, Query(ge=1, le=500)] = 20) -> Runs:
    """List rounds and evaluations, the newest first: stage, epochs with losses and mAP, time left, on which labels."""
    refuse_unread_models(shared)
    refuse_unread(shared)
    table, counted, options = shared.models.table, shared.labels.table.counted(), shared.settings.retrain
    running = table.running()
    return Runs(
        runs=[model_answers.run(one) for one in table.runs()[:limit]],
        running=running.id if running else None,
        labels=model_answers.since_last_round(table, shared.labels.table),
        needed=options.labels,
        expected_minutes=model_answers.expected_minutes(table, counted, options),
    )


@router.post(
    "/train",
    operation_id="train",
    summary="Ask for a round of training",
    status_code=202,
    dependencies=[Depends(known_origin)],
    responses={
        202: {"content": {"application/json": {"example": _ASKED}}},
        **documented(_NO_TOKEN, _NOT_READ),
    },
)
async def train(asked: TrainAsked, shared: Shared, who: Asking) -> TrainAnswer:
    """Ask the retrainer for a round; it starts when it has no other. GET /runs tells how far it is.

    The minutes are those of the training alone, at the pace of the last round.
    """
    refuse_unread_models(shared)
    refuse_unread(shared)
    table = shared.models.table
    running = table.running()
    command = await shared.commanding.train(who.id, asked.why)
    minutes = model_answers.expected_minutes(table, shared.labels.table.counted(), shared.settings.retrain)
    return TrainAnswer(command=command, after=running.id if running else None, expected_minutes=minutes)


@router.post(
    "/runs/{run}/stop",
    operation_id="stop_run",
    summary="End a round",
    status_code=202,
    dependencies=[Depends(known_origin)],
    responses={
        202: {"content": {"application/json": {"example": _RUN}}},
        **documented(
            _NO_TOKEN,
            (UNKNOWN_RUN, "There is no round of this id.", f"/runs/{_ID}/stop"),
            (RUN_OVER, "It has ended already.", f"/runs/{_ID}/stop"),
            _NOT_READ,
        ),
    },
)
async def stop_run(run: str, shared: Shared, who: Asking) -> RunAnswer:
    """Ask for a round to end, between two batches. It has failed then, says who stopped it, and does not go on."""
    refuse_unread_models(shared)
    return model_answers.run(await shared.commanding.stop(run, who.id))
