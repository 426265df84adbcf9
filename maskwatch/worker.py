"""Run one stage in this process: logs, metrics, signals, and a stop that is never longer than 25 seconds.

A signal only sets a flag; the stage ends between two batches. A stage that crashes takes its process with it, so that
whoever started it (the supervisor, systemd, Kubernetes) sees it and starts it anew. So does one that hangs, and no
thread of it is waited for. When the stage is ready, whoever started it is told by the protocol of systemd's
``sd_notify``. Where nobody is there to be told, as in a container, the file that ``MASKWATCH_ALIVE_FILE`` names is made
then, and is touched every five seconds for as long as the loop turns: its age is the stage's health.
"""

import asyncio
import itertools
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import structlog
import uvloop

from maskwatch import logs, metrics
from maskwatch.errors import MaskwatchError, StuckError
from maskwatch.settings import ALIVE_VARIABLE, Settings
from maskwatch.signals import leave_threads_behind, then_its_threads, until_signal

LAG_INTERVAL_S = 0.5
MEMORY_EVERY = 10
"""Memory is looked at, and the stage called alive, once in so many turns."""

log = structlog.get_logger(__name__)

Stage = Callable[[Settings, asyncio.Event], Awaitable[None]]
"""Runs until the event is set, then finishes what it has begun and returns."""


def run(name: str, stage: Stage, settings: Settings) -> None:
    """Run a stage until SIGINT or SIGTERM.

    Parameters
    ----------
    name
        The stage's name, for logs and metrics.
    stage
        What to run.
    settings
        The whole tree; the stage takes its part.

    Raises
    ------
    Exception
        Whatever the stage raised; but for what hangs, or has not ended 25 s after the signal, the process ends here.
    """
    logs.configure(settings.logs, name)
    metrics.serve(settings.metrics.port)
    if alive := _alive_file():
        alive.unlink(missing_ok=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(then_its_threads(name, _supervise(name, stage, settings)))
        except StuckError as error:
            log.error("stage is stuck", error=str(error))  # noqa: TRY400  # a trace of the loop shows no thread
            # Before the runner is closed, which would wait too.
            leave_threads_behind(error)


async def _supervise(name: str, stage: Stage, settings: Settings) -> None:
    lag = asyncio.create_task(_measure(name))
    try:
        await until_signal(name, stage, settings, stopping=lambda: log.info("stopping"))
    except MaskwatchError:
        raise
    except Exception:
        log.exception("stage crashed")
        raise
    finally:
        lag.cancel()
        await asyncio.gather(lag, return_exceptions=True)


async def _measure(name: str) -> None:
    metric, memory, process = metrics.LOOP_LAG_SECONDS.labels(name), metrics.MEMORY_BYTES.labels(name), psutil.Process()
    alive = _alive_file()
    for turn in itertools.count():
        if turn % MEMORY_EVERY == 0:
            memory.set(process.memory_info().rss)
            if alive and alive.exists():
                alive.touch()
        due = time.monotonic() + LAG_INTERVAL_S
        await asyncio.sleep(LAG_INTERVAL_S)
        metric.observe(max(0.0, time.monotonic() - due))


def notify_ready(status: str = "") -> None:
    """Tell whoever started this process that the stage is ready.

    Parameters
    ----------
    status
        One line for people, such as what the stage found out about this machine.
    """
    if alive := _alive_file():
        alive.touch()
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.settimeout(1)
        name = f"\0{address[1:]}" if address.startswith("@") else address
        try:
            connection.sendto(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}\n".encode(), name)
        except OSError as error:
            log.warning("nobody to tell that the stage is ready", error=str(error))


def _alive_file() -> Path | None:
    named = os.environ.get(ALIVE_VARIABLE)
    return Path(named) if named else None
