"""Whether people agree with the model less than they did: what their labels say. Pure, apart from what it keeps.

A label holds what the model had proposed, so its frame is judged by the label alone, however late that comes and
wherever the frame lay: F1 of the faces proposed against those that people say are there. Two questions are answered by
the same test. Is an episode *confirmed*: is the model worse on its frames than on those from before? And has the
quality fallen by itself, which is an episode of its own kind?

The test is a bootstrap over frames: both sets are drawn anew from themselves, and the drop of the mean counts from its
lower bound. In an episode frames are chosen without looking at scores, before it those near the threshold are, on which
the model is worse: the drop is rather told too small than too large.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from maskwatch.agreement import agreement
from maskwatch.drift_messages import KINDS, Confirmation, Shift, SignalWindow
from maskwatch.drift_settings import DriftSettings
from maskwatch.errors import MessageError
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import decode
from processors.reference import probability
from processors.signals import Values, histogram, spread

SURE = 0.95
"""One-sided: an episode is confirmed with so much certainty."""

SURE_ALONE = 0.995
"""For an episode that rests on labels alone: it is asked for at every label, and a camera has thousands a month."""

RESAMPLES = 2000
COMPARED = 500
"""Newest labels from before that are compared, at most."""

MOST_LABELS = 200_000
"""Whoever may write to the topic must not fill our memory."""


class Judged(NamedTuple):
    """A frame that a model had looked at and that somebody has labelled."""

    camera: str
    captured: datetime
    model: str
    """``sha256`` of the one that had proposed."""
    agreement: float
    said: datetime
    """When it was labelled."""


class Labels:
    """What people's labels say of the model, by camera; erased ones leave."""

    def __init__(self) -> None:
        self._frames: dict[str, Judged] = {}
        self._cameras: dict[str, dict[str, Judged]] = {}
        self._versions: dict[str, int] = {}

    def take(self, frame: str, value: bytes | None) -> str:
        """Take a record of ``labels.v1``.

        Returns
        -------
        str
            The camera of which more or less is known now; empty if nothing has changed.

        Raises
        ------
        MessageError
            If it is no label, or there is no room for it.
        """
        judged = judge(decode(value, FrameLabel)) if value is not None else None
        before = self._frames.pop(frame, None)
        if before is not None:
            del self._cameras[before.camera][frame]
        if judged is not None:
            if len(self._frames) >= MOST_LABELS:
                raise MessageError(f"there are {MOST_LABELS} labels already")
            self._frames[frame] = judged
            self._cameras.setdefault(judged.camera, {})[frame] = judged
        changed = judged or before
        if changed is None or judged == before:
            return ""
        self._versions[changed.camera] = self.version(changed.camera) + 1
        return changed.camera

    def version(self, camera: str) -> int:
        """Return a number that is another one whenever what is known of a camera has changed."""
        return self._versions.get(camera, 0)

    def of_camera(self, camera: str) -> list[Judged]:
        """Return the judged frames of a camera, in the order in which they were captured."""
        return sorted(self._cameras.get(camera, {}).values(), key=lambda one: one.captured)

    def of_others(self, camera: str) -> list[Judged]:
        """Return those of every other camera, in that order."""
        others = (one for one in self._frames.values() if one.camera != camera)
        return sorted(others, key=lambda one: one.captured)


def judge(label: FrameLabel) -> Judged | None:
    """Judge what the model had proposed by a label; None where it says nothing of that.

    What models say of themselves judges nothing, and a frame without a face on either side neither.
    """
    proposal = label.proposal
    if label.state != "labelled" or label.made_by == "model" or proposal is None or label.captured is None:
        return None
    value = agreement(proposal.objects, label.faces)
    if np.isnan(value):
        return None
    return Judged(label.source, label.captured, proposal.model.sha256, value, label.at)


def least_drop(before: Values, after: Values, sure: float, resamples: int = RESAMPLES) -> float:
    """Return by how much the mean has fallen at least.

    Parameters
    ----------
    before, after
        Values of frames, at least one of each.
    sure
        One-sided certainty of the bound.
    resamples
        How often both are drawn anew; the same for the same number of frames.

    Returns
    -------
    float
        The lower bound of the drop, by bootstrap over frames (Efron's percentiles); negative where it may have risen.

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> usual, worse = random.beta(8, 2, 200), random.beta(6, 4, 34)
    >>> round(float(usual.mean() - worse.mean()), 2), round(least_drop(usual, worse, 0.95), 2)
    (0.23, 0.19)
    """
    random = np.random.default_rng(1)
    means = [
        values[random.integers(0, len(values), (resamples, len(values)))].mean(axis=1)
        for values in (before[-COMPARED:], after[-COMPARED:])
    ]
    return float(np.quantile(means[0] - means[1], 1 - sure))


