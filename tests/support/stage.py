"""One stage in a process of its own, as `maskwatch STAGE` runs it, so that a test can do to it what a machine does."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, SecretStr

from maskwatch.settings import PREFIX, Settings

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(2**29), "MALLOC_MMAP_THRESHOLD_": str(2**29)}
"""What `maskwatch up` gives its detector."""


class Stage:
    """A running stage; `maskwatch` itself, or a script of a test that does something to it first.

    Parameters
    ----------
    name
        The command: ``detector``, ``live``, ``api``.
    settings
        Given to it as variables.
    script
        A Python file that runs the stage instead of the command line.
    variables
        Further variables.
    """

    def __init__(
        self, name: str, settings: Settings, *arguments: str, script: Path | None = None, **variables: str
    ) -> None:
        self.name = name
        self.settings = settings
        self._variables = variables
        self._command = [sys.executable, *([str(script)] if script else ["-m", "maskwatch", name]), *arguments]
        self._folder = tempfile.TemporaryDirectory(prefix="maskwatch-")
        self.log_file = Path(self._folder.name) / f"{name}.log"
        self.process: psutil.Popen | None = None
        self._ready: socket.socket | None = None

    def start(self) -> None:
        """Start it; :meth:`ready` waits until it is."""
        if self._ready is not None:
            self._ready.close()
        address = str(Path(self._folder.name) / "ready")
        Path(address).unlink(missing_ok=True)
        self._ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ready.setblocking(False)
        self._ready.bind(address)
        with self.log_file.open("ab") as log:
            self.process = psutil.Popen(
                self._command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
                    **variables(self.settings),
                    "MASKWATCH_LOGS__FORMAT": "json",
                    "NOTIFY_SOCKET": address,
                    **self._variables,
                },
            )

    async def ready(self) -> str:
        """Wait until it says that it is ready, and return what it said with that."""
        assert self._ready is not None  # started
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                said = (await asyncio.get_running_loop().sock_recv(self._ready, 4096)).decode()
        except TimeoutError:
            raise AssertionError(f"{self.name} was not ready in {START_TIMEOUT_S} s: {self.log()[-2000:]}") from None
        return next(line for line in said.splitlines() if line.startswith("STATUS=")).removeprefix("STATUS=")

    @property
    def running(self) -> psutil.Popen:
        """Return the process."""
        assert self.process is not None  # started
        return self.process

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.running.send_signal(number)

    async def ended(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait until it has ended, and return its exit code."""
        return int(await asyncio.to_thread(self.running.wait, timeout_s))

    def log(self) -> str:
        """Return what it wrote so far."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def close(self) -> None:
        """End it whatever it does."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(psutil.Error):
                self.process.send_signal(signal.SIGCONT)
                self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()
        if self._ready is not None:
            self._ready.close()
        self._folder.cleanup()


@asynccontextmanager
async def stages(*several: Stage) -> AsyncIterator[Sequence[Stage]]:
    """Start stages, wait until all are ready, and end them at the end."""
    try:
        for stage in several:
            stage.start()
        for stage in several:
            await stage.ready()
        yield several
    finally:
        for stage in several:
            await asyncio.to_thread(stage.close)


def variables(settings: Settings) -> dict[str, str]:
    """Return settings as the variables that make them: those alone that are not the defaults."""
    defaults = Settings.model_construct()
    return {f"{PREFIX}{name.upper()}": value for name, value in _differing(settings, defaults)}


def _differing(tree: BaseModel, defaults: BaseModel) -> list[tuple[str, str]]:
    found = []
    for name in type(tree).model_fields:
        value, default = getattr(tree, name), getattr(defaults, name)
        if isinstance(value, BaseModel):
            found += [(f"{name}__{below}", text) for below, text in _differing(value, default)]
        elif value != default:
            found.append((name, _plain(value)))
    return found


def _plain(value: Any) -> str:  # noqa: ANN401  # whatever a setting may be
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return "[" + ",".join(f'"{item}"' for item in value) + "]"
    return str(value)


async def until(condition: Any, timeout_s: float, what: str) -> float:  # noqa: ANN401  # any callable without arguments
    """Wait until a condition holds, and return for how many seconds that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            raise AssertionError(f"waited {timeout_s:g} s in vain until {what}")
        await asyncio.sleep(0.02)
    return time.monotonic() - began
