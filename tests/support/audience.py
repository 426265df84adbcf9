"""Viewers of the live socket, each as the console is one: it acknowledges every picture and comes back when it is lost.

A few run beside a test (:class:`Spectator`). Many run in a process of their own, since what is measured is the API and
not the test that looks at it: :class:`Crowd` starts this file, which prints what its viewers saw as one line of JSON.
"""

import argparse
import asyncio
import contextlib
import json
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
import uvloop
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from maskwatch import kafka
from maskwatch.messages import Camera, LiveFrame
from maskwatch.overlay import unpack
from maskwatch.settings import Settings
from maskwatch.topics import Name
from producers.wishes import Wish, write_wish

SILENCE_S = 20.0
"""The console gives a connection up that has said nothing for so long."""

START_TIMEOUT_S = 60


class Sight(NamedTuple):
    """A picture, and when it came."""

    at: float
    """Seconds since the epoch."""
    age: float
    """Seconds since the broker's append."""
    live: LiveFrame


class Note(NamedTuple):
    """What a viewer was told in place of a picture."""

    at: float
    reason: str


AnySpectator = TypeVar("AnySpectator", bound="Spectator")


class Spectator:
    """Looks at one camera, and opens the socket again as the console does.

    Attributes
    ----------
    sights : list of Sight
        Pictures, in the order in which they came.
    notes : list of Note
        That the picture is stale, and why.
    openings : list of float
        When each connection was there.
    closings : list of (int, str)
        Code and reason of each that was lost.
    """

    def __init__(self, port: int, camera: str) -> None:
        self.sights: list[Sight] = []
        self.notes: list[Note] = []
        self.openings: list[float] = []
        self.closings: list[tuple[int, str]] = []
        self._address = f"ws://127.0.0.1:{port}/live/{camera}"
        self._attempt = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with contextlib.suppress(OSError, InvalidHandshake, TimeoutError, EOFError):
                await self._look()
            delay = min(10, 0.5 * 2 ** min(self._attempt, 16)) * (0.75 + random.random() / 4)
            self._attempt += 1
            await asyncio.sleep(delay)

    def since(self, moment: float) -> list[Sight]:
        """Return what was seen after a moment, in seconds since the epoch."""
        return [sight for sight in self.sights if sight.at > moment]

    async def _look(self) -> None:
        async with connect(self._address, compression=None, max_size=None, max_queue=2, proxy=None) as connection:
            self.openings.append(time.time())
            try:
                while True:
                    async with asyncio.timeout(SILENCE_S):
                        message = await connection.recv()
                    if isinstance(message, str):
                        self._take_note(json.loads(message))
                        continue
                    await connection.send("ack")
                    self._take_picture(message)
            except ConnectionClosed:
                self.closings.append((connection.close_code or 0, connection.close_reason or ""))

    def _take_picture(self, message: bytes) -> None:
        live, _ = unpack(message)
        now = time.time()
        self.sights.append(Sight(now, now - live.published.timestamp(), live))
        self._attempt = 0

    def _take_note(self, note: dict[str, Any]) -> None:
        if note["event"] == "stale":
            self.notes.append(Note(time.time(), note["reason"]))
            self._attempt = 0


class SlowSpectator(Spectator):
    """Looks at one camera over a line that carries only so much."""

    def __init__(self, port: int, camera: str, bytes_per_s: int) -> None:
        super().__init__(port, camera)
        self._bytes_per_s = bytes_per_s

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        with greeting(self._address) as (connection, protocol):
            while True:
                for data in protocol.data_to_send():
                    await loop.sock_sendall(connection, data)
                began = time.monotonic()
                piece = await loop.sock_recv(connection, self._bytes_per_s // 20)
                if not piece:
                    return
                protocol.receive_data(piece)
                for event in protocol.events_received():
                    if isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                        protocol.send_text(b"ack")
                        self._take_picture(bytes(event.data))
                await asyncio.sleep(max(0.0, len(piece) / self._bytes_per_s - (time.monotonic() - began)))


@contextmanager
def greeting(address: str) -> Iterator[tuple[socket.socket, ClientProtocol]]:
    """Connect with little room for what comes, and have the greeting ready: whoever asked decides what is read."""
    uri = parse_uri(address)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**14)
        connection.connect((uri.host, uri.port))
        connection.setblocking(False)
        protocol = ClientProtocol(uri, max_size=None)
        protocol.send_request(protocol.connect())
        yield connection, protocol


