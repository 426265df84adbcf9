"""Which frames people should label, under a budget. Pure, apart from what it keeps; the same seed chooses the same.

A frame is worth a person's time if a face on it lies near the threshold, if the camera is in drift, or if it shows a
class that is rare there. A share is chosen by chance alone, because whoever learns only from the odd ones learns a
world that is odd. What looks like a frame that was chosen lately is left out. Part of the budget is kept for drift,
when many are wanted at once.
"""

import random
from collections import Counter, deque
from collections.abc import Sequence
from typing import Literal

import msgspec

from maskwatch.boxes import iou
from maskwatch.drift_messages import LabelRequest
from maskwatch.drift_settings import SamplingSettings
from maskwatch.messages import CLASSES, Box, DetectedFace, Detection, Label

Why = Literal["near-threshold", "drift", "rare", "random"]

DAY_S = 86_400
BURST = 1 / 24
"""The budget may be saved up for a 24th of it, so that an hour with much to see gets more."""

DRIFT_BURST = 0.9
"""Of what is kept for drift so much is there at once: a new world is best learnt from while it is new."""

RARE = 0.1
"""A class with a smaller share of the camera's faces is rare there."""

ENOUGH = 100
"""Faces that must have been seen before a class can be called rare."""

AGAIN_S = 10.0
"""After a picture that was gone none of the camera is chosen for so long: looking for it costs more than the choice."""

BLANKS = 6
"""In drift, a frame on which the model sees nobody is chosen so many times less often than another may be."""

REMEMBERED = 50
SAME_PLACE = 0.5
"""Boxes that overlap so much (IoU) with those of a frame that was chosen show the same again."""

SAME_LIGHT = 0.03
"""Difference in brightness under which two frames without a face look the same."""

Layout = tuple[float | None, tuple[tuple[Label, Box], ...]]
"""Brightness, None where it was not measured (JSON has no NaN), and the faces with their places."""


class Allowance:
    """Frames that may be chosen: a budget a day, of which a share may be saved up.

    Parameters
    ----------
    per_day
        Frames in 24 hours at most.
    burst
        Share of it that may be saved up, a whole frame at least.
    saved
        What is saved up already, in frames; None: all that may be.

    Examples
    --------
    >>> budget = Allowance(24, 0.5, saved=0)
    >>> for _ in range(3):
    ...     budget.wait(DAY_S / 2)
    ...     print(budget.saved)
    6.0
    12.0
    12.0
    """

    def __init__(self, per_day: int, burst: float, saved: float | None) -> None:
        self._most = max(1.0, per_day * burst) if per_day else 0.0
        # What may be saved up is taken off the rate, so that no day gets more than the budget.
        self._rate = (per_day - self._most) / DAY_S
        self.saved = self._most if saved is None else min(saved, self._most)

    def wait(self, seconds: float) -> None:
        """Save up for so long; a clock that was set back gives nothing, one that was set ahead no more than may be."""
        self.saved = min(self._most, self.saved + max(0.0, seconds) * self._rate)


class ChooserState(msgspec.Struct, frozen=True):
    """What must be known to go on."""

    saved: float = 1.0
    """How much of the budget is saved up, in frames."""
    kept: float | None = None
    """And of the part that is kept for drift; None: all of it."""
    at: float | None = None
    last: float | None = None
    """When a frame was last chosen."""
    blank: float | None = None
    """When one without a face was."""
    chosen: int = 0
    layouts: tuple[Layout, ...] = ()
    faces: dict[Label, int] = {}


