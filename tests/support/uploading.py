"""A client that uploads until it is acknowledged, and asks until it is answered."""

import asyncio
import time
from contextlib import suppress
from typing import Any, NamedTuple

import httpx

from tests.support.traffic import GOLDEN

PATIENCE_S = 180
"""For one upload, all tries together."""

ANSWERED_S = 60
"""Once nothing dies any more, what is not answered by then is lost."""


class Acknowledged(NamedTuple):
    """An upload that was taken."""

    id: str
    took: float
    """Seconds, all tries together."""
    answer: dict[str, Any] | None
    """What was answered with it; None if that was promised for later."""


async def put(client: httpx.AsyncClient, number: int) -> Acknowledged:
    """Upload until it is acknowledged, as a client does."""
    began = time.monotonic()
    # Each upload has a body of its own, behind the end of the picture.
    body, key = GOLDEN + f"{number}".encode(), {"Idempotency-Key": f"upload-{number}"}
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                answer = await client.post("/predict", content=body, headers=key)
            except httpx.HTTPError:
                await asyncio.sleep(0.5)
                continue
            if answer.status_code in {200, 202}:
                done = answer.json() if answer.status_code == 200 else None
                return Acknowledged(str(answer.json()["id"]), time.monotonic() - began, done)
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.5)


async def answer_to(client: httpx.AsyncClient, identity: str) -> dict[str, Any] | None:
    """Wait for the answer to an upload, and return it; None if it is lost."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWERED_S):
            while True:
                answer = await client.get(f"/predictions/{identity}")
                if answer.status_code == 200 and answer.json()["status"] == "done":
                    return dict(answer.json())
                await asyncio.sleep(0.5)
    return None
