"""The flight recorder: write what goes over Kafka's topics into one file, until told to stop or until a limit.

It reads all partitions by itself, without a group, so it disturbs nobody and commits nothing: from now on, or what the
topics still hold. Records are written in the order of their times. A broker that is away is waited for; what it has
lost meanwhile shows as a gap in the offsets, as it would to any reader.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consumers.timeorder import TimeOrder
from maskwatch import kafka, reading
from maskwatch.command import Progress, run
from maskwatch.errors import BrokerError, SettingsError
from maskwatch.kafka import Record
from maskwatch.messages import is_camera_id
from maskwatch.quantities import say_duration, say_size
from maskwatch.recording.contents import Contents
from maskwatch.recording.format import Recorded
from maskwatch.recording.info import show
from maskwatch.recording.writing import RecordingWriter
from maskwatch.settings import Settings
from maskwatch.topics import TOPICS, Name, Topic, choose, partitions, require

POLL_MS = 200
FLUSH_S = 1.0
"""A recorder that is killed loses this much at most, or one chunk."""

SILENCE_S = 3.0
"""After this long without a record the broker is asked whether it is still there."""

PATIENCE_S = 5.0
"""For so long the others wait for a partition that is behind and gives nothing; then the order of times suffers."""

_NAMED = 3


class Order(NamedTuple):
    """What is to be recorded, and for how long."""

    file: Path
    topics: tuple[Topic, ...]
    cameras: frozenset[str] = frozenset()
    """Only these, on topics whose key is the camera; all if empty."""
    back_s: float = 0.0
    """How far back to begin, in seconds; 0 from now on, infinity from what the topics still hold."""
    follow: bool = True
    """Go on with what comes; else end with what the topics held at the start."""
    max_bytes: int = 2 * 10**9
    """Size of the file at most."""
    duration_s: float | None = None
    """From the first record, or from now on, at most."""
    force: bool = False
    """Replace what lies at the file's path."""


class Outcome(NamedTuple):
    """What was recorded."""

    contents: Contents
    file_bytes: int
    why: str
    """Why it ended, for people."""


def order(  # noqa: PLR0913  # the command's options
    file: Path,
    names: Sequence[str],
    *,
    every: bool = False,
    cameras: Sequence[str] = (),
    since_s: float | None = None,
    from_beginning: bool = False,
    follow: bool = False,
    max_bytes: int = 2 * 10**9,
    duration_s: float | None = None,
    force: bool = False,
) -> Order:
    """Make an order from what a person asked for.

    Parameters
    ----------
    names
        Topics without the prefix; live frames without any.
    every
        All topics.
    since_s, from_beginning
        How far back to begin; from now on without either.
    follow
        Having begun in the past, go on with what comes.

    Raises
    ------
    SettingsError
        If a name is unknown or two wishes contradict each other.
    """
    if every and names:
        raise SettingsError("give --topic or --all, not both")
    if since_s is not None and from_beginning:
        raise SettingsError("give --since or --from-beginning, not both")
    for camera in cameras:
        if not is_camera_id(camera):
            raise SettingsError(f"camera id {camera!r}: only a-z, 0-9 and hyphens, such as «door-2»")
    back_s = math.inf if from_beginning else since_s or 0.0
    return Order(
        file,
        TOPICS if every else choose(names or [Name.FRAMES_LIVE]),
        frozenset(cameras),
        back_s,
        follow or not back_s,
        max_bytes,
        duration_s,
        force,
    )


