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


class PublishedModel(msgspec.Struct, frozen=True):
    """An exported model in the store."""

    name: str
    version: str
    sha256: str
    """Of its ``model.json``, which names every other file with its own."""


class Champion(msgspec.Struct, frozen=True, kw_only=True):
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


VersionState = Literal["candidate", "refused", "champion", "retired"]


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a model, on ``model-versions.v1``; the newest record of each counts."""

    model: PublishedModel
    state: VersionState
    changed: datetime
    by: str
    why: str
    verdict: Verdict | None = None


CommandKind = Literal["propose", "promote", "roll-back", "retrain"]


class ModelCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the rollout, or of the retrainer, on ``commands.v1``."""

    id: str
    kind: CommandKind
    by: str
    at: datetime
    model: PublishedModel | None = None
    """Which one is proposed or promoted; it lies in the store already."""
    instead_of: str | None = None
    """``sha256`` of the champion that whoever asks has seen, empty for each worker's own; None: whichever it is."""
    verdict: Verdict | None = None
    """Of a proposal: it is promoted if the verdict says so."""
    why: str = ""


RunState = Literal["running", "finished", "failed"]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One round of the learning loop, on ``runs.v1``; the newest record of each counts."""

    id: str
    state: RunState
    started: datetime
    updated: datetime
    why: str
    labels: int
    """People's labels that there were when it started: what comes later counts for the next round."""
    said: str = ""
    """The last that it said, for people."""
    promote: bool | None = None
    """What the gate said, once it did."""
    attempts: int = 1
    """How often its process was started."""
