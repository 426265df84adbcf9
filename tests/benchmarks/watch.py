"""Viewers as a browser is one, without drawing. ``python -m tests.benchmarks.watch URL SECONDS CAMERA…``.

One socket a camera; every picture is acknowledged at once. Ages are from the broker's append to here, by one clock.
Prints one JSON line with all of them, in milliseconds.
"""

import asyncio
import json
import sys
import time

import uvloop
from websockets.asyncio.client import connect

from maskwatch.overlay import unpack


async def watch(url: str, camera: str, ends: float, ages: list[float]) -> None:
    """Collect the ages of one camera's pictures."""
    address = f"{url.replace('http', 'ws', 1)}/live/{camera}"
    async with connect(address, compression=None, max_size=None, proxy=None) as socket:
        while (left := ends - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(socket.recv(), left)
            except TimeoutError:
                return
            now = time.time()
            if isinstance(message, bytes):
                ages.append(round((now - unpack(message)[0].published.timestamp()) * 1000, 1))
                await socket.send("ack")


async def watch_all(url: str, seconds: float, cameras: list[str]) -> list[float]:
    """Watch every camera for so long."""
    ages: list[float] = []
    ends = time.monotonic() + seconds
    await asyncio.gather(*(watch(url, camera, ends, ages) for camera in cameras))
    return ages


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(watch_all(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))))  # noqa: T201
