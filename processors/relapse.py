"""Whether a model that was promoted does worse than the one before it: the rule by which it is rolled back. Pure.

Both look at the same frames, one in twenty. Without labels one thing can be told from that: whether faces are lost. A
model that finds a few fewer may be right, since the old one saw faces where there were none, so a loss must be large
(`rollout.lost`) to count. What people have labelled meanwhile says more: how far each of the two agrees with them. That
a model sees faces where there are none, or calls them by a wrong class, only labels can show.

Both tests look a few times only, each time at twice as much as the time before, and the k-th look has a 2 to the k-th
part of the chance that may be spent (`rollout.chance`, half of it for each): however long a model is watched, one that
is no worse is rolled back with no more than that. Neighbouring frames are alike, so it is minutes of cameras that
count, not frames.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]  # it ships no types

from maskwatch.agreement import agreement
from maskwatch.label_messages import FrameLabel
from maskwatch.learning_settings import RolloutSettings
from maskwatch.messages import MarkedFace
from maskwatch.shadow_messages import Shadowed
from maskwatch.side_by_side import Blocks, Pair, Tally, add_to, lost, tally

LEAST_BLOCKS = 30
"""Minutes of cameras at the first look."""

LEAST_LABELS = 30
"""Labelled frames at the first look."""

REMEMBERED = 100_000
"""Shadowed frames that a label may still come for, at most."""


Faces = Sequence[MarkedFace]
"""What people say is on a frame."""


class Looks:
    """When to look: at the first count, and then whenever there is twice as much.

    Parameters
    ----------
    first
        How much the first look needs.
    chance
        Of all looks together that nothing is found where nothing is.
    """

    def __init__(self, first: int, chance: float) -> None:
        self._next = first
        self._chance = chance

    def due(self, count: int) -> float:
        """Return the chance that this look may spend; 0 if it is not time.

        Examples
        --------
        >>> looks = Looks(30, 0.01)
        >>> [looks.due(count) for count in (29, 30, 31, 60, 300)]
        [0.0, 0.005, 0.0, 0.0025, 0.00125]
        """
        if count < self._next:
            return 0.0
        while self._next <= count:
            self._next *= 2
        self._chance /= 2
        return self._chance


class Relapse:
    """What is known of one promotion.

    Parameters
    ----------
    settings
        How large a loss must be, and which chance may be spent.

    Attributes
    ----------
    tally : Tally
        All frames that both models have looked at.
    """

    def __init__(self, settings: RolloutSettings) -> None:
        self.tally = Tally()
        self._settings = settings
        self._blocks: Blocks = {}
        self._frames: dict[str, Shadowed] = {}
        self._labels: dict[str, Faces] = {}
        self._face_looks = Looks(LEAST_BLOCKS, settings.chance / 2)
        self._label_looks = Looks(LEAST_LABELS, settings.chance / 2)

    def add(self, shadowed: Shadowed) -> None:
        """Take a frame in; one that is known already changes nothing."""
        if shadowed.frame.id in self._frames:
            return
        self._frames[shadowed.frame.id] = shadowed
        while len(self._frames) > REMEMBERED:
            del self._frames[next(iter(self._frames))]
        pair = Pair(
            shadowed.frame.camera, shadowed.frame.captured, shadowed.by_champion, shadowed.by_previous
        )  # fmt: skip
        self.tally = self.tally.plus(tally(pair))
        add_to(self._blocks, pair)

    def hear(self, frame: str, label: FrameLabel | None) -> None:
        """Take in what somebody says of a frame, or that it was erased; what models say counts for nothing."""
        if label is None or label.state != "labelled" or label.made_by == "model":
            self._labels.pop(frame, None)
        elif len(self._labels) < REMEMBERED:
            self._labels[frame] = label.faces

    def verdict(self) -> str:
        """Say why the model is to be rolled back; empty if it is not, or if it is not time to look."""
        return self._fewer_faces() or self._worse_by_labels()

    def _fewer_faces(self) -> str:
        chance = self._face_looks.due(len(self._blocks))
        if not chance:
            return ""
        found = lost(self._blocks.values())
        least = found.share - _student(chance, len(self._blocks)) * found.error
        if math.isnan(least) or least <= self._settings.lost:
            return ""
        one = self.tally
        return (
            f"it finds {found.share:.0%} fewer faces than the one before (at least {least:.0%}): "
            f"{one.first} and {one.second} on the same {one.frames} frames"
        )

    def _worse_by_labels(self) -> str:
        both = [frame for frame in self._labels if frame in self._frames]
        if len(both) < LEAST_LABELS:
            return ""
        pairs = np.array([self._agreements(frame) for frame in both])
        pairs = pairs[~np.isnan(pairs).any(axis=1)]
        chance = self._label_looks.due(len(pairs))
        if not chance:
            return ""
        now, before = pairs.mean(axis=0)
        falls = pairs[:, 1] - pairs[:, 0]
        error = float(falls.std(ddof=1)) / math.sqrt(len(falls))
        least = float(before - now) - _student(chance, len(falls)) * error
        if least <= self._settings.worse:
            return ""
        return (
            f"it agrees with people by {now:.2f}, the one before by {before:.2f} (at least {least:.2f} more), "
            f"on the same {len(falls)} labelled frames"
        )

    def _agreements(self, frame: str) -> tuple[float, float]:
        shadowed, faces = self._frames[frame], self._labels[frame]
        # Where one of them sees nothing, and people neither, it is right.
        return tuple(  # type: ignore[return-value]
            1.0 if not seen and not faces and other else agreement(seen, faces)
            for seen, other in (
                (shadowed.by_champion, shadowed.by_previous),
                (shadowed.by_previous, shadowed.by_champion),
            )
        )


def _student(chance: float, count: int) -> float:
    """Return how many standard errors an estimate from so many observations is off with no more than that chance."""
    return float(stdtrit(count - 1, 1 - chance))
