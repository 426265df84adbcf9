"""What goes over HTTP about models: versions and how they were judged, rounds of training, what is asked of both."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.drift_schemas import Answer
from api.schemas import LabelledFace, Model, SeenFace
from maskwatch.model import Precision, ShapeName
from maskwatch.model_messages import Outcome, RunKind, RunState, Stage, VersionState

_T0 = "2026-11-01T17:42:00Z"
_RUN = "20261101-164200"
_SHA = "ab" * 32
_By = Annotated[str, Field(description="who asked for it", examples=["local"])]
_Why = Annotated[str, Field(description="what for, as was said", examples=["100 new labels, and a drift"])]
_Run = Annotated[str, Field(description="of the round", examples=[_RUN])]
_Gain = Annotated[
    float | None, Field(description="mAP50-95 gained on the holdout; null: could not be judged", examples=[0.042])
]


class PublishedModel(Answer):
    """A model that was published."""

    name: Annotated[str, Field(examples=["yolov8n-facemask"])]
    version: Annotated[str, Field(examples=["20261101-164210"])]
    sha256: Annotated[str, Field(description="of its model.json", examples=[_SHA])]


class OwnModel(Answer):
    """What each worker serves before any model was promoted."""

    name: Annotated[str, Field(examples=["yolov8n-facemask"])]
    version: Annotated[str, Field(examples=["2"])]


class ConditionAnswer(Answer):
    """One condition of the gate, and what came of it."""

    name: Annotated[str, Field(examples=["better on the holdout"])]
    outcome: Outcome
    needed: Annotated[str, Field(description="the bound", examples=["more than 0.01 mAP50-95 gained"])]
    value: Annotated[float | None, Field(examples=[0.042])]
    low: Annotated[float | None, Field(description="the 95 % interval of the value, where it has one", examples=[0.01])]
    high: Annotated[float | None, Field(examples=[0.07])]
    why: Annotated[str, Field(description="what else is to be known", examples=["from 0.451 to 0.493"])]
    essential: Annotated[bool, Field(description="refused if it cannot be judged", examples=[True])]


class Disagreement(Answer):
    """A picture of which the two models say something else; GET its picture by its hash."""

    sha256: Annotated[str, Field(examples=[_SHA])]
    part: Annotated[str, Field(examples=["holdout"])]
    source: Annotated[str, Field(examples=["door-2"])]
    width: Annotated[int, Field(examples=[1280])]
    height: Annotated[int, Field(examples=[720])]
    faces: Annotated[list[LabelledFace], Field(description="what people say")]
    champion: list[SeenFace]
    candidate: list[SeenFace]
    champion_mistakes: Annotated[int, Field(ge=0, examples=[3])]
    candidate_mistakes: Annotated[int, Field(ge=0, examples=[1])]


class SourceAnswer(Answer):
    """How far the labels of one source agree with what both models see on its pictures of the holdout."""

    source: Annotated[str, Field(examples=["door-2"])]
    pictures: Annotated[int, Field(ge=0, examples=[22])]
    faces: Annotated[int, Field(ge=0, description="that were labelled", examples=[71])]
    champion: Annotated[
        float | None, Field(description="F1 of faces with the same class; null without a face", examples=[0.71])
    ]
    candidate: Annotated[float | None, Field(description="as `champion`", examples=[0.84])]
    doubted: Annotated[
        int, Field(ge=0, description="faces that both models call by the same other class", examples=[3])
    ]


class VerdictSummary(Answer):
    """What came of judging a model."""

    promote: Annotated[bool, Field(description="it may take the champion's place", examples=[True])]
    judged: Annotated[datetime, Field(examples=[_T0])]
    gain: _Gain
    p_better: Annotated[float | None, Field(description="probability that it is better there", examples=[0.98])]
    against: Annotated[list[str], Field(description="conditions for which it was refused", examples=[[]])]
    not_judged: Annotated[int, Field(ge=0, description="conditions that nobody could judge", examples=[4])]
    sentence: Annotated[str, Field(examples=["yolov8n-facemask 20261101-164210 may take the champion's place"])]


class VerdictAnswer(VerdictSummary):
    """How a model was judged, all of it."""

    candidate: Model
    champion: Model
    precision: Annotated[Precision, Field(examples=["int8"])]
    shape: Annotated[ShapeName, Field(description="the input that disagreements are of", examples=["wide"])]
    conditions: list[ConditionAnswer]
    disagreements: Annotated[list[Disagreement], Field(description="the most different first")]
    sources: Annotated[list[SourceAnswer], Field(description="whose labels judged; the most doubted first")]


class LessonAnswer(Answer):
    """What a round learns from, and what judges it."""

    learnt: Annotated[int, Field(description="labelled pictures that it learns from", examples=[66])]
    holdout: Annotated[int, Field(description="labelled pictures that it is judged by", examples=[34])]
    rehearsed: Annotated[int, Field(description="pictures of earlier trainings", examples=[400])]
    drawn: Annotated[int, Field(description="pictures that an epoch has", examples=[264])]
    faces: Annotated[dict[str, int], Field(description="labelled faces by class", examples=[{"with_mask": 210}])]
    sources: Annotated[dict[str, int], Field(description="labelled pictures by source", examples=[{"door-2": 100}])]


class EpochAnswer(Answer):
    """An epoch that is done."""

    epoch: Annotated[int, Field(ge=1, examples=[1])]
    losses: Annotated[dict[str, float], Field(examples=[{"box": 1.24, "cls": 0.8}])]
    map50: Annotated[float, Field(examples=[0.712])]
    map50_95: Annotated[float, Field(examples=[0.401])]
    seconds: Annotated[float, Field(examples=[31.5])]


class ProgressAnswer(Answer):
    """How far a round is."""

    stage: Stage
    share: Annotated[float, Field(description="of the stage, 0..1", examples=[0.35])]
    epoch: Annotated[int, Field(description="which is under way; 0 before the first", examples=[4])]
    epochs: Annotated[int, Field(examples=[10])]
    seconds_left: Annotated[float | None, Field(description="of the training; null: not known", examples=[190.0])]
    expected_minutes: Annotated[float | None, Field(description="as was said before it began", examples=[4.4])]
    lesson: LessonAnswer | None
    history: Annotated[list[EpochAnswer], Field(description="the epochs that are done")]
    model: Annotated[PublishedModel | None, Field(description="what came of it, or what is judged")]


class RunAnswer(Answer):
    """A round of training, or the evaluation of a version."""

    id: _Run
    kind: RunKind
    state: RunState
    started: Annotated[datetime, Field(examples=[_T0])]
    updated: Annotated[datetime, Field(examples=[_T0])]
    why: _Why
    said: Annotated[str, Field(description="the last that it said", examples=["exporting"])]
    promote: Annotated[bool | None, Field(description="what the gate said; null before", examples=[None])]
    attempts: Annotated[int, Field(ge=0, description="how often it was started", examples=[1])]
    labels: Annotated[int, Field(ge=0, description="labels that there were", examples=[163])]
    new_labels: Annotated[int, Field(ge=0, description="of these, since the round before", examples=[100])]
    stopped_by: Annotated[str, Field(description="who stopped it; empty if nobody did", examples=[""])]
    progress: ProgressAnswer | None
    verdict: VerdictSummary | None


class Runs(Answer):
    """Rounds and evaluations, the newest first."""

    runs: list[RunAnswer]
    running: Annotated[str | None, Field(description="the one that is under way", examples=[_RUN])]
    labels: Annotated[int, Field(ge=0, description="since the last round", examples=[63])]
    needed: Annotated[int, Field(ge=1, description="for a round to start by itself", examples=[100])]
    expected_minutes: Annotated[
        float | None, Field(description="that a round would train now; null without a label", examples=[4.4])
    ]


class VersionSummary(Answer):
    """A version, and what became of it."""

    model: PublishedModel
    state: Annotated[VersionState, Field(description="champion: it serves; retired: it did")]
    changed: Annotated[datetime, Field(examples=[_T0])]
    by: _By
    why: _Why
    verdict: Annotated[VerdictSummary | None, Field(description="null: nobody judged it")]
    run: Annotated[str | None, Field(description="the round that it is from", examples=[_RUN])]
    new_labels: Annotated[int | None, Field(description="that this round was the first to have", examples=[100])]
    lesson: Annotated[LessonAnswer | None, Field(description="what it was trained on, as far as that is known")]


class Evaluation(Answer):
    """A version judged again, against the champion of that time."""

    run: _Run
    verdict: VerdictAnswer


class VersionAnswer(VersionSummary):
    """A version with all that is known of it."""

    judged: Annotated[VerdictAnswer | None, Field(description="how it was judged when it was made")]
    evaluation: Annotated[Evaluation | None, Field(description="the newest; null: it was not judged again")]


class Service(Answer):
    """Which model serves."""

    champion: Annotated[PublishedModel | None, Field(description="null: each worker serves its own")]
    own: Annotated[OwnModel | None, Field(description="the workers' own, as far as it is known here")]
    previous: Annotated[PublishedModel | None, Field(description="what a rollback leads to; null: the workers' own")]
    can_roll_back: Annotated[bool, Field(examples=[True])]
    since: Annotated[datetime | None, Field(description="null: nothing was ever promoted", examples=[_T0])]
    by: _By
    why: _Why


class Models(Service):
    """Which model serves, and every version, the last that changed first."""

    versions: list[VersionSummary]


class ServiceChange(Service):
    """What came of asking for another model."""

    done: Annotated[bool, Field(description="false: asked for, and not answered by the rollout yet", examples=[True])]


_Seen = Annotated[
    str,
    Field(
        pattern=r"^([0-9a-f]{64})?$",
        description="SHA-256 of the champion that one has seen; empty for the workers' own",
        examples=[_SHA],
    ),
]
_Said = Annotated[str, Field(max_length=500, description="what for; kept with it", examples=["a new lamp"])]


class _Ask(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChangeAsked(_Ask):
    """A wish for another champion."""

    champion: _Seen
    why: _Said = ""


class TrainAsked(_Ask):
    """A wish for a round."""

    why: _Said = ""


class EvaluateAsked(_Ask):
    """A wish for a version to be judged."""

    version: Annotated[str, Field(min_length=1, max_length=200, description="or its SHA-256", examples=["2"])]
    why: _Said = ""


class TrainAnswer(Answer):
    """A round that was asked for."""

    command: Annotated[str, Field(examples=["6f2c6f7e-9d5a-4b0e-8f0a-2f7f3a1f9c11"])]
    after: Annotated[str | None, Field(description="the one that is under way, which ends first", examples=[None])]
    expected_minutes: Annotated[float | None, Field(description="of its training; null: not known", examples=[4.4])]


class EvaluateAnswer(Answer):
    """An evaluation that was asked for."""

    run: Annotated[str, Field(description="GET /runs tells of it", examples=["6f2c6f7e-9d5a-4b0e-8f0a-2f7f3a1f9c11"])]
    after: Annotated[str | None, Field(description="the one that is under way, which ends first", examples=[None])]


class Learning(Answer):
    """How the learning loop does."""

    champion: Annotated[PublishedModel | None, Field(description="null: each worker serves its own")]
    running: Annotated[RunAnswer | None, Field(description="the round that is under way")]
    labels: Annotated[int, Field(ge=0, description="since the last round", examples=[63])]
    needed: Annotated[int, Field(ge=1, examples=[100])]
    open_episodes: Annotated[int, Field(ge=0, description="of drift", examples=[1])]


class LabelsDone(Answer):
    """What people's labels have done so far: the newest round that was judged."""

    run: _Run
    labels: Annotated[int, Field(ge=0, description="that were new in it", examples=[100])]
    model: PublishedModel | None
    gain: _Gain
    promoted: Annotated[bool, Field(examples=[True])]
    judged: Annotated[datetime, Field(examples=[_T0])]