def confirmation(before: Sequence[float], during: Sequence[float], settings: DriftSettings) -> Confirmation | None:
    """Say whether labels confirm an episode.

    Parameters
    ----------
    before
        Agreement on frames from before, of the same model.
    during
        Agreement on frames of the episode.
    settings
        How many labels are needed of each, and how large the drop.

    Returns
    -------
    Confirmation or None
        None while nobody has labelled a frame of the episode.

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> usual, worse = random.beta(8, 2, 200).tolist(), random.beta(6, 4, 34).tolist()
    >>> confirmation(usual, worse, DriftSettings()).text
    'confirmed by 34 labels: quality 0.82 → 0.59 (drop ≥0.19)'
    >>> confirmation(usual, worse[:12], DriftSettings()).text
    '12 of 30 labels that can confirm it'
    """
    if not during:
        return None
    needed, count = settings.confirm_labels, len(during)
    after = round(float(np.mean(during)), 3)
    if count < needed:
        return Confirmation(count, confirmed=False, text=f"{count} of {needed} labels that can confirm it", after=after)
    if len(before) < needed:
        text = f"{count} labels, and {len(before)} of {needed} from before that they could be held against"
        return Confirmation(count, confirmed=False, text=text, after=after)
    was = round(float(np.mean(before[-COMPARED:])), 3)
    drop = round(least_drop(np.array(before), np.array(during), SURE), 3)
    confirmed = drop > settings.confirm_drop
    moved = f"{count} labels: quality {was:.2f} → {after:.2f}"
    text = f"confirmed by {moved} (drop ≥{drop:.2f})" if confirmed else f"not confirmed by {moved}"
    return Confirmation(count, confirmed, text, was, after, drop)


class Quality(NamedTuple):
    """What is known of a camera's agreement, beside the samples of the other signals."""

    reference: Values
    newest: Values
    shift: Shift | None
    """How it has fallen, if it has."""


def quality(judged: Sequence[Judged], settings: DriftSettings, fallen: datetime | None) -> Quality:
    """Compare the newest labels of a camera with those before.

    Parameters
    ----------
    judged
        Of one model, in the order in which the frames were captured.
    settings
        How many labels are needed, and how large the drop.
    fallen
        Since when it is known to have fallen: then what came before that is compared with, and it counts as back once
        the newest are within half of the drop.
    """
    needed = settings.confirm_labels
    newest = judged[-needed:]
    earlier = [one for one in judged if one.captured < fallen] if fallen is not None else judged[:-needed]
    values, others = (np.array([one.agreement for one in several]) for several in (newest, earlier))
    if len(newest) < needed or len(earlier) < needed:
        return Quality(others, values, None)
    if fallen is None:
        down = least_drop(others, values, SURE_ALONE) > settings.confirm_drop
    else:
        down = others.mean() - values.mean() > settings.confirm_drop / 2
    if not down:
        return Quality(others, values, None)
    effect, p = _differ(others, values)
    before, after = spread(others), spread(values)
    assert before is not None  # noqa: S101  # both have labels
    assert after is not None  # noqa: S101
    since = fallen if fallen is not None else newest[0].captured.astimezone(UTC)
    shift = Shift(
        "agreement", KINDS["agreement"], since, round(effect, 4), p, before, after,
        *histogram(others, values),
    )  # fmt: skip
    return Quality(others, values, shift)


def _differ(first: Values, second: Values) -> tuple[float, float]:
    """Return Kolmogorov-Smirnov's D of two sets of values, and how likely it would be without a difference.

    Examples
    --------
    >>> effect, p = _differ(np.array([0.5, 1.0] * 20), np.array([0.5, 0.5] * 20))
    >>> effect, bool(p < 0.001)
    (0.5, True)
    """
    both = np.sort(np.concatenate((first, second)))
    shares = [np.searchsorted(np.sort(values), both, "right") / len(values) for values in (first, second)]
    effect = float(np.abs(shares[0] - shares[1]).max())
    return effect, probability(effect, len(first) * len(second) / (len(first) + len(second)))


class QualityWatch:
    """Watches the agreement of one camera; what it knows comes from the labels, whenever there are others.

    Parameters
    ----------
    settings
        How many labels are needed, and how large the drop.
    anew, said
        As an earlier watch of the camera knew them.

    Attributes
    ----------
    anew : datetime or None
        Since when everything was learned again: frames from before tell of another time.
    said : datetime or None
        When the newest label was made that was told of in a window.
    """

    def __init__(self, settings: DriftSettings, anew: datetime | None, said: datetime | None) -> None:
        self.anew = anew
        self.said = said
        self._settings = settings
        self._all: Sequence[Judged] = ()
        self._model = ""
        self._known: Quality | None = None

    def hear(self, judged: Sequence[Judged]) -> None:
        """Take in all labels of the camera that there are, in the order in which their frames were captured."""
        self._all, self._known = judged, None

    def forget(self, at: datetime) -> None:
        """Learn anew from some time on."""
        self.anew, self._known = at, None

    def shift(self, model: str, fallen: datetime | None) -> Shift | None:
        """Return how the agreement with a model has fallen, if it has; `fallen` is since when that is known."""
        return self._quality(model, fallen).shift

    def window(self, model: str, fallen: datetime | None) -> SignalWindow | None:
        """Tell of the labels that were made since the last window; None without any."""
        fresh = [one for one in self._of(model) if self.said is None or one.said > self.said]
        if not fresh:
            return None
        self.said = max(one.said for one in fresh)
        known = self._quality(model, fallen)
        now = spread(np.array([one.agreement for one in fresh]))
        assert now is not None  # noqa: S101  # there are some
        effect = known.shift.effect if known.shift is not None else 0.0
        # It is told by how far the mean has fallen: no D by itself would count.
        return SignalWindow(now, spread(known.reference), effect, 1.0, known.shift is not None)

    def _quality(self, model: str, fallen: datetime | None) -> Quality:
        if self._known is None or model != self._model:
            self._model, self._known = model, quality(self._of(model), self._settings, fallen)
        return self._known

    def _of(self, model: str) -> list[Judged]:
        return [one for one in self._all if one.model == model and (self.anew is None or one.captured >= self.anew)]
