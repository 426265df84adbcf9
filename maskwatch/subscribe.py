"""For your own program: messages from Kafka as Python objects, as they come.

    async with subscribe(Detection) as detections:
        async for detection in detections:
            print(detection.frame.camera, [face.label for face in detection.objects])

A broker that is away is waited for, and reading goes on where it was. With a group the place is kept in Kafka, so that
a program that was ended goes on where it has been, and several share the work.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from maskwatch import kafka, reading
from maskwatch.errors import BrokerError, MessageError, RefusedError
from maskwatch.kafka import Record
from maskwatch.messages import (
    CameraStatus,
    Detection,
    FrameInfo,
    Prediction,
    decode,
    read_frame_headers,
)
from maskwatch.refusals import forbidden
from maskwatch.settings import Settings, load
from maskwatch.topics import Name, partitions, require

POLL_MS = 250
COMMIT_EVERY_S = 1.0
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0


class Frame(NamedTuple):
    """A live picture: what is known about it, and the JPEG."""

    info: FrameInfo
    jpeg: bytes


_Message = TypeVar("_Message", bound=Detection | Prediction | CameraStatus | Frame)


def _frame(record: Record) -> Frame:
    if not record.value:
        raise MessageError("the frame has no picture")
    return Frame(read_frame_headers(record.headers), record.value)


_READERS: dict[type, tuple[Name, Callable[[Record], Any]]] = {
    Detection: (Name.DETECTIONS, lambda record: decode(record.value, Detection)),
    Prediction: (Name.PREDICTIONS, lambda record: decode(record.value, Prediction)),
    # An empty status says that its camera is no more.
    CameraStatus: (Name.CAMERA_STATUS, lambda record: decode(record.value, CameraStatus) if record.value else None),
    Frame: (Name.FRAMES_LIVE, _frame),
}


@asynccontextmanager
async def subscribe(  # noqa: PLR0913  # what to read, from where, and how
    kind: type[_Message],
    servers: str = "",
    *,
    settings: Settings | None = None,
    group: str = "",
    back_s: float = 0.0,
    keys: Collection[str] = (),
    wait: bool = True,
    stop: asyncio.Event | None = None,
    malformed: Callable[[Record, MessageError], None] | None = None,
) -> AsyncIterator[AsyncIterator[_Message]]:
    """Read messages of one kind, at least once.

    Parameters
    ----------
    kind
        `Detection`, `Prediction`, `CameraStatus` or `Frame`: each has its topic.
    servers
        ``host:port,…`` of the cluster; without it what `settings` name.
    settings
        Where the cluster is and how to log in; without it, what ``MASKWATCH_…`` variables and ``maskwatch.toml`` say.
    group
        Keep the place in Kafka under this name. A message counts as done when the next one is asked for.
    back_s
        How far back to begin, in seconds: 0 from now on, infinity with the oldest that is still there. A group that
        has its place already goes on there.
    keys
        Only these: cameras, or uploads of predictions; all if empty.
    wait
        Wait for a cluster that is away at the start; later outages are always waited for.
    stop
        Ends the messages when it is set.
    malformed
        Told of records that are no such message, which are skipped.

    Yields
    ------
    AsyncIterator
        The messages, for ever or until `stop`.

    Raises
    ------
    RefusedError
        If Kafka does not let us in, or not read the topic; that is not waited for.
    BrokerError
        With `wait` off, if it cannot be reached or lacks the topic.
    ValueError
        If a group is to begin at a time: it can at now, and at the beginning.
    """
    if group and back_s not in {0.0, math.inf}:
        raise ValueError(f"a group begins now (0) or at the beginning (infinity), not {back_s} s back")
    chosen = settings or load()[0]
    if servers:
        chosen = chosen.model_copy(update={"kafka": chosen.kafka.model_copy(update={"bootstrap_servers": servers})})
    name, read = _READERS[kind]
    async with AsyncExitStack() as running:
        reader = await _started(running, chosen, name, group, back_s, wait=wait)
        wanted = {key.encode() for key in keys}
        yield _messages(reader, read, wanted, stop or asyncio.Event(), malformed)


async def _started(  # noqa: PLR0913  # what a reader is made of
    running: AsyncExitStack, settings: Settings, name: Name, group: str, back_s: float, *, wait: bool
) -> "_Reader":
    retry_s = FIRST_RETRY_S
    while True:
        try:
            await require(settings, [name])
            reader = _Reader(settings, name, group, back_s)
            await running.enter_async_context(reader.running())
        except RefusedError:
            # To wait changes nothing.
            raise
        except BrokerError:
            if not wait:
                raise
        else:
            return reader
        await asyncio.sleep(retry_s)
        retry_s = min(LAST_RETRY_S, 2 * retry_s)


class _Reader:
    """A consumer of one topic, with or without a group."""

    def __init__(self, settings: Settings, name: Name, group: str, back_s: float) -> None:
        self._settings = settings
        self._name = name
        self._group = group
        self._back_s = back_s
        self._all = partitions(settings, name)
        self._done: dict[TopicPartition, int] = {}
        self._committed = 0.0
        self._consumer: AIOKafkaConsumer = (
            kafka.group_consumer(settings, group, None, "earliest" if back_s else "latest")
            if group
            else kafka.lone_consumer(settings, self._all)
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with kafka.running(self._consumer, self._settings):
            if self._group:
                kafka.subscribe(self._consumer, self._settings, [self._name])
            else:
                span = await reading.span(self._consumer, self._settings, self._all, self._back_s)
                for partition, offset in span.starts.items():
                    self._consumer.seek(partition, offset)
            try:
                yield
            finally:
                await self.commit()

    async def read(self) -> Sequence[Record]:
        """Return what has come, after a moment nothing."""
        try:
            batches = await self._consumer.getmany(timeout_ms=POLL_MS)
        except KafkaError as error:
            refused = forbidden(error, self._settings.kafka)
            raise (RefusedError if refused else BrokerError)(
                f"{self._name} at {self._settings.bootstrap_servers} cannot be read: {refused or repr(error)}"
            ) from error
        return [record for batch in batches.values() for record in batch]

    def done(self, record: Record) -> None:
        """Note that a record needs not come again."""
        if self._group:
            self._done[TopicPartition(record.topic, record.partition)] = record.offset + 1

    async def commit_now_and_then(self) -> None:
        """Commit what is done, once a second at most."""
        if asyncio.get_running_loop().time() - self._committed >= COMMIT_EVERY_S:
            await self.commit()

    async def commit(self) -> None:
        """Commit what is done; what cannot be committed comes again."""
        self._committed = asyncio.get_running_loop().time()
        done, self._done = self._done, {}
        await kafka.commit(self._consumer, done, self._settings)


async def _messages(
    reader: _Reader,
    read: Callable[[Record], _Message | None],
    wanted: Collection[bytes],
    stop: asyncio.Event,
    malformed: Callable[[Record, MessageError], None] | None,
) -> AsyncIterator[_Message]:
    while not stop.is_set():
        for record in await reader.read():
            if not wanted or record.key in wanted:
                try:
                    message = read(record)
                except MessageError as error:
                    if malformed is not None:
                        malformed(record, error)
                else:
                    if message is not None:
                        yield message
            reader.done(record)
            if stop.is_set():
                return
        await reader.commit_now_and_then()
