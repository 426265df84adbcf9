"""Episodes: from signals that shift to one story with a beginning, an end and a sentence. Pure.

A camera has one open episode at most. It begins with the first signal that shifts, others join it, and it ends once
all are back, once it has lasted so long that the new is normal, or when another model looks.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from maskwatch.drift_messages import Episode, Kind, Shift, SignalName
from maskwatch.messages import FrameRef, ModelRef
from processors.signals import KIND_ORDER

TOLD = 3
"""Shifts that the sentence names."""

PICTURE_WORDS: dict[SignalName, tuple[str, str]] = {
    "brightness": ("darker", "brighter"),
    "contrast": ("flatter", "richer in contrast"),
    "sharpness": ("blurrier", "sharper or noisier"),
    "colour": ("bluer", "redder"),
    "blockiness": ("less blocky", "blockier"),
}
"""What a camera becomes when the signal falls, and when it rises."""

SEEN_WORDS: dict[SignalName, str] = {
    "face_size": "the size of faces",
    "score": "the model's score",
    "without_mask": "the share without a mask",
    "incorrect": "the share worn incorrectly",
    "faces": "the number of faces",
    "agreement": "people's agreement",
}
PERCENT = ("face_size", "without_mask", "incorrect")

Reason = Literal["recovered", "adopted", "new-model"]


class Moment(NamedTuple):
    """When and where an episode changes."""

    at: datetime
    frame: FrameRef
    model: ModelRef


class Beginning(NamedTuple):
    """What is known when an episode begins."""

    since: datetime
    """When the change seems to have begun."""
    before: FrameRef | None
    alert: bool


def begin(camera: str, moment: Moment, shifts: Sequence[Shift], beginning: Beginning) -> Episode:
    """Begin an episode; its id follows from the frame that made it sure."""
    return Episode(
        id=f"{moment.frame.id}:drift",
        camera=camera,
        kind=kind_of(shifts),
        phase="start",
        since=beginning.since,
        started=moment.at,
        updated=moment.at,
        model=moment.model,
        shifts=_ordered(shifts),
        text=sentence(camera, beginning.since, shifts),
        before=beginning.before,
        after=moment.frame,
        alert=beginning.alert,
    )


def update(episode: Episode, moment: Moment, current: Mapping[SignalName, Shift]) -> Episode | None:
    """Take in what the signals are now; None if nothing worth telling has changed.

    Parameters
    ----------
    episode
        Open.
    moment
        Now.
    current
        The signals that are shifted now.
    """
    known = {shift.signal: shift for shift in episode.shifts}
    if current.keys() == {shift.signal for shift in episode.shifts if shift.shifted}:
        return None
    told = {
        **{signal: msgspec.structs.replace(shift, shifted=False) for signal, shift in known.items()},
        **{
            signal: msgspec.structs.replace(shift, since=known[signal].since) if signal in known else shift
            for signal, shift in current.items()
        },
    }
    shifts = _ordered(tuple(told.values()))
    return msgspec.structs.replace(
        episode,
        phase="update",
        kind=kind_of(shifts),
        updated=moment.at,
        shifts=shifts,
        text=sentence(episode.camera, episode.since, shifts),
    )


def largest(episode: Episode, current: Mapping[SignalName, Shift]) -> Episode:
    """Keep of every shift how it was at its largest, without telling anybody yet."""
    shifts = tuple(
        msgspec.structs.replace(now, since=shift.since)
        if (now := current.get(shift.signal)) is not None and now.effect > shift.effect
        else shift
        for shift in episode.shifts
    )
    return episode if shifts == episode.shifts else msgspec.structs.replace(episode, shifts=shifts)


def end(episode: Episode, at: datetime, reason: Reason) -> Episode:
    """End an episode."""
    shifts = tuple(msgspec.structs.replace(shift, shifted=False) for shift in episode.shifts)
    return msgspec.structs.replace(episode, phase="end", updated=at, ended=at, reason=reason, shifts=_ordered(shifts))


def kind_of(shifts: Sequence[Shift]) -> Kind:
    """Return the kind of an episode with these shifts: what the picture is like explains what is seen on it."""
    kinds = {shift.kind for shift in shifts}
    return next(kind for kind in KIND_ORDER if kind in kinds)


def sentence(camera: str, since: datetime, shifts: Sequence[Shift]) -> str:
    """Tell an episode in one sentence.

    Examples
    --------
    >>> from datetime import UTC
    >>> from maskwatch.drift_messages import KINDS, Spread
    >>> def shift(signal, before, after):
    ...     first, second = (Spread(60, x, x, x, x) for x in (before, after))
    ...     return Shift(signal, KINDS[signal], at, 0.9, 1e-9, first, second, (), (), ())
    >>> at = datetime(2026, 11, 1, 17, 42, tzinfo=UTC)
    >>> sentence("door-2", at, [shift("brightness", 0.5, 0.2), shift("score", 0.81, 0.63)])
    "door-2 became darker at 17:42 UTC; the model's score fell from 0.81 to 0.63"
    >>> sentence("door-2", at, [shift("without_mask", 0.05, 0.4)])
    'door-2: the share without a mask rose from 5 % to 40 % at 17:42 UTC'
    """
    ordered = _ordered(shifts)[:TOLD]
    when = f"at {since:%H:%M} UTC"
    looks = [_became(shift) for shift in ordered if shift.signal in PICTURE_WORDS]
    seen = [_moved(shift) for shift in ordered if shift.signal not in PICTURE_WORDS]
    if looks:
        return "; ".join([f"{camera} became {' and '.join(looks)} {when}", *seen])
    return f"{camera}: {', '.join(seen)} {when}"


def too_soon(since_last: timedelta | None, cooldown_s: float) -> bool:
    """Tell whether an episode follows the last one's end so soon that nobody need be told again."""
    return since_last is not None and timedelta(0) <= since_last < timedelta(seconds=cooldown_s)


def _became(shift: Shift) -> str:
    return PICTURE_WORDS[shift.signal][shift.after.mean >= shift.before.mean]


def _moved(shift: Shift) -> str:
    before, after = shift.before.mean, shift.after.mean
    way = "rose" if after >= before else "fell"
    if shift.signal in PERCENT:
        return f"{SEEN_WORDS[shift.signal]} {way} from {before:.0%} to {after:.0%}".replace("%", " %")
    digits = 1 if shift.signal == "faces" else 2
    return f"{SEEN_WORDS[shift.signal]} {way} from {before:.{digits}f} to {after:.{digits}f}"


def _ordered(shifts: Sequence[Shift]) -> tuple[Shift, ...]:
    return tuple(sorted(shifts, key=lambda shift: (not shift.shifted, KIND_ORDER.index(shift.kind), -shift.effect)))
