"""What is said of models on the wire: how a candidate was judged against the champion.

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
