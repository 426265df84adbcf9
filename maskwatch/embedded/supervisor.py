"""Keep processes up: start them when they are wanted, start anew what dies, and end them all in order.

A child is described once (:class:`Child`) and has a session of its own, so that Ctrl-C in a terminal reaches only the
supervisor, which then ends the children from the highest rank to the lowest. What a child writes goes to a file of
its own, and line by line to a :class:`Report`, which decides what people see. On Linux children die with a killed
supervisor; everywhere the next start ends what a killed one left (:func:`end_leftovers`).
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import psutil

from maskwatch.embedded import tether
from maskwatch.embedded.output import LogFile, Output
from maskwatch.errors import StackError

LAST_LINES = 20
"""Of what a process wrote, among which its reason to end is looked for."""

LOG_BYTES = 5 * 2**20
POLL_S = 0.05
KILL_TIMEOUT_S = 2.0
CLOCK_SLACK_S = 2.0
FULL_BYTES = 50_000_000
"""With less disk left than this, that is why something died."""


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One process to keep up."""

    name: str
    command: tuple[str, ...]
    rank: int
    """Children of one rank end together, after those of every higher rank."""
    env: Mapping[str, str] = {}
    """Variables on top of the supervisor's own."""
    port: int | None = None
    """Ready when it listens here, on loopback; None: when it says ``READY=1`` by systemd's protocol."""
    start_timeout_s: float = 60
    stop_timeout_s: float = 4


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait before a dead child is started anew."""

    first_s: float = 0.5
    longest_s: float = 30
    forgive_after_s: float = 60
    """Up for this long, a child is new again."""

    def delay(self, deaths: int) -> float:
        """Return the wait in seconds after so many deaths in a row, at least 1.

        Examples
        --------
        >>> [Backoff().delay(deaths) for deaths in (1, 2, 3, 10)]
        [0.5, 1.0, 2.0, 30]
        """
        return min(self.longest_s, self.first_s * 2.0 ** min(deaths - 1, 32))

    def deaths(self, before: int, lived_s: float) -> int:
        """Return the deaths in a row, with the one just seen."""
        return 1 if lived_s >= self.forgive_after_s else before + 1


class Report(Protocol):
    """Told, in the event loop, what happens to children; never blocks, raises nothing."""

    def said(self, name: str, line: str) -> None:
        """Take one line of what a child wrote."""

    def died(self, name: str, reason: str, delay_s: float) -> None:
        """Learn that a child died and is started anew after a wait in seconds.

        The first death of one that was never ready is told by :meth:`Supervisor.start` instead.
        """

    def returned(self, name: str) -> None:
        """Learn that a child that had died is ready again."""


class Supervisor:
    """Keeps children up until it is stopped.

    Parameters
    ----------
    run_dir
        Where the pids of running children are noted for the next start.
    logs_dir
        Where each child has its log file.
    report
        Told what happens.
    gone
        Called with the pid of every process that has ended, whatever the reason.
    backoff
        How long to wait before a restart.
    """

    def __init__(
        self,
        run_dir: Path,
        logs_dir: Path,
        report: Report,
        gone: Callable[[int], None] = lambda _pid: None,
        backoff: Backoff | None = None,
    ) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        logs_dir.mkdir(parents=True, exist_ok=True)
        self._noted = run_dir / "children.json"
        self._logs_dir = logs_dir
        self._report = report
        self._gone = gone
        self._backoff = backoff or Backoff()
        self._kept: list[_Kept] = []
        # A socket's path has 108 bytes at most, so it cannot lie in the data folder.
        self._sockets = tempfile.TemporaryDirectory(prefix="maskwatch-")

    async def start(self, child: Child) -> str:
        """Start a child and wait until it is ready.

        Returns
        -------
        str
            What it said of itself, such as what it found out about this machine.

        Raises
        ------
        StackError
            If it dies before it is ready or is not ready in time. It is tried again all the same, until the end.
        """
        kept = _Kept(child, Path(self._sockets.name), self._logs_dir, self._report, self._changed)
        self._kept.append(kept)
        kept.begin(self._backoff)
        try:
            return await asyncio.wait_for(asyncio.shield(kept.first_ready), child.start_timeout_s)
        except TimeoutError:
            raise StackError(
                f"{child.name} is not ready after {child.start_timeout_s:.0f} s; its log: {kept.log_file}"
            ) from None

    async def stop(self) -> None:
        """End every child, the highest rank first; each has its own time, then it is killed."""
        for rank in sorted({kept.child.rank for kept in self._kept}, reverse=True):
            await asyncio.gather(*(kept.end() for kept in self._kept if kept.child.rank == rank))
        self._noted.unlink(missing_ok=True)
        self._sockets.cleanup()

    def kill(self) -> None:
        """Kill every child at once; :meth:`stop` then has nothing to wait for."""
        for kept in self._kept:
            kept.kill()

    def _changed(self, gone: int | None) -> None:
        if gone is not None:
            self._gone(gone)
        rows = [row for kept in self._kept if (row := kept.identity()) is not None]
        fresh = self._noted.with_suffix(".new")
        # A full disk is what made the broker end, say: what the next start may want to know must not keep it down.
        with contextlib.suppress(OSError):
            fresh.write_text(json.dumps(rows))
            fresh.replace(self._noted)


class _Kept:
    """A child, the process that it is at the moment, and the task that keeps it up."""

    def __init__(
        self, child: Child, sockets: Path, logs_dir: Path, report: Report, changed: Callable[[int | None], None]
    ) -> None:
        self.child = child
        self.log_file = logs_dir / f"{child.name}.log"
        self.first_ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._socket = sockets / child.name
        self._report = report
        self._changed = changed
        self._pid: int | None = None
        self._created = 0.0
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def begin(self, backoff: Backoff) -> None:
        """Start it, and keep it up from now on."""
        self._task = asyncio.create_task(self._keep(backoff), name=self.child.name)

    def identity(self) -> dict[str, object] | None:
        """Return what tells this process from a later one with the same pid."""
        return {"name": self.child.name, "pid": self._pid, "created": self._created} if self._pid else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and to what it started."""
        if self._pid:
            # macOS answers with EPERM when only a zombie is left.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, number)

    def kill(self) -> None:
        """End it without asking, for good."""
        self._stopping = True
        self.signal(signal.SIGKILL)

    async def end(self) -> None:
        """End it: ask, wait, then kill."""
        self._stopping = True
        if self._task is None:
            return
        if self._pid is None:
            self._task.cancel()
        self.signal(signal.SIGTERM)
        _, late = await asyncio.wait([self._task], timeout=self.child.stop_timeout_s)
        if late:
            self.signal(signal.SIGKILL)
            await asyncio.wait([self._task], timeout=KILL_TIMEOUT_S)

    async def _keep(self, backoff: Backoff) -> None:
        deaths = 0
        log = LogFile(self.log_file, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", delay=True)
        try:
            with self._ready_socket() as messages:
                while not self._stopping:
                    began = time.monotonic()
                    ending = await self._run_once(log, messages)
                    if self._stopping:
                        return
                    deaths = backoff.deaths(deaths, time.monotonic() - began)
                    reason = f"{ending}: {telling(self._last_lines)}" if self._last_lines else ending
                    reason += disk_note(shutil.disk_usage(self.log_file.parent).free)
                    if self.first_ready.done():
                        self._report.died(self.child.name, reason, backoff.delay(deaths))
                    else:
                        self.first_ready.set_exception(StackError(f"{self.child.name} {reason}; log: {self.log_file}"))
                        # Nobody may be waiting any more.
                        self.first_ready.exception()
                    await asyncio.sleep(backoff.delay(deaths))
        finally:
            log.close()

    async def _run_once(self, log: logging.Handler, messages: socket.socket) -> str:
        def take(line: str) -> None:
            self._last_lines.append(line)
            log.handle(logging.makeLogRecord({"msg": line}))
            self._report.said(self.child.name, line)

        self._last_lines.clear()
        try:
            transport, output = await asyncio.get_running_loop().subprocess_exec(
                lambda: Output(take),
                *tethered(self.child.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **self.child.env, "NOTIFY_SOCKET": str(self._socket)},
            )
        except OSError as error:
            return f"cannot be started ({error.strerror})"
        self._pid = transport.get_pid()
        with contextlib.suppress(psutil.NoSuchProcess):
            self._created = psutil.Process(self._pid).create_time()
        self._changed(None)
        ready = asyncio.create_task(self._await_ready(messages))
        try:
            await asyncio.shield(output.exited)
        finally:
            # 1. Also what it started itself, which may hold the pipe open.
            self.signal(signal.SIGKILL)
            await asyncio.wait([output.exited, output.closed], timeout=KILL_TIMEOUT_S)
            # 2. Only now is its last line known.
            output.finish()
            transport.close()
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)
            gone, self._pid = self._pid, None
            self._changed(gone)
        return _ending(transport.get_returncode())

    async def _await_ready(self, messages: socket.socket) -> None:
        status = await (_listening(self.child.port) if self.child.port else _ready_message(messages))
        if self.first_ready.done():
            self._report.returned(self.child.name)
        else:
            self.first_ready.set_result(status)

    @contextlib.contextmanager
    def _ready_socket(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messages:
            messages.setblocking(False)  # noqa: FBT003  # the standard library's signature
            messages.bind(str(self._socket))
            yield messages


def telling(lines: Sequence[str]) -> str:
    """Return the line that most likely says why a process ended: its last error, else the last of all.

    Examples
    --------
    >>> telling(["[main] ERROR kafka.Kafka - port in use", "[shutdown-hook] WARN NetworkClient - closed already"])
    '[main] ERROR kafka.Kafka - port in use'
    """
    return next((line for line in reversed(lines) if " ERROR " in line), lines[-1])


def disk_note(free_bytes: int) -> str:
    """Say what a death is most likely about, if there is hardly any disk left.

    Examples
    --------
    >>> disk_note(3_000_000)
    '; the disk is full (3 MB left): free some, and it comes back'
    >>> disk_note(3_000_000_000)
    ''
    """
    if free_bytes > FULL_BYTES:
        return ""
    return f"; the disk is full ({free_bytes / 1e6:.0f} MB left): free some, and it comes back"


def tethered(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command line whose process dies with this one, where the system can do that."""
    if sys.platform != "linux":
        return command
    return (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command)


def end_leftovers(run_dir: Path) -> list[str]:
    """Kill the children that a killed supervisor left; nothing else that may have got their pids since.

    Returns
    -------
    list of str
        The names of what was still there.
    """
    noted = run_dir / "children.json"
    try:
        rows = json.loads(noted.read_text())
    except (FileNotFoundError, ValueError):
        return []
    found = []
    for row in rows:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            process = psutil.Process(row["pid"])
            # The kernel counts from a boot time that a corrected clock moves a little.
            if abs(process.create_time() - row["created"]) < CLOCK_SLACK_S:
                os.killpg(row["pid"], signal.SIGKILL)
                found.append(str(row["name"]))
                with contextlib.suppress(psutil.TimeoutExpired):
                    process.wait(KILL_TIMEOUT_S)
    noted.unlink(missing_ok=True)
    return found


async def _listening(port: int) -> str:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(POLL_S)
        else:
            writer.close()
            return ""


async def _ready_message(messages: socket.socket) -> str:
    loop = asyncio.get_running_loop()
    while True:
        fields = dict(
            line.split("=", 1) for line in (await loop.sock_recv(messages, 4096)).decode().splitlines() if "=" in line
        )
        if fields.get("READY") == "1":
            return fields.get("STATUS", "")


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