@asynccontextmanager
async def watching(port: int, *cameras: str) -> AsyncIterator[list[Spectator]]:
    """Let somebody look at each of these cameras for as long as the block lasts."""
    async with at_work([Spectator(port, camera) for camera in cameras]) as spectators:
        yield spectators


@asynccontextmanager
async def at_work(spectators: list[AnySpectator]) -> AsyncIterator[list[AnySpectator]]:
    """Let these look for as long as the block lasts."""
    tasks = [asyncio.create_task(spectator.run()) for spectator in spectators]
    try:
        yield spectators
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def wish_for(settings: Settings, *cameras: str) -> None:
    """Write that cameras are wished for, which some other process captures: viewers may look at no others."""
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        for camera in cameras:
            value, headers = write_wish(Wish(Camera(camera, "scene"), "elsewhere"), "/test", datetime.now(UTC))
            await kafka.send(producer, settings, Name.CAMERAS, key=camera, value=value, headers=headers)


class Seen(msgspec.Struct):
    """What a crowd saw."""

    frames: dict[str, int]
    """How many viewers saw each frame, by its id."""
    ages: list[float]
    """Seconds from the broker's append to the viewer, one for each picture that anybody saw."""
    fewest: int
    """Pictures that the worst off of them saw."""
    lost: list[tuple[int, str]]
    """Why connections were lost."""

    def age(self, share: float) -> float:
        """Return the age that this share of the pictures was not older than."""
        return sorted(self.ages)[min(len(self.ages) - 1, int(share * len(self.ages)))]


class Crowd:
    """So many viewers, in a process of their own, spread evenly over some cameras."""

    def __init__(self, port: int, cameras: Sequence[str], viewers: int) -> None:
        self._arguments = [str(port), str(viewers), *cameras]
        self._process: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def gathered(self) -> AsyncIterator["Crowd"]:
        """Start it and wait until every one of them has seen a picture."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**28,
        )
        try:
            assert await self._line(START_TIMEOUT_S) == b"all of them see\n"
            yield self
        finally:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.communicate()

    async def look_for(self, seconds: float) -> Seen:
        """Return what it sees from now on, for so long."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n".encode())
        return msgspec.json.decode(await self._line(seconds + START_TIMEOUT_S), type=Seen)

    async def _line(self, timeout_s: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(timeout_s):
            return await self._process.stdout.readline()


async def _be_a_crowd(port: int, viewers: int, cameras: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    spectators = [Spectator(port, cameras[number % len(cameras)]) for number in range(viewers)]
    tasks = [asyncio.create_task(spectator.run()) for spectator in spectators]
    while not all(spectator.sights for spectator in spectators):  # noqa: ASYNC110  # known by looking alone
        await asyncio.sleep(0.05)
    print("all of them see", flush=True)  # noqa: T201  # what the test waits for
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        began = time.time()
        await asyncio.sleep(float(line))
        sights = [spectator.since(began) for spectator in spectators]
        seen = Seen(
            Counter(sight.live.frame.id for several in sights for sight in several),
            [round(sight.age, 4) for several in sights for sight in several],
            min(map(len, sights)),
            [closing for spectator in spectators for closing in spectator.closings],
        )
        print(msgspec.json.encode(seen).decode(), flush=True)  # noqa: T201  # what the test reads
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("viewers", type=int)
    parser.add_argument("cameras", nargs="+")
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_be_a_crowd(given.port, given.viewers, given.cameras))
