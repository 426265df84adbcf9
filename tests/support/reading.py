"""Look at what lies in a topic by now, and wait for something to come true."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import ConsumerRecord

from maskwatch import kafka, topics
from maskwatch.settings import Settings

WAIT_S = 60


async def records(settings: Settings, name: topics.Name) -> list[ConsumerRecord[bytes, bytes]]:
    """Every record that lies in a topic by now; ordered within each partition."""
    caught_up = asyncio.Event()
    found: list[ConsumerRecord[bytes, bytes]] = []
    partitions = next(topic.partitions for topic in topics.TOPICS if topic.name == name)

    async def collect() -> None:
        async for record in kafka.follow(settings, name, partitions, caught_up):
            found.append(record)  # noqa: PERF401  # it never ends by itself

    collecting = asyncio.create_task(collect())
    waiting = asyncio.create_task(caught_up.wait())
    await asyncio.wait([collecting, waiting], return_when=asyncio.FIRST_COMPLETED)
    if collecting.done():
        await collecting
    for task in (collecting, waiting):
        task.cancel()
    await asyncio.gather(collecting, waiting, return_exceptions=True)
    return found


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
