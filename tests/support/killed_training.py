"""Trainings that are killed with SIGKILL between any two writes, and then resumed.

Run as ``python -m tests.support.killed_training DATA_DIR FOLDER``. MLflow is imported once; each training is forked
from there, so that it shares no connection with another. In each, the kill comes one write later than in the one
before, until one is not killed any more. Writes are those of the journal and the calls that change something in
MLflow. Prints how many were killed.
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maskwatch.settings import Settings
from training import journal
from training.registry import MlflowClient  # type: ignore[attr-defined]  # as what it calls there
from training.tracking import send

CALLS = ("create_experiment", "create_run", "log_batch", "log_artifact", "set_tag", "update_run", "set_terminated")
EPOCHS = 2


def train(settings: Settings, folder: Path) -> None:
    """Tell what a training tells, and send it: in one thread, so that the order of the writes is always the same."""
    told = journal.Journal(folder, folder.name)
    told.become("RUNNING")
    told.parameters({"epochs": EPOCHS})
    send(folder, settings)
    for epoch in range(1, EPOCHS + 1):
        told.metrics(epoch, {"loss": 1 / epoch, "mAP50": epoch / 10})
    picture = folder / "curves.png"
    picture.write_bytes(b"png")
    told.keep(picture, "curves")
    told.become("FINISHED")
    told.close()
    send(folder, settings)


class Killer:
    """Kills this process before its n-th write."""

    def __init__(self, moment: int) -> None:
        self._left = moment

    def before(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # whatever it takes and gives
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*arguments, **options)

        return written


def forked(settings: Settings, folder: Path, moment: int) -> bool:
    """Train in a process that is killed at a moment, 0 for never; say whether it was."""
    child = os.fork()
    if child == 0:
        killer = Killer(moment)
        if moment:
            journal.Journal._append = killer.before(journal.Journal._append)  # type: ignore[method-assign]
            for name in CALLS:
                setattr(MlflowClient, name, killer.before(getattr(MlflowClient, name)))
        code = 1
        try:
            train(settings, folder)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise RuntimeError(f"the training in {folder} failed")
    return False


def main() -> None:
    settings = Settings(data_dir=Path(sys.argv[1]))
    for moment in itertools.count(1):
        folder = Path(sys.argv[2]) / f"killed-{moment:03}"
        was_killed = forked(settings, folder, moment)
        forked(settings, folder, 0)
        if not was_killed:
            sys.stdout.write(f"{moment - 1}\n")
            return


if __name__ == "__main__":
    main()
