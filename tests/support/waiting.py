"""Wait for something to come true."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

WAIT_S = 60


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
