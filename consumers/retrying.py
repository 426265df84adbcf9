"""Doing what must not be lost until it is done, or until it is time to end: then it comes again."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from maskwatch import metrics
from maskwatch.errors import BrokerError, StoreError

log = structlog.get_logger(__name__)


async def until_done(work: Callable[[], Awaitable[object]], stop: asyncio.Event, *, what: str, retry_s: float) -> bool:
    """Do something until Kafka and the store have taken it.

    Parameters
    ----------
    work
        What to do; doing it again changes nothing.
    stop
        Set when it is time to end.
    what
        What this is, for the log.
    retry_s
        Seconds between two tries.

    Returns
    -------
    bool
        False if it was not done before the stop.
    """
    while True:
        try:
            await work()
        except (BrokerError, StoreError) as error:
            if isinstance(error, StoreError):
                metrics.STORE_FAILURES.inc()
            log.warning("not done yet; trying again", what=what, error=str(error))
            await pause(stop, retry_s)
            if stop.is_set():
                return False
        else:
            return True


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for so long, or until it is time to end."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
