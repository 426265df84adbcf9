"""How far something is that takes long: a bar on a terminal, elsewhere a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from maskwatch.command import Progress

PATIENCE_S = 2
"""Nobody needs to be told of what is over sooner."""

Step = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many."""


def no_step(_what: str, _done: int, _of: int) -> None:
    """Tell nobody."""


@contextmanager
def shown(name: str) -> Iterator[Step]:
    """Show steps on standard error: as a bar on a terminal, elsewhere one line for each thing that is being done.

    Parameters
    ----------
    name
        What is going on, in one word.
    """
    begun = time.monotonic()
    told: set[str] = set()
    with Progress(name) as progress:

        def step(what: str, done: int, of: int) -> None:
            if progress.due:
                progress.show(done / of, f"{what}: {done} of {of}")
            elif what not in told and not sys.stderr.isatty() and time.monotonic() - begun >= PATIENCE_S:
                told.add(what)
                progress.say(f"{name} {what}: {done} of {of}")

        yield step
