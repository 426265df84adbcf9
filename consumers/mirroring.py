"""Mirrors which model serves into MLflow, beside the retrainer: whenever that changes, and again until it is done.

MLflow is a package of trainings, so it is a process of its own that does it; until that package is installed, nothing
is mirrored.
"""

import asyncio
import math
import os
import sys
from contextlib import aclosing

import structlog
from aiokafka.errors import KafkaError

from maskwatch import reading, training_packages
from maskwatch.errors import BrokerError
from maskwatch.settings import Settings
from maskwatch.topics import Name, partitions

COMMAND = (sys.executable, "-m", "maskwatch", "models", "mirror")
LOOK_S = 60.0
"""So often it is asked whether what trains has been installed meanwhile."""

RETRY_S = 300.0
TIMEOUT_S = 300.0
"""It may have to send a whole model."""
NICE = 19

log = structlog.get_logger(__name__)


class Mirroring:
    """Follows ``models.v1``.

    Parameters
    ----------
    settings
        Name the cluster.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Mirror until cancelled."""
        while not training_packages.are_here():  # noqa: ASYNC110  # another process installs them
            await asyncio.sleep(LOOK_S)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._follow())
            both.create_task(self._mirror())

    async def _follow(self) -> None:
        places = dict.fromkeys(partitions(self._settings, Name.MODELS), math.inf)
        while True:
            try:
                async with aclosing(reading.follow_all(self._settings, places)) as records:
                    async for _ in records:
                        self._changed.set()
            except (BrokerError, KafkaError) as error:
                log.warning("which model serves cannot be read", error=str(error))
            await asyncio.sleep(RETRY_S)

    async def _mirror(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            why = await _mirrored()
            if why:
                log.warning("MLflow does not say yet which model serves; later again", error=why)
                await asyncio.sleep(RETRY_S)
                self._changed.set()


async def _mirrored() -> str:
    """Let a process mirror; return why it did not, empty if it did."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: os.nice(NICE),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            told, complained = await process.communicate()
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        return complained.decode(errors="replace").strip().rpartition("\n")[2] or f"it ended with {process.returncode}"
    log.info("MLflow says which model serves", said=told.decode(errors="replace").strip())
    return ""
