"""Clients that upload, over 100 connections. ``python -m tests.benchmarks.uploads FILE URL RATE SECONDS``.

An open loop: uploads come when they come, whether those before are answered or not, and what one waits for a connection
counts. With a rate of 0 the loop is closed: each of a few clients sends the next as soon as it is answered, which finds
out what goes through. HTTP by hand, because these clients share the cores with what they measure. Prints one JSON line.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from tests.benchmarks.material import recorded_jpegs

CONNECTIONS = 100
CLOSED_LOOP = 16
"""Clients of a closed loop: twice what a round of the worker takes."""

TIMEOUT_S = 30.0


class Tally:
    """What became of uploads."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        """Milliseconds of those that were answered."""
        self.failed: list[str] = []
        """First lines of other answers, or what broke."""


class Client:
    """One connection, kept open.

    Parameters
    ----------
    url
        Of the API.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def upload(self, jpeg: bytes) -> str:
        """Send a picture, wait for its answer, and return the answer's first line."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        head = (
            f"POST /predict HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
        )
        writer.write(f"{head}\r\n\r\n".encode() + jpeg)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        (length,) = (
            line.partition(":")[2] for line in answer.lower().split("\r\n") if line.startswith("content-length:")
        )
        await reader.readexactly(int(length))
        return answer.partition("\r\n")[0]

    def close(self) -> None:
        """Close the connection; the next upload opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def counted(client: Client, jpeg: bytes, began: float, tally: Tally) -> None:
    """Upload, and count."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said = await client.upload(jpeg)
    except (OSError, EOFError, TimeoutError, ValueError) as error:
        client.close()
        tally.failed.append(repr(error))
        return
    if " 200 " in said:
        tally.latencies.append(round((time.monotonic() - began) * 1000, 1))
    else:
        tally.failed.append(said)


async def open_loop(url: str, picture: Callable[[int], bytes], rate: float, seconds: float) -> Tally:
    """Upload `rate` pictures a second."""
    tally = Tally()
    idle: asyncio.Queue[Client] = asyncio.Queue()
    clients = [Client(url) for _ in range(CONNECTIONS)]
    for client in clients:
        idle.put_nowait(client)

    async def one(number: int, due: float) -> None:
        client = await idle.get()
        await counted(client, picture(number), due, tally)
        idle.put_nowait(client)

    began = time.monotonic()
    async with asyncio.TaskGroup() as uploading:
        for number in range(round(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            uploading.create_task(one(number, due))
    for client in clients:
        client.close()
    return tally


async def closed_loop(url: str, picture: Callable[[int], bytes], seconds: float) -> Tally:
    """Upload as fast as answers come."""
    tally = Tally()
    ends = time.monotonic() + seconds

    async def one(first: int) -> None:
        client, number = Client(url), first
        while time.monotonic() < ends:
            await counted(client, picture(number), time.monotonic(), tally)
            number += CLOSED_LOOP
        client.close()

    await asyncio.gather(*(one(number) for number in range(CLOSED_LOOP)))
    return tally


def main() -> None:
    """Enter from the command line."""
    file, url, rate, seconds = sys.argv[1:5]
    jpegs = recorded_jpegs(Path(file))

    def picture(number: int) -> bytes:
        return jpegs[number % len(jpegs)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        began = time.monotonic()
        if float(rate):
            tally = runner.run(open_loop(url, picture, float(rate), float(seconds)))
        else:
            tally = runner.run(closed_loop(url, picture, float(seconds)))
        took = time.monotonic() - began
    print(json.dumps({"seconds": took, "latencies": tally.latencies, "failed": tally.failed}))  # noqa: T201


if __name__ == "__main__":
    main()
