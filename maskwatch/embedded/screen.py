"""What `maskwatch up` shows: a line a step, a bar when a wait passes two seconds, then only what needs attention.

On a terminal lines have colours and waits are shown while they last; elsewhere each step is a plain line. What
children write stays in their log files, except warnings, errors and restarts.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

CRASHED = "stage crashed"
"""What a stage logs before it dies of an exception: the death itself is told."""

_WIDTH = 22
_COLOURS = ("cyan", "magenta", "blue", "green", "yellow")
_LOUD = {"warning": "yellow", "error": "red", "critical": "red"}
_PLAIN_LOUD = {"WARNING": "warning", "ERROR": "error", "CRITICAL": "critical"}
_TOLD_ELSEWHERE = frozenset({"event", "level", "stage", "timestamp", "exception"})


class Screen:
    """Writes to one console; also the supervisor's report.

    Parameters
    ----------
    console
        Where to; whether it is a terminal and whether colours are wanted is its own business.
    everything
        Show all that children write, not only what needs attention.
    patience_s
        A wait that is longer is shown, in seconds.
    """

    def __init__(self, console: Console, *, everything: bool = False, patience_s: float = 2.0) -> None:
        self._console = console
        self._everything = everything
        self._patience_s = patience_s
        self._colours: dict[str, str] = {}
        self._tick = "✓" if console.encoding.startswith("utf") else "ok"
        self._cross = "✗" if console.encoding.startswith("utf") else "failed"
        # A console shows one live display at a time, so waits and downloads share it.
        self._waits = Progress(
            TextColumn("  {task.description}"),
            BarColumn(20),
            _Measure(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def line(self, text: str, style: str = "") -> None:
        """Write one line."""
        self._console.print(Text(text, style), soft_wrap=True)

    def done(self, name: str, detail: str = "", seconds: float | None = None) -> None:
        """Write that a step is done, how long it took, and what is worth knowing."""
        took = f"{seconds:4.0f} s" if seconds is not None and seconds >= 1 else " " * 6
        text = Text.assemble(("  "), (self._tick, "green"), f" {name:<{_WIDTH}} {took}   ", (detail, "dim"))
        text.rstrip()
        self._console.print(text, soft_wrap=True)

    def failed(self, name: str, reason: str) -> None:
        """Write that a stage did not start, and why."""
        text = f" {name:<{_WIDTH}} {reason}; it is tried again"
        self._console.print(Text.assemble("  ", (self._cross, "red"), text), soft_wrap=True)

    @contextmanager
    def waiting(self, name: str) -> Iterator[None]:
        """Show a wait once it has lasted for too long; call it in the event loop."""
        with self._shown(name, None) as task:
            late = asyncio.get_running_loop().call_later(
                self._patience_s, lambda: self._waits.update(task, visible=True)
            )
            try:
                yield
            finally:
                late.cancel()

    @contextmanager
    def fetching(self, name: str, size: int) -> Iterator[Callable[[int], None]]:
        """Show bytes and the time left; the function that it gives may be called from any thread."""
        if not self._console.is_terminal:
            self.line(f"  fetching {name}: {megabytes(size)}")
        with self._shown(name, size) as task:
            yield lambda count: self._waits.advance(task, count)

    @contextmanager
    def _shown(self, name: str, size: int | None) -> Iterator[TaskID]:
        task = self._waits.add_task(name, total=size, visible=size is not None)
        if len(self._waits.task_ids) == 1:
            self._waits.start()
        try:
            yield task
        finally:
            self._waits.remove_task(task)
            if not self._waits.task_ids:
                self._waits.stop()

    def said(self, name: str, line: str) -> None:
        """Show one line of a child, if it needs attention."""
        level, text = read_line(line)
        if self._everything or (level in _LOUD and text != CRASHED):
            self._prefixed(name, text, _LOUD.get(level, ""))

    def died(self, name: str, reason: str, delay_s: float) -> None:
        """Show that a child died."""
        self._prefixed(name, f"{reason}; starting it again in {delay_s:g} s", "yellow")

    def returned(self, name: str) -> None:
        """Show that a child is back."""
        self._prefixed(name, "is up again", "green")

    def _prefixed(self, name: str, text: str, style: str) -> None:
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        stamp = time.strftime("%H:%M:%S")
        self._console.print(Text.assemble((f"{stamp} {name:<8} │ ", colour), (text, style)), soft_wrap=True)


class _Measure(ProgressColumn):
    """Bytes and the time left where the end is known, else the time that has passed."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = DownloadColumn()
        self._left = TimeRemainingColumn(compact=True)

    def render(self, task: Task) -> Text:
        """Return the text for one wait."""
        if task.total is None:
            return Text(f"{task.elapsed or 0:.0f} s", "progress.elapsed")
        return Text.assemble(self._bytes.render(task), "  ", self._left.render(task), " left")


def read_line(line: str) -> tuple[str, str]:
    """Take the level and a readable text out of one line that a child wrote.

    Parameters
    ----------
    line
        JSON as structlog writes it, or what libraries and Python itself write.

    Returns
    -------
    level, text
        The level is empty where the line tells none.

    Examples
    --------
    >>> read_line('{"event": "late", "level": "warning", "stage": "detector", "age": 1.5}')
    ('warning', 'late  age=1.5')
    >>> read_line("ERROR detector aiokafka Unable to connect")
    ('error', 'ERROR detector aiokafka Unable to connect')
    >>> read_line("Traceback (most recent call last):")
    ('', 'Traceback (most recent call last):')
    """
    try:
        fields = json.loads(line)
        event, level = str(fields["event"]), str(fields["level"])
    except (ValueError, TypeError, KeyError):
        return _PLAIN_LOUD.get(line.partition(" ")[0], ""), line
    rest = "  ".join(f"{key}={value}" for key, value in fields.items() if key not in _TOLD_ELSEWHERE)
    return level, f"{event}  {rest}".rstrip()


def megabytes(size: int) -> str:
    """Say a size in MB.

    Examples
    --------
    >>> megabytes(44_916_453)
    '45 MB'
    """
    return f"{size / 1e6:.0f} MB"
