"""How replayed records go out: live frames with one try each, everything else until it is acknowledged.

A live frame that is late is worth nothing, so an outage costs frames and never ends in a burst of them. Everything else
waits for an outage to end, with a bound on what is under way.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from maskwatch.kafka import LIVE_TIMEOUT_S

MOST_RECORDS = 256
MOST_BYTES = 32 * 2**20
"""What may be under way at a time, unacknowledged."""

SILENCE_S = 5.0
"""After this long without an acknowledgement people are told."""

LAST_MOMENT_S = 2.0


class Outgoing(NamedTuple):
    """One record as it is to be published, the topic with its prefix."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    frame: bool


class Counts:
    """What became of what was published.

    Attributes
    ----------
    frames, others : int
        Acknowledged.
    cameras : set of bytes
        Keys of the acknowledged frames.
    unacknowledged, late : int
        Tried in vain; dropped untried because its time was over.
    """

    def __init__(self) -> None:
        self.frames = self.others = self.unacknowledged = self.late = 0
        self.cameras: set[bytes] = set()

    def acknowledge(self, record: Outgoing) -> None:
        """Count a record that was acknowledged."""
        if record.frame:
            self.frames += 1
            self.cameras.add(record.key or b"")
        else:
            self.others += 1


def _sendable(record: Outgoing) -> bool:
    # The client takes no record without either; nothing of ours is written like that.
    return record.key is not None or record.value is not None


class LiveLanes:
    """Publishes live frames: one of each camera under way, one try each, late ones dropped.

    Parameters
    ----------
    producer
        Made by :func:`maskwatch.kafka.live_producer`, and running.
    counts
        Where it is counted.
    tell
        Is told whether the last frame was acknowledged.
    """

    def __init__(self, producer: AIOKafkaProducer, counts: Counts, tell: Callable[[bool], None]) -> None:
        self._producer = producer
        self._counts = counts
        self._tell = tell
        self._lanes: dict[bytes | None, deque[tuple[float, Outgoing]]] = {}
        self._tasks: dict[bytes | None, asyncio.Task[None]] = {}

    def put(self, record: Outgoing, due: float) -> None:
        """Publish a frame that is due at this time of the loop's clock, after those of its camera before it."""
        self._lanes.setdefault(record.key, deque()).append((due, record))
        task = self._tasks.get(record.key)
        if task is None or task.done():
            if task is not None:
                task.result()
            self._tasks[record.key] = asyncio.create_task(self._drain(self._lanes[record.key]))

    async def finish(self) -> None:
        """Wait until nothing is under way: two tries of a second at most."""
        await asyncio.gather(*self._tasks.values())

    async def _drain(self, lane: deque[tuple[float, Outgoing]]) -> None:
        clock = asyncio.get_running_loop().time
        while lane:
            due, record = lane.popleft()
            if clock() - due > LIVE_TIMEOUT_S:
                self._counts.late += 1
                continue
            acknowledged = await self._send(record)
            self._tell(acknowledged)
            if acknowledged:
                self._counts.acknowledge(record)
                continue
            self._counts.unacknowledged += 1
            # What has gathered meanwhile would come as a burst.
            while len(lane) > 1:
                lane.popleft()
                self._counts.late += 1

    async def _send(self, record: Outgoing) -> bool:
        if not _sendable(record):
            return False
        try:
            async with asyncio.timeout(LIVE_TIMEOUT_S):
                await self._producer.send_and_wait(
                    record.topic, value=record.value, key=record.key, headers=list(record.headers)
                )
        except (KafkaError, TimeoutError, OSError):
            return False
        return True


class DurableQueue:
    """Publishes records in order, each until it is acknowledged, with a bound on what is under way.

    Parameters
    ----------
    producer
        Made by :func:`maskwatch.kafka.durable_producer`, and running.
    counts
        Where it is counted.
    tell
        Is told whether Kafka acknowledges.
    stop
        Ends the waiting; what is under way then counts as not acknowledged.
    """

    def __init__(
        self, producer: AIOKafkaProducer, counts: Counts, tell: Callable[[bool], None], stop: asyncio.Event
    ) -> None:
        self._producer = producer
        self._counts = counts
        self._tell = tell
        self._stop = stop
        self._bytes = 0
        self._under_way: set[asyncio.Future[Any]] = set()

    async def put(self, record: Outgoing) -> None:
        """Publish a record; waits while too much is under way."""
        size = len(record.value or b"")
        while len(self._under_way) >= MOST_RECORDS or self._bytes + size > MOST_BYTES:
            if not await self._progress():
                self._counts.unacknowledged += 1
                return
        accepting = asyncio.ensure_future(self._accept(record))
        if not await self._unless_stopped({accepting}):
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            self._counts.unacknowledged += 1
            return
        sent = accepting.result()
        if sent is None:
            self._counts.unacknowledged += 1
            return
        self._under_way.add(sent)
        self._bytes += size
        sent.add_done_callback(lambda done: self._done(done, record, size))

    async def finish(self) -> None:
        """Wait until everything is acknowledged; once told to stop, no longer than a moment."""
        while self._under_way and await self._progress():
            pass
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=LAST_MOMENT_S)
        self._counts.unacknowledged += len(self._under_way)
        self._under_way.clear()

    async def _accept(self, record: Outgoing) -> asyncio.Future[Any] | None:
        if not _sendable(record):
            return None
        while True:
            try:
                sent: asyncio.Future[Any] = await self._producer.send(
                    record.topic, value=record.value, key=record.key, headers=list(record.headers)
                )
            except KafkaTimeoutError:
                # The client is full of what it could not send yet.
                self._tell(False)  # noqa: FBT003  # a callback's only argument
            except KafkaError:
                return None
            else:
                return sent

    async def _progress(self) -> bool:
        """Wait until something under way is done; False if told to stop."""
        return await self._unless_stopped(self._under_way)

    async def _unless_stopped(self, work: set[asyncio.Future[Any]]) -> bool:
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            while not self._stop.is_set():
                done, _ = await asyncio.wait({*work, stopped}, timeout=SILENCE_S, return_when=asyncio.FIRST_COMPLETED)
                if done - {stopped}:
                    return True
                if not done:
                    self._tell(False)  # noqa: FBT003
            return False
        finally:
            stopped.cancel()

    def _done(self, sent: asyncio.Future[Any], record: Outgoing, size: int) -> None:
        self._bytes -= size
        failed = sent.cancelled() or sent.exception() is not None
        # What was given up at the end has been counted already.
        if sent not in self._under_way:
            return
        self._under_way.discard(sent)
        if failed:
            self._counts.unacknowledged += 1
        else:
            self._counts.acknowledge(record)
            self._tell(True)  # noqa: FBT003
