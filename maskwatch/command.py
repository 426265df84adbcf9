"""A command that a person waits for: it shows how far it is, and Ctrl-C ends it in order.

On a terminal there is a bar, elsewhere there are plain lines. All of it goes to standard error, so that what a command
prints as its result can be piped.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

import click
import uvloop
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from maskwatch.errors import StuckError
from maskwatch.settings import Settings
from maskwatch.signals import leave_threads_behind, then_its_threads, until_signal

REFRESH_S = 0.2

_Outcome = TypeVar("_Outcome")


def run(name: str, command: Callable[[Settings, asyncio.Event], Awaitable[_Outcome]], settings: Settings) -> _Outcome:
    """Run a command until it ends; SIGINT or SIGTERM sets its event, so that it ends in order.

    Parameters
    ----------
    name
        What people call it.
    command
        Takes the settings and the event; like a stage, but with an outcome, and without logs and metrics.
    settings
        The whole tree.

    Raises
    ------
    Exception
        Whatever the command raised; but if it has not ended 25 s after the signal, or a thread of it hangs, the
        process ends here.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(then_its_threads(name, until_signal(name, command, settings)))
        except StuckError as error:
            click.echo(f"maskwatch: {error}", err=True)
            # Before the runner is closed, which would wait too.
            leave_threads_behind(error)


class Progress:
    """Shows one bar with a text beside it; a context manager.

    Parameters
    ----------
    name
        What is going on, in one word.
    console
        Where to; standard error without it. Whether it is a terminal and wants colours is its own business.
    """

    def __init__(self, name: str, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(24),
            TextColumn("{task.fields[text]}", style="dim"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
            refresh_per_second=1 / REFRESH_S,
        )
        self._task = self._bar.add_task(name, total=None, text="")
        self._next = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    @property
    def due(self) -> bool:
        """Whether it is time to show something new: nobody reads faster than that."""
        return self._console.is_terminal and time.monotonic() >= self._next

    def show(self, share: float | None, text: str) -> None:
        """Show how much is done, 0..1 or None if there is no telling, and a text."""
        self._next = time.monotonic() + REFRESH_S
        self._bar.update(self._task, total=None if share is None else 1.0, completed=share or 0.0, text=text)

    def say(self, text: str) -> None:
        """Write a line, above the bar if there is one."""
        self._console.print(Text(text), soft_wrap=True)
