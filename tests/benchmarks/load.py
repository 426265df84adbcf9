"""Cameras that publish the recording at a steady rate. ``python -m tests.benchmarks.load FILE CAMERAS RATE SECONDS``.

A process of its own, so that its cost is not taken for that of what it feeds. Encodes nothing. Its cameras are wished
for while it runs, so that viewers may look at them. Prints one JSON line.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from maskwatch import kafka
from maskwatch.messages import Camera, FrameInfo
from maskwatch.settings import Settings, load
from producers.publishing import FramePublisher, StatePublisher
from tests.benchmarks.material import SIZE, recorded_jpegs

MOST_ON_THE_WAY = 32
"""Frames; a camera has one on the way, and there may be 32 cameras."""


def names(cameras: int) -> list[str]:
    """Return the ids of the cameras."""
    return [f"bench-{number:02}" for number in range(cameras)]


async def publish(
    settings: Settings, jpegs: list[bytes], cameras: int, rate: float, seconds: float
) -> dict[str, float]:
    """Publish frames of all cameras in turn, `rate` a second in all, and say what became of them."""
    session = format(time.time_ns() // 1000 % 36**6, "x")
    sent = lost = 0
    on_the_way = asyncio.Semaphore(MOST_ON_THE_WAY)
    async with (
        kafka.running(kafka.durable_producer(settings), settings) as durable,
        kafka.running(kafka.live_producer(settings), settings) as live,
    ):
        states, frames = StatePublisher(durable, settings, "bench"), FramePublisher(live, settings)
        for name in names(cameras):
            await states.wish(Camera(id=name, source="scene", record_rate=0))

        async def one(number: int) -> None:
            nonlocal sent, lost
            info = FrameInfo(
                names(cameras)[number % cameras], session, number // cameras, datetime.now(UTC), SIZE[0], SIZE[1]
            )
            try:
                if await frames.publish(info, jpegs[number % len(jpegs)], record=False):
                    sent += 1
                else:
                    lost += 1
            finally:
                on_the_way.release()

        began = time.monotonic()
        async with asyncio.TaskGroup() as sending:
            for number in range(round(rate * seconds)):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                await on_the_way.acquire()
                sending.create_task(one(number))
        took = time.monotonic() - began
        for name in names(cameras):
            await states.take_back(name)
    return {"sent": sent, "lost": lost, "seconds": took}


def main() -> None:
    """Enter from the command line."""
    file, cameras, rate, seconds = sys.argv[1:5]
    settings, _ = load()
    jpegs = recorded_jpegs(Path(file))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        done = runner.run(publish(settings, jpegs, int(cameras), float(rate), float(seconds)))
    print(json.dumps(done))  # noqa: T201


if __name__ == "__main__":
    main()
