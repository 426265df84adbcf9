"""Run something until it ends by itself, or until a signal: then it has 25 seconds to end in order.

A signal only sets a flag. What has not ended in time hangs in a way that Python cannot end, such as a thread inside a
driver or on a dead disk, so the process ends without waiting for it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from maskwatch.errors import StuckError, expected
from maskwatch.settings import Settings

STOP_TIMEOUT_S = 25.0
CANCEL_TIMEOUT_S = 2.0
THREADS_TIMEOUT_S = 3.0
"""For what the loop's own threads do still when nothing needs it any more."""

_Outcome = TypeVar("_Outcome")


async def until_signal(
    name: str,
    work: Callable[[Settings, asyncio.Event], Awaitable[_Outcome]],
    settings: Settings,
    stopping: Callable[[], None] = lambda: None,
) -> _Outcome:
    """Run until the end; SIGINT or SIGTERM sets the event, so that the work ends in order.

    Parameters
    ----------
    name
        What runs, for the message.
    work
        Takes the settings and the event.
    settings
        The whole tree.
    stopping
        Called when a signal has come and the work has not ended yet.

    Raises
    ------
    Exception
        Whatever the work raised.
    StuckError
        If it has not ended 25 s after the signal; it was cancelled.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.ensure_future(work(settings, stop))
    signalled = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([running, signalled], return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            stopping()
            await _end(name, running)
        return await running
    except ExceptionGroup as group:
        # What several tasks share ends with a group; whoever started this knows what we raise on purpose.
        if (one := expected(group)) is not None:
            raise one from group
        raise
    finally:
        signalled.cancel()
        await asyncio.gather(signalled, return_exceptions=True)


async def _end(name: str, running: asyncio.Future[_Outcome]) -> None:
    await asyncio.wait([running], timeout=STOP_TIMEOUT_S)
    if not running.done():
        running.cancel()
        await asyncio.wait([running], timeout=CANCEL_TIMEOUT_S)
        raise StuckError(f"{name} has not ended {STOP_TIMEOUT_S:g} s after the signal")


async def then_its_threads(name: str, work: Awaitable[_Outcome]) -> _Outcome:
    """Await work, and then the end of the loop's own threads, which closing the loop would wait for without a bound.

    Parameters
    ----------
    name
        What runs, for the message.
    work
        The last that the loop does.

    Raises
    ------
    Exception
        Whatever the work raised.
    StuckError
        If a thread has not ended some seconds after the work.
    """
    try:
        outcome = await work
    except StuckError:
        raise
    except Exception as error:
        await _end_threads(f"{name} has failed ({error}), and")
        raise
    await _end_threads(f"{name} has ended, but")
    return outcome


async def _end_threads(what: str) -> None:
    ending = asyncio.ensure_future(asyncio.get_running_loop().shutdown_default_executor())
    # Not cancelled: that would wait for them too.
    await asyncio.wait([ending], timeout=THREADS_TIMEOUT_S)
    if not ending.done():
        raise StuckError(f"{what} a thread of it hangs")


def leave_threads_behind(error: StuckError) -> NoReturn:
    """End the process at once: Python would wait for every thread first, and one that hangs cannot be ended."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(error.exit_code)
