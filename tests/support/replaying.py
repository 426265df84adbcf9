"""A replay as a test drives it."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from rich.console import Console

from maskwatch.command import Progress
from maskwatch.settings import Settings
from producers.replay import Outcome, replay
from producers.replay_plan import Order, order


class Replaying:
    """A replay under way."""

    def __init__(self, settings: Settings, asked: Order, *, terminal: bool = False) -> None:
        self._file = io.StringIO()
        self._progress = Progress("replaying", Console(file=self._file, force_terminal=terminal, width=200))
        self.stop = asyncio.Event()
        self.task: asyncio.Task[Outcome] = asyncio.create_task(self._run(settings, asked))

    @property
    def text(self) -> str:
        """What it said so far."""
        return self._file.getvalue()

    async def _run(self, settings: Settings, asked: Order) -> Outcome:
        with self._progress:
            return await replay(settings, asked, self.stop, self._progress)

    async def end(self) -> Outcome:
        """Stop it."""
        self.stop.set()
        return await self.task


@contextlib.asynccontextmanager
async def replaying(settings: Settings, asked: Order, *, terminal: bool = False) -> AsyncIterator[Replaying]:
    """Replay until the end of the context."""
    running = Replaying(settings, asked, terminal=terminal)
    try:
        yield running
    finally:
        running.stop.set()
        await asyncio.gather(running.task, return_exceptions=True)


async def replayed(settings: Settings, file: Path, **options: Any) -> Replaying:  # noqa: ANN401  # an order's options
    """Replay to the end."""
    running = Replaying(settings, order(file, options.pop("names", ()), **options))
    await running.task
    return running
