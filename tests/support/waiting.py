"""Wait for something to come true, and run what works until it is told to stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from maskwatch.settings import Settings

Stage = Callable[[Settings, asyncio.Event], Awaitable[None]]

WAIT_S = 60
STOP_S = 25


async def eventually(check: Callable[[], Awaitable[Any]] | Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever it gives
    """Ask again and again until the answer is true, and return it."""
    async with asyncio.timeout(WAIT_S):
        while True:
            answer = check()
            if isinstance(answer, Awaitable):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(0.05)


@asynccontextmanager
async def at_work(stage: Stage, settings: Settings) -> AsyncIterator[None]:
    """Run a stage in this process until the end of the block, then let it stop."""
    stop = asyncio.Event()
    running = asyncio.ensure_future(stage(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, STOP_S)