def command(settings: Settings, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401  # those of `order`
    """Record what the command line asks for, show how far it is, and print what was recorded."""
    asked = order(**options)
    with Progress("recording") as progress:
        outcome = run("record", lambda settings, stop: record(settings, asked, stop, progress), settings)
    if as_json:
        show(asked.file, as_json=True)
        return
    contents = outcome.contents
    if not contents.records:
        names = ", ".join(topic.name for topic in asked.topics)
        click.echo(f"maskwatch: nothing came over {names}; «maskwatch doctor» tells what is running", err=True)
    click.echo(
        f"recorded {contents.told()} over {say_duration(contents.seconds)}: "
        f"{say_size(outcome.file_bytes)} in {asked.file} ({outcome.why})"
    )


async def record(settings: Settings, asked: Order, stop: asyncio.Event, progress: Progress) -> Outcome:
    """Record until told to stop, until a limit, or until the end of what was asked for.

    Parameters
    ----------
    settings
        Name the cluster and the prefix.
    asked
        What to record.
    stop
        Ends the recording; the file is whole then.
    progress
        Is shown how far it is.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached at the start, refuses us, or lacks a topic. Later outages are waited for.
    RecordingWriteError
        If the file exists or cannot be written on; what was written is kept.
    """
    await require(settings, [topic.name for topic in asked.topics])
    chosen = [partition for topic in asked.topics for partition in partitions(settings, topic.name)]
    consumer = kafka.lone_consumer(settings, chosen)
    async with kafka.running(consumer, settings):
        try:
            span = await reading.span(consumer, settings, chosen, asked.back_s)
            with RecordingWriter(asked.file, force=asked.force) as writer:
                recording = _Recording(settings, asked, writer, progress)
                watch = asyncio.create_task(recording.watch(consumer, chosen[0]))
                try:
                    why = await recording.run(consumer, span, stop)
                finally:
                    watch.cancel()
                    await asyncio.gather(watch, return_exceptions=True)
                await asyncio.to_thread(writer.close)
        except KafkaError as error:
            raise BrokerError(f"Kafka at {settings.bootstrap_servers} cannot be read: {error!r}") from error
    return Outcome(writer.contents, asked.file.stat().st_size, why)


class _Recording:
    """One recording under way."""

    def __init__(self, settings: Settings, asked: Order, writer: RecordingWriter, progress: Progress) -> None:
        self._settings = settings
        self._asked = asked
        self._writer = writer
        self._progress = progress
        prefix = settings.kafka.topic_prefix
        self._topics = {f"{prefix}{topic.name}": topic for topic in asked.topics}
        self._began = self._heard = time.monotonic()
        self._flushed = self._began
        self._first_ms: int | None = None
        self._away = False

    async def run(self, consumer: AIOKafkaConsumer, span: reading.Span, stop: asyncio.Event) -> str:
        """Record, and say why it ended."""
        for partition, offset in span.starts.items():
            consumer.seek(partition, offset)
        self._progress.say(self._opening())
        order = TimeOrder(span.starts)
        moved = time.monotonic()
        while True:
            behind = await self._read(consumer, span, order)
            ready = list(order.take(() if stop.is_set() else behind))
            if ready:
                moved = time.monotonic()
            elif time.monotonic() - moved > PATIENCE_S:
                ready = list(order.take(()))
            why = await asyncio.to_thread(self._write, ready)
            self._show()
            if why:
                return why
            if not order and (stop.is_set() or not behind) and (why := self._ended(stopped=stop.is_set())):
                return why

    async def _read(self, consumer: AIOKafkaConsumer, span: reading.Span, order: TimeOrder) -> list[TopicPartition]:
        """Read what comes, and return which partitions hold more."""
        for partition, records in (await consumer.getmany(*order.empty(), timeout_ms=POLL_MS)).items():
            self._hear()
            # Without following, what came after the start is another recording's.
            order.add(partition, [r for r in records if self._asked.follow or r.offset < span.ends[partition]])
        return await _behind(consumer, span.ends, follow=self._asked.follow)

    def _ended(self, *, stopped: bool) -> str:
        """Say why a recording ends that has read all there is by now; empty if it does not."""
        if stopped:
            return "stopped"
        if not self._asked.follow:
            return "all that the topics held"
        if self._asked.duration_s is not None and self._elapsed() >= self._asked.duration_s:
            return self._limit_of_duration()
        return ""

    async def watch(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        """Say when the broker is away, and when it is back; the client itself keeps silent and tries again."""
        while True:
            await asyncio.sleep(SILENCE_S / 3)
            if time.monotonic() - self._heard < SILENCE_S:
                continue
            try:
                async with asyncio.timeout(self._settings.kafka.timeout_s):
                    await consumer.end_offsets([partition])
            except (KafkaError, TimeoutError, OSError):
                # Meanwhile a record may have come.
                if not self._away and time.monotonic() - self._heard >= SILENCE_S:
                    self._away = True
                    self._progress.say(f"Kafka at {self._settings.bootstrap_servers} does not answer; waiting for it")
            else:
                self._hear()

    def _hear(self) -> None:
        self._heard = time.monotonic()
        if self._away:
            self._away = False
            self._progress.say("Kafka answers again; recording goes on")

    def _write(self, records: Sequence[Record]) -> str:
        """Write records, in a thread of its own; say why the recording ends with them, if it does."""
        for record in records:
            topic = self._topics[record.topic]
            if self._asked.cameras and topic.key == "camera" and _key(record) not in self._asked.cameras:
                continue
            if self._asked.duration_s is not None and not topic.compacted:
                # What a compacted topic holds may be weeks old: the span of a recording is that of what happens.
                self._first_ms = record.timestamp if self._first_ms is None else self._first_ms
                if record.timestamp - self._first_ms >= self._asked.duration_s * 1000:
                    return self._limit_of_duration()
            recorded = Recorded(
                topic.name.value,
                record.partition,
                record.offset,
                record.timestamp,
                record.key,
                record.value,
                tuple(record.headers),
            )
            if self._writer.size_with(recorded) > self._asked.max_bytes:
                return f"--max-size {say_size(self._asked.max_bytes)} is reached"
            self._writer.write(recorded)
        if time.monotonic() - self._flushed >= FLUSH_S:
            self._flushed = time.monotonic()
            self._writer.flush()
        return ""

    def _elapsed(self) -> float:
        """Return for how long this recording lasts by now, in seconds, counted from where it began in the past."""
        since = time.monotonic() - self._began
        if math.isinf(self._asked.back_s):
            return since if self._first_ms is None else max(since, time.time() - self._first_ms / 1000)
        return since + self._asked.back_s

    def _limit_of_duration(self) -> str:
        return f"--duration {say_duration(self._asked.duration_s or 0)} is over"

    def _opening(self) -> str:
        names = ", ".join(topic.name for topic in self._asked.topics[:_NAMED])
        more = len(self._asked.topics) - _NAMED
        names = f"{names} and {more} more topics" if more > 0 else names
        limits = [say_size(self._asked.max_bytes)]
        if self._asked.duration_s is not None:
            limits.append(say_duration(self._asked.duration_s))
        ends = "Ctrl-C ends it" if self._asked.follow else "it ends with what they hold now"
        return f"recording {names} into {self._asked.file}, {' or '.join(limits)} at most; {ends}"

    def _show(self) -> None:
        if not self._progress.due:
            return
        contents, size = self._writer.contents, self._writer.bytes
        share = size / self._asked.max_bytes
        told = [f"{say_size(size)} of {say_size(self._asked.max_bytes)}", contents.told()]
        if self._asked.duration_s is None:
            told.insert(0, say_duration(contents.seconds))
        else:
            seconds = self._elapsed() if not self._asked.back_s else contents.seconds
            share = max(share, seconds / self._asked.duration_s)
            told.insert(0, f"{say_duration(seconds)} of {say_duration(self._asked.duration_s)}")
        self._progress.show(min(1.0, share), " · ".join([*told, *(["Kafka is away"] if self._away else [])]))


async def _behind(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], *, follow: bool
) -> list[TopicPartition]:
    """Return which of the partitions are known to hold records that were not read yet."""

    def known(partition: TopicPartition) -> int:
        # What the last answer of the broker told, before there was one None or -1.
        told = (consumer.last_stable_offset(partition) or 0) if follow else 0
        return max(ends[partition], told)

    return [partition for partition in ends if await consumer.position(partition) < known(partition)]


def _key(record: Record) -> str:
    return (record.key or b"").decode(errors="replace")
