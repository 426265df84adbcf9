"""What is said of models on the wire: which one serves, which there were, what is asked for, and how it was judged.

A verdict names pictures by their hash and holds none, so that a picture that is erased is gone from here too.
"""

from datetime import datetime
from typing import Literal

import msgspec

from maskwatch.messages import DetectedFace, MarkedFace, ModelRef
from maskwatch.model import Precision, ShapeName

Outcome = Literal["passed", "failed", "not judged"]


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of the gate, and what came of it."""

    name: str
    outcome: Outcome
    needed: str
    """The bound, in words."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    """The 95 % interval of the value, where it has one."""
    why: str = ""
    """What a person should know: why it could not be judged, what was found instead."""
    essential: bool = False
    """Whether a candidate is refused when this cannot be judged."""

    @property
    def stops(self) -> bool:
        """Tell whether the candidate is refused for this."""
        return self.outcome == "failed" or (self.essential and self.outcome != "passed")


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of which the two models say something else."""

    sha256: str
    part: str
    source: str
    width: int
    height: int
    faces: tuple[MarkedFace, ...]
    """What people say."""
    champion: tuple[DetectedFace, ...]
    candidate: tuple[DetectedFace, ...]
    champion_mistakes: int
    candidate_mistakes: int


class SourceLabels(msgspec.Struct, frozen=True, kw_only=True):
    """How far the labels of one source agree with what both models see on its pictures of the holdout."""

    source: str
    pictures: int
    faces: int
    """That were labelled."""
    champion: float | None
    """F1 of faces with the same class, champion against labels; None without a face on either side."""
    candidate: float | None
    doubted: int
    """Faces that both models find, and both call by the same other class than their label."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a candidate was judged against the champion."""

    candidate: ModelRef
    champion: ModelRef
    precision: Precision
    manifest: str
    """SHA-256 of the data that judged."""
    judged: datetime
    promote: bool
    conditions: tuple[Condition, ...]
    p_better: float | None = None
    """Probability that the candidate is better on the holdout, by paired bootstrap; None where that cannot be said."""
    shape: ShapeName = "wide"
    """The input that disagreements are of."""
    disagreements: tuple[Disagreement, ...] = ()
    """Most different first."""
    sources: tuple[SourceLabels, ...] = ()
    """Whose labels judged; the most doubted first."""


class PublishedModel(msgspec.Struct, frozen=True):
    """An exported model in the store."""

    name: str
    version: str
    sha256: str
    """Of its ``model.json``, which names every other file with its own."""


class Champion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The model that serves from now on, on ``models.v1``; the newest record is the truth."""

    model: PublishedModel | None
    """None: each worker's own `detector.model`, as before the first promotion."""
    previous: PublishedModel | None
    """What a rollback brings back; None as above."""
    since: datetime
    command: str
    """Id of the command that made it so."""
    by: str
    why: str
    rolled_back: bool = False
    """Whether it was brought back: then nothing is watched, for the one before it was found to be bad."""


VersionState = Literal["candidate", "refused", "champion", "retired"]


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a model, on ``model-versions.v1``; the newest record of each counts."""

    model: PublishedModel
    state: VersionState
    changed: datetime
    by: str
    why: str
    verdict: Verdict | None = None


CommandKind = Literal["propose", "promote", "roll-back", "retrain", "evaluate", "stop"]
FOR_RETRAINER: frozenset[CommandKind] = frozenset({"retrain", "evaluate", "stop"})
"""What is asked of the retrainer; the rest is the rollout's."""


class ModelCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the rollout, or of the retrainer, on ``commands.v1``."""

    id: str
    kind: CommandKind
    by: str
    at: datetime
    model: PublishedModel | None = None
    """Which one is proposed, promoted or evaluated; it lies in the store already."""
    instead_of: str | None = None
    """``sha256`` of the champion that whoever asks has seen, empty for each worker's own; None: whichever it is."""
    verdict: Verdict | None = None
    """Of a proposal: it is promoted if the verdict says so."""
    why: str = ""
    run: str = ""
    """Of a stop: which round."""


class RoundAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a round, as it is posted to `alerts.webhook`."""

    id: str
    """Of the round."""
    raised: datetime
    text: str
    """One sentence for people."""
    promote: bool | None
    """What the gate said; None if the round failed before."""
    conditions: tuple[str, ...] = ()
    """The gate's table, a line each."""


RunState = Literal["running", "finished", "failed"]
RunKind = Literal["retrain", "evaluate"]
Stage = Literal["data", "training", "exporting", "judging", "proposing"]


class EpochFigures(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch that is done: what it lost, and how the checkpoint does on val."""

    epoch: int
    """From 1."""
    losses: dict[str, float]
    map50: float
    map50_95: float
    seconds: float


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """What a round learns from, and what judges it."""

    learnt: int
    """Pictures that people labelled, and it learns from."""
    holdout: int
    """Pictures that people labelled, and it is judged by."""
    rehearsed: int
    """Pictures of earlier trainings."""
    drawn: int
    """Pictures that an epoch has."""
    faces: dict[str, int]
    """Faces that people marked, by class."""
    sources: dict[str, int]
    """Pictures that people labelled, by camera or import."""


class RunProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a round is."""

    stage: Stage = "data"
    share: float = 0.0
    """Of the stage, 0..1."""
    epoch: int = 0
    """Which is under way, from 1."""
    epochs: int = 0
    seconds_left: float | None = None
    """Of the training; None while it is not known."""
    expected_minutes: float | None = None
    """Of the training, as was said before it began."""
    lesson: Lesson | None = None
    history: tuple[EpochFigures, ...] = ()
    """The epochs that are done."""
    model: PublishedModel | None = None
    """What came of it, or what is judged."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One round of the learning loop, or one evaluation, on ``runs.v1``; the newest record of each counts."""

    id: str
    state: RunState
    started: datetime
    updated: datetime
    why: str
    labels: int
    """People's labels that there were when it started."""
    said: str = ""
    """The last that it said, for people."""
    promote: bool | None = None
    """What the gate said, once it did."""
    attempts: int = 1
    """How often its process was started; 0 if it never was, for want of what trains."""
    kind: RunKind = "retrain"
    """An evaluation judges a version and promotes nothing."""
    new_labels: int = 0
    """Of `labels`, those since the round before began."""
    asked: str = ""
    """Id of the command that asked for it; empty if it began by itself."""
    stopped_by: str = ""
    """Who stopped it: it failed for that, and does not go on."""
    progress: RunProgress | None = None
    verdict: Verdict | None = None
    """Once it is finished."""
