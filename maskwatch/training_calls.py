"""Call what trains, from a command: its answer alone goes to standard output, and a signal ends it at once.

The libraries that train print what they like, and not only from Python; what they start inherits where they print to.
A script that reads a command's answer must not have to tell the two apart.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from maskwatch.lazy import call
from maskwatch.training_packages import brought

STOPPED = os.EX_TEMPFAIL
"""Exit code of what was asked to stop: it goes on when the command is given again."""
_OUT, _ERROR = 1, 2


def ask(target: str, *arguments: Any, yes: bool = False, **options: Any) -> Any:  # noqa: ANN401  # as the target says
    """Import ``module:function`` and call it; all that is printed meanwhile goes to standard error.

    SIGTERM ends it at once, with what it has started, wherever it has no better way of its own.

    Parameters
    ----------
    target, arguments, options
        What is called.
    yes
        Packages that are missing may be installed without asking.

    Returns
    -------
    Any
        What the target gave.

    Raises
    ------
    PackagesMissingError
        If what training needs is not here, and is not to be installed.
    """
    with brought(yes=yes), printing_aside(), ended_by_sigterm():
        return call(target, *arguments, **options)


@contextlib.contextmanager
def printing_aside() -> Iterator[None]:
    """Send what this process and those that it starts print to standard error, whatever they are written in."""
    sys.stdout.flush()
    kept = os.dup(_OUT)
    os.dup2(_ERROR, _OUT)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        # What C has not written yet would follow the answer.
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, _OUT)
        os.close(kept)


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM leave through every ``finally``: what was started ends, and no picture stays in a scratch folder."""
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(STOPPED)
