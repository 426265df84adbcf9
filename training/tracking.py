"""What a training tells of itself while it goes on, and how that reaches MLflow.

Everything is written into the training's own journal first (:mod:`training.journal`). A thread reads the journal and
tells MLflow what that has not taken yet. How far MLflow is stands in MLflow itself, as a tag of the run, written with
the event that it counts: so it holds whoever was killed, and whichever MLflow is asked. MLflow being away delays
all that and stops nothing; ``maskwatch mlflow sync`` sends what was left.
"""

import contextlib
import fcntl
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import click
import msgspec
import structlog

from maskwatch.errors import MaskwatchError
from maskwatch.lazy import call
from maskwatch.settings import Settings
from training.environment import describe
from training.errors import StageOverError, TrackingAwayError, TrackingError, TrackingRefusedError
from training.journal import FOLDER, Begun, Event, Journal, State, read, trainings_below

STOPPED_S = 3.0
"""Longest that a training which was asked to stop waits for MLflow; a resumption sends the rest."""

log = structlog.get_logger(__name__)


class RunLog(Protocol):
    """One training in MLflow; made by :mod:`training.registry`."""

    def position(self) -> int:
        """Return how many events of the journal it has.

        Raises
        ------
        TrackingAwayError
            If MLflow gives no answer.
        """

    def write(self, event: Event, position: int) -> None:
        """Take one event, and with it the count of those that it has now.

        Taking the same event twice leaves one.

        Raises
        ------
        TrackingAwayError
            If MLflow gives no answer; it may have taken the event.
        TrackingRefusedError
            If it does not take this event and never will.
        """


OpenLog = Callable[[Settings, Path, Begun], RunLog]


class Sent(msgspec.Struct, frozen=True):
    """What one sending did."""

    logged: int
    refused: int


class Tracked:
    """A training as it is told; every call returns once that is on the disk. For one thread."""

    def __init__(self, journal: Journal, changed: Callable[[], None]) -> None:
        self._journal = journal
        self._changed = changed

    def parameters(self, values: Mapping[str, object]) -> None:
        """Tell how it is trained; once told, a parameter stays."""
        self._journal.parameters(values)
        self._changed()

    def tags(self, values: Mapping[str, object]) -> None:
        """Tell what else is known of it, such as the hash of its manifest."""
        self._journal.tags(values)
        self._changed()

    def metrics(self, epoch: int, values: Mapping[str, float]) -> None:
        """Tell numbers of an epoch, such as losses; told again for the same epoch they are not logged again."""
        self._journal.metrics(epoch, values)
        self._changed()

    def keep(self, file: Path, folder: str = "") -> None:
        """Tell that a file belongs to it: a picture, the manifest. Told again, the newer one replaces it."""
        self._journal.keep(file, folder)
        self._changed()


@contextlib.contextmanager
def track(folder: Path, name: str, settings: Settings, open_log: OpenLog | None = None) -> Iterator[Tracked]:
    """Track a training, or go on tracking one that was cut off.

    Its end is told too: finished, killed (Ctrl-C, or the end of a stage), or failed (any other exception). After a kill
    that lets nothing be told it stays "running" until it is resumed.

    Parameters
    ----------
    folder
        Of the training: a journal in it is gone on with.
    name
        For people, if it is new.
    settings
        Which MLflow.
    open_log
        Opens MLflow's side; without it the real one.

    Yields
    ------
    Tracked
        What the training talks to.

    Raises
    ------
    TrackingError
        If the journal there cannot be read.
    """
    journal = Journal(folder, name)
    sender = _Sender(folder, settings, open_log or _open_log)
    tracked = Tracked(journal, sender.wake)
    state: State = "FAILED"
    try:
        journal.become("RUNNING")
        tracked.tags(describe())
        sender.start()
        yield tracked
        state = "FINISHED"
    except (KeyboardInterrupt, SystemExit, StageOverError):
        state = "KILLED"
        raise
    finally:
        journal.become(state)
        journal.close()
        sender.finish(min(STOPPED_S, settings.mlflow.finish_s) if state == "KILLED" else settings.mlflow.finish_s)


def send(folder: Path, settings: Settings, open_log: OpenLog | None = None) -> Sent:
    """Tell MLflow what it has not taken yet of one training.

    Raises
    ------
    TrackingAwayError
        If MLflow gives no answer, or another process is sending the same journal.
    TrackingError
        If there is no journal, or it cannot be read.
    """
    begun = next(read(folder), None)
    if not isinstance(begun, Begun):
        raise TrackingError(f"no training was tracked in {folder}: its {FOLDER}/ holds no journal")
    with _only_sender(folder):
        run = (open_log or _open_log)(settings, folder, begun)
        return _replay(folder, run)


def sync(settings: Settings, folders: tuple[Path, ...]) -> None:
    """Send what is left of every training in or below these folders; print a line each.

    Raises
    ------
    TrackingError
        If there is none, or MLflow is away.
    """
    trainings = [training for folder in folders for training in trainings_below(folder)]
    if not trainings:
        raise TrackingError(f"no training was tracked in or below {', '.join(map(str, folders))}")
    for training in trainings:
        sent = send(training, settings)
        refused = f", {sent.refused} refused (see the log)" if sent.refused else ""
        click.echo(f"{training}: {sent.logged} logged{refused}")


class _Sender:
    """The thread that sends a journal while it is written."""

    def __init__(self, folder: Path, settings: Settings, open_log: OpenLog) -> None:
        self._folder = folder
        self._settings = settings
        self._open_log = open_log
        self._something = threading.Event()
        self._last = threading.Event()
        # A daemon: a training that has ended waits for it no longer than it says.
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._something.set()

    def finish(self, within_s: float) -> None:
        """Send the rest, but wait for it no longer than that."""
        self._last.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(within_s)
        if self._thread.is_alive():
            self._left()

    def _left(self) -> None:
        log.warning("not all is in MLflow yet", remedy=f"maskwatch mlflow sync {self._folder}")

    def _run(self) -> None:
        away = False
        pause = self._settings.mlflow.retry_after_s
        while True:
            self._something.clear()
            ending = self._last.is_set()
            try:
                send(self._folder, self._settings, self._open_log)
            except TrackingAwayError as error:
                if not away:
                    log.warning("MLflow is away: the journal keeps what happens", reason=str(error))
                away = True
            except MaskwatchError as error:
                log.warning("MLflow is not told: the journal keeps what happens", reason=str(error))
                return
            else:
                if away:
                    log.info("MLflow is back")
                away = False
            if ending:
                if away:
                    self._left()
                return
            # Away: until it is time to try again, or it is the last try. Else: until there is something to send.
            (self._last if away else self._something).wait(pause if away else None)


def _replay(folder: Path, run: RunLog) -> Sent:
    logged, refused = 0, 0
    start = run.position()
    for position, event in enumerate(read(folder, start), start + 1):
        try:
            run.write(event, position)
            logged += 1
        except TrackingRefusedError as error:
            # It stays in the journal; waiting for it would hold all that follows.
            log.warning("MLflow refuses an event", folder=str(folder), line=position, reason=str(error))
            refused += 1
    return Sent(logged, refused)


@contextlib.contextmanager
def _only_sender(folder: Path) -> Iterator[None]:
    with (folder / FOLDER / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrackingAwayError(
                f"another process is sending {folder} to MLflow; try again when it is done"
            ) from None
        yield


def _open_log(settings: Settings, folder: Path, begun: Begun) -> RunLog:
    run: RunLog = call("training.registry:open_log", settings, folder, begun)
    return run
