"""Run one stage in this process: logs, metrics, signals, and a stop that is never longer than 25 seconds.

A signal only sets a flag; the stage ends between two batches. A stage that crashes takes its process with it, so that
whoever started it (the supervisor, systemd, Kubernetes) sees it and starts it anew. So does one that hangs, and no
thread of it is waited for. When the stage is ready, whoever started it is told by the protocol of systemd's
``sd_notify``.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog
import uvloop

from maskwatch import logs, metrics
from maskwatch.errors import MaskwatchError, StuckError
from maskwatch.settings import Settings

STOP_TIMEOUT_S = 25.0
CANCEL_TIMEOUT_S = 2.0
LAG_INTERVAL_S = 0.5

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
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_supervise(name, stage, settings))
        except StuckError as error:
            # Before the runner is closed, which would wait too.
            _leave_threads_behind(error)


def _leave_threads_behind(error: StuckError) -> NoReturn:
    """End the process at once: Python would wait for every thread first, and one that hangs cannot be ended."""
    log.error("stage is stuck", error=str(error))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(error.exit_code)


async def _supervise(name: str, stage: Stage, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    lag = asyncio.create_task(_measure_lag(name))
    work = asyncio.ensure_future(stage(settings, stop))
    signalled = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([work, signalled], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            log.info("stopping")
            await _end(name, work)
        await work
    except MaskwatchError:
        raise
    except Exception:
        log.exception("stage crashed")
        raise
    finally:
        for task in (lag, signalled):
            task.cancel()
        await asyncio.gather(lag, signalled, return_exceptions=True)


async def _end(name: str, work: asyncio.Future[None]) -> None:
    await asyncio.wait([work], timeout=STOP_TIMEOUT_S)
    if not work.done():
        work.cancel()
        await asyncio.wait([work], timeout=CANCEL_TIMEOUT_S)
        raise StuckError(f"{name} has not ended {STOP_TIMEOUT_S:g} s after the signal")


async def _measure_lag(name: str) -> None:
    metric = metrics.LOOP_LAG_SECONDS.labels(name)
    while True:
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