class Chooser:
    """Chooses frames of one camera.

    Parameters
    ----------
    camera
        Its id.
    settings
        Budget, shares and seed.
    threshold
        Score under which faces are not reported.
    state
        What an earlier one knew.
    """

    def __init__(
        self, camera: str, settings: SamplingSettings, threshold: float, state: ChooserState | None = None
    ) -> None:
        state = state or ChooserState()
        self._camera = camera
        self._settings = settings
        self._threshold = threshold
        kept = int(settings.per_day * settings.drift_share)
        self._usual = Allowance(settings.per_day - kept, BURST, state.saved)
        self._kept = Allowance(kept, DRIFT_BURST, state.kept)
        self._spent = self._usual
        self._at = state.at
        self._last = state.last
        self._blank = state.blank
        self._gone: float | None = None
        self._chosen = state.chosen
        self._layouts: deque[Layout] = deque(state.layouts, REMEMBERED)
        self._faces: Counter[Label] = Counter(state.faces)

    def offer(self, detection: Detection, episode: str | None) -> LabelRequest | None:
        """Choose a frame, or do not.

        Parameters
        ----------
        detection
            A sample.
        episode
            Id of the camera's open episode.
        """
        at = detection.frame.captured.timestamp()
        for allowance in (self._usual, self._kept):
            allowance.wait(0 if self._at is None else at - self._at)
        self._at = at
        self._faces.update(face.label for face in detection.objects)
        spent = self._purse(at, episode)
        if spent is None or self._just_gone(at):
            return None
        found = self._worth(detection, episode)
        if found is None:
            return None
        layout = _layout(detection)
        if any(_alike(layout, other) for other in self._layouts) and not self._may_be_blind(at, detection, episode):
            return None
        self._layouts.append(layout)
        spent.saved -= 1
        self._spent = spent
        self._last = at
        self._blank = self._blank if detection.objects else at
        self._chosen += 1
        why, text = found
        return LabelRequest(
            detection.frame,
            detection.model,
            detection.objects,
            why,
            f"{text}, {self._camera}, {detection.frame.captured:%H:%M} UTC",
            detection.detected,
            episode if why == "drift" else None,
        )

    def give_back(self) -> None:
        """Take a choice back whose picture is gone: another is chosen in its place, soon."""
        self._spent.saved += 1
        self._gone = self._at

    def state(self) -> ChooserState:
        """Return what must be known to go on."""
        return ChooserState(
            self._usual.saved,
            self._kept.saved,
            self._at,
            self._last,
            self._blank,
            self._chosen,
            tuple(self._layouts),
            dict(self._faces),
        )

    def _purse(self, at: float, episode: str | None) -> Allowance | None:
        """Return what the next choice is paid from; None if there is nothing, or it is too soon."""
        if episode is not None and self._last is not None and abs(at - self._last) < self._settings.drift_every_s:
            return None
        purses = (self._usual,) if episode is None else (self._usual, self._kept)
        return next((purse for purse in purses if purse.saved >= 1), None)

    def _just_gone(self, at: float) -> bool:
        return self._gone is not None and abs(at - self._gone) < AGAIN_S

    def _may_be_blind(self, at: float, detection: Detection, episode: str | None) -> bool:
        """Tell whether frames without a face must be asked about, though they look the same: the model may be blind."""
        if episode is None or detection.objects:
            return False
        return self._blank is None or abs(at - self._blank) >= BLANKS * self._settings.drift_every_s

    def _worth(self, detection: Detection, episode: str | None) -> tuple[Why, str] | None:
        # Which of the choices are left to chance is settled beforehand, so that it cannot depend on the frame.
        if random.Random(f"{self._settings.seed}/{self._camera}/{self._chosen}").random() < self._settings.random_share:  # noqa: S311  # no secret
            return "random", "chosen by chance"
        if episode is not None:
            return "drift", "the camera is in drift"
        faces = detection.objects
        near = min(faces, key=lambda face: abs(face.score - self._threshold), default=None)
        if near is not None and abs(near.score - self._threshold) <= self._settings.near:
            return "near-threshold", f"score {near.score:.2f}, near the threshold"
        rare = self._rare(faces)
        return ("rare", f"{rare.replace('_', ' ')} is rare here") if rare else None

    def _rare(self, faces: Sequence[DetectedFace]) -> Label | None:
        total = self._faces.total()
        if total < ENOUGH:
            return None
        return next(
            (label for label in CLASSES if self._faces[label] < RARE * total and any(f.label == label for f in faces)),
            None,
        )


def _layout(detection: Detection) -> Layout:
    light = detection.signals.brightness if detection.signals is not None else None
    return light, tuple((face.label, face.box) for face in detection.objects)


def _alike(first: Layout, second: Layout) -> bool:
    """Tell whether two frames show the same faces in the same places; without faces, the same light.

    Examples
    --------
    >>> face = ("with_mask", (0.1, 0.1, 0.3, 0.3))
    >>> _alike((0.5, (face,)), (0.2, (face,))), _alike((0.5, (face,)), (0.5, ())), _alike((0.5, ()), (0.51, ()))
    (True, False, True)
    """
    light, faces = first
    other_light, others = second
    if len(faces) != len(others):
        return False
    if not faces:
        return light is None or other_light is None or abs(light - other_light) < SAME_LIGHT
    return all(any(label == name and iou(box, place) >= SAME_PLACE for name, place in others) for label, box in faces)
