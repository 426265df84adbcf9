"""How far a round of the learning loop is, in its folder: the round writes it, and the retrainer tells it to all.

The file outlives the round's process, so that what an earlier attempt has done is still known. Also what a round is
expected to take.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from maskwatch.files import write_whole
from maskwatch.learning_settings import RetrainSettings
from maskwatch.model_messages import RunProgress

FILE = "progress.json"
LOCK = "lock"
PICTURES_A_SECOND = 10.0
"""That two cores train on, at 416 px; good for an estimate until a round has shown its own pace."""

REHEARSED_A_LABEL = 3
"""Rehearsed pictures that an epoch has for each labelled one, at most."""

LEARNT = 2 / 3
"""Share of the labels that a round learns from; the rest judges."""


@contextmanager
def alone(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Work on a round as the only process, once whoever does so already is done.

    A retrainer that takes a round over may begin before the one that had it has ended the round's process.

    Parameters
    ----------
    folder
        The round's own; made if need be.
    say
        Is told when another must be waited for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process works in {folder}; this one goes on when that is done")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read(folder: Path) -> RunProgress | None:
    """Return how far a round is; None before it has said so."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=RunProgress)
    except (OSError, msgspec.MsgspecError):
        return None


def write(folder: Path, progress: RunProgress) -> None:
    """Say how far a round is, whole or not at all.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    write_whole(folder / FILE, msgspec.json.encode(progress))


def expected_minutes(pictures: float, epochs: int, pace: float = PICTURES_A_SECOND) -> float:
    """Return how long a training takes.

    Parameters
    ----------
    pictures
        That an epoch has.
    epochs
        How many.
    pace
        Pictures a second.

    Examples
    --------
    >>> expected_minutes(264, 10)
    4.4
    """
    return round(pictures * epochs / pace / 60, 1)


def pictures_of(labels: int, settings: RetrainSettings) -> float:
    """Return about how many pictures an epoch will have, before anybody has looked at the labels.

    Examples
    --------
    >>> round(pictures_of(100, RetrainSettings()))
    267
    """
    learnt = labels * LEARNT
    return learnt + min(settings.rehearsal, REHEARSED_A_LABEL * learnt)


def pace_of(progress: RunProgress | None) -> float:
    """Return how many pictures a second a round has trained on, or the usual where that is not known.

    Examples
    --------
    >>> pace_of(None)
    10.0
    """
    if progress is None or progress.lesson is None or not progress.history:
        return PICTURES_A_SECOND
    seconds = sum(epoch.seconds for epoch in progress.history) / len(progress.history)
    return progress.lesson.drawn / seconds if seconds > 0 and progress.lesson.drawn else PICTURES_A_SECOND
