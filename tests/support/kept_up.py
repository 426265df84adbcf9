"""A stage under the real supervisor, which starts it anew when it dies."""

import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from maskwatch.embedded.supervisor import Child, Supervisor
from maskwatch.settings import Settings
from tests.support.stage import variables


class Told:
    """Takes down what the supervisor tells.

    Attributes
    ----------
    lines, deaths : list of str
        What the stage wrote, and what it died of.
    returns : int
        How often it was ready again.
    """

    def __init__(self, run_dir: Path) -> None:
        self.lines: list[str] = []
        self.deaths: list[str] = []
        self.returns = 0
        self._run_dir = run_dir

    def said(self, name: str, line: str) -> None:
        self.lines.append(line)

    def died(self, name: str, reason: str, delay_s: float) -> None:
        self.deaths.append(reason)

    def returned(self, name: str) -> None:
        self.returns += 1

    def process(self) -> psutil.Process:
        """Return the process that it is now."""
        (row,) = json.loads((self._run_dir / "children.json").read_text())
        return psutil.Process(row["pid"])


@asynccontextmanager
async def kept_up(settings: Settings, script: Path, folder: Path, given: Mapping[str, str]) -> AsyncIterator[Told]:
    """Keep a script up for as long as the block lasts; its logs and pids lie in a folder."""
    told = Told(folder / "run")
    supervisor = Supervisor(folder / "run", folder / "logs", told)
    env = {**variables(settings), "MASKWATCH_LOGS__FORMAT": "json", **given}
    try:
        await supervisor.start(Child(name=script.stem, command=(sys.executable, str(script)), rank=1, env=env))
        yield told
    finally:
        await supervisor.stop()
