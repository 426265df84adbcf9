"""Publish a recording again: its frames at the pace they came, faster, or as fast as Kafka takes them.

To the pipeline a replayed frame is a new frame, of a session of its own; its picture, its times and every other header
are as recorded. The console shows the cameras while it lasts. A file that is cut off is replayed up to the cut.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import click

from maskwatch import kafka
from maskwatch.command import Progress, run
from maskwatch.errors import RecordingCutError, RecordingError
from maskwatch.messages import Camera
from maskwatch.quantities import say_count, say_duration
from maskwatch.recording.format import Recorded
from maskwatch.recording.reading import read, summary
from maskwatch.settings import Settings
from maskwatch.topics import TOPICS, Name, require
from producers.claims import SOURCE, Claims
from producers.publishing import StatePublisher
from producers.replay_plan import FRAME_TOPICS, Order, Plan, order, plan
from producers.rewriting import Rewriter
from producers.sending import Counts, DurableQueue, LiveLanes, Outgoing

READ_RECORDS = 64
READ_BYTES = 4 * 2**20
_FASTEST = 60.0
_TOPICS = {topic.name.value: topic for topic in TOPICS}


class Outcome(NamedTuple):
    """What was replayed."""

    counts: Counts
    seconds: float
    cut: str
    """Why records at the end may be missing; empty if the file was whole."""


def command(settings: Settings, **options: Any) -> None:  # noqa: ANN401  # those of `order`
    """Replay what the command line asks for, show how far it is, and print what was replayed."""
    asked = order(**options)
    with Progress("replaying") as progress:
        outcome = run("replay", lambda settings, stop: replay(settings, asked, stop, progress), settings)
    click.echo(told(outcome))


def told(outcome: Outcome) -> str:
    """Say in one line what was replayed."""
    counts = outcome.counts
    parts = [f"replayed {say_count(counts.frames, 'frame')} of {say_count(len(counts.cameras), 'camera')}"]
    if counts.others:
        parts.append(f" and {say_count(counts.others, 'other record')}")
    parts.append(f" in {say_duration(outcome.seconds)}; {counts.unacknowledged} not acknowledged")
    if counts.late:
        parts.append(f", {counts.late} too late and dropped")
    return "".join(parts)


async def replay(settings: Settings, asked: Order, stop: asyncio.Event, progress: Progress) -> Outcome:
    """Publish a recording until its end, or until told to stop.

    Parameters
    ----------
    settings
        Name the cluster and the prefix.
    asked
        What to replay, and how.
    stop
        Ends the replay; cameras are taken back then.
    progress
        Is shown how far it is.

    Raises
    ------
    RecordingError
        If the file is no recording. One that is cut off is replayed up to the cut.
    SettingsError
        If the file holds nothing of what is asked for, or another process shows one of its cameras.
    BrokerError
        If Kafka cannot be reached at the start. Later, live frames are lost and everything else waits.
    """
    found = await asyncio.to_thread(summary, asked.file)
    if found.cut and not found.contents.records:
        raise RecordingError(f"{found.cut}: nothing in it can be replayed")
    planned = plan(asked, found.contents)
    await require(settings, {*planned.into.values(), Name.CAMERAS, Name.CAMERA_STATUS})
    process = f"replay-{secrets.token_hex(4)}"
    async with (
        kafka.running(kafka.durable_producer(settings), settings) as durable,
        kafka.running(kafka.live_producer(settings), settings) as live,
    ):
        claims = Claims(settings, StatePublisher(durable, settings, process), process)
        replaying = _Replay(settings, asked, planned, claims, progress)
        queue = DurableQueue(durable, replaying.counts, replaying.tell, stop)
        lanes = LiveLanes(live, replaying.counts, replaying.tell)
        try:
            await claims.begin(_wishes(asked, planned, found.contents.seconds), progress.say)
            progress.say(f"replaying {asked.file}; Ctrl-C ends it")
            began = time.monotonic()
            cut = await replaying.run(queue, lanes, stop)
            seconds = time.monotonic() - began
        finally:
            await claims.end("the replay was stopped" if stop.is_set() else "the replay has ended")
    return Outcome(replaying.counts, seconds, cut)


class _Replay:
    """One replay under way."""

    def __init__(self, settings: Settings, asked: Order, planned: Plan, claims: Claims, progress: Progress) -> None:
        self.counts = Counts()
        self._prefix = settings.kafka.topic_prefix
        self._asked = asked
        self._plan = planned
        self._claims = claims
        self._progress = progress
        self._lost: set[str] = set()
        self._done = 0
        self._acknowledged = True

    async def run(self, queue: DurableQueue, lanes: LiveLanes, stop: asyncio.Event) -> str:
        """Replay, and say why records at the end may be missing."""
        cut = ""
        for number in count():
            try:
                await self._round(queue, lanes, stop)
            except RecordingCutError as error:
                cut = str(error)
                if not number:
                    self._progress.say(f"maskwatch: {cut}")
            if stop.is_set() or not self._asked.loop:
                break
        await lanes.finish()
        await queue.finish()
        return cut

    def tell(self, acknowledged: bool) -> None:  # noqa: FBT001  # a callback's only argument
        """Say when Kafka stops to acknowledge, and when it does so again."""
        if acknowledged != self._acknowledged:
            self._acknowledged = acknowledged
            self._progress.say("Kafka acknowledges again" if acknowledged else "Kafka does not acknowledge")

    async def _round(self, queue: DurableQueue, lanes: LiveLanes, stop: asyncio.Event) -> None:
        rewriter = Rewriter(self._asked.renamed)
        pace = _Pace(self._asked.speed)
        async with aclosing(_records(self._asked.file)) as records:
            async for record in records:
                if stop.is_set() or not await self._one(record, rewriter, pace, queue, lanes, stop):
                    return

    async def _one(  # noqa: PLR0913, PLR0917  # what a round is made of
        self,
        record: Recorded,
        rewriter: Rewriter,
        pace: "_Pace",
        queue: DurableQueue,
        lanes: LiveLanes,
        stop: asyncio.Event,
    ) -> bool:
        """Publish a record when it is due; False if told to stop before."""
        into = self._plan.into.get(record.topic)
        if into is None or not self._wanted(record):
            return True
        # A compacted topic's records tell how things stood, not when something happened.
        due = 0.0 if _TOPICS[record.topic].compacted else pace.due(record.timestamp_ms)
        if due and not await _slept_until(due, stop):
            return False
        outgoing = self._outgoing(record, into, rewriter)
        self._done += 1
        if into is Name.FRAMES_LIVE and not self._held((outgoing.key or b"").decode(errors="replace")):
            return True
        if into is Name.FRAMES_LIVE and self._asked.speed is not None:
            lanes.put(outgoing, due)
        else:
            await queue.put(outgoing)
        self._show()
        return True

    def _wanted(self, record: Recorded) -> bool:
        if not self._asked.cameras or _TOPICS[record.topic].key != "camera":
            return True
        return (record.key or b"").decode(errors="replace") in self._asked.cameras

    def _held(self, camera: str) -> bool:
        if self._claims.holds(camera):
            return True
        if camera not in self._lost:
            self._lost.add(camera)
            self._progress.say(f"camera «{camera}» was taken over or removed; its frames are left out from now on")
        return False

    def _outgoing(self, record: Recorded, into: Name, rewriter: Rewriter) -> Outgoing:
        topic = f"{self._prefix}{into}"
        frame = into in FRAME_TOPICS
        if not frame or self._asked.as_recorded:
            return Outgoing(topic, record.key, record.value, record.headers, frame)
        return Outgoing(topic, rewriter.key(record), record.value, rewriter.headers(record), frame)

    def _show(self) -> None:
        if not self._progress.due:
            return
        counts = self.counts
        text = f"{say_count(counts.frames, 'frame')} of {say_count(len(counts.cameras), 'camera')}"
        if counts.unacknowledged or counts.late:
            text += f" · {counts.unacknowledged} not acknowledged, {counts.late} late"
        share = self._done % self._plan.records if self._asked.loop else self._done
        self._progress.show(min(1.0, share / max(1, self._plan.records)), text)


class _Pace:
    """When each record is due on the loop's clock."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._first: tuple[float, int] | None = None

    def due(self, timestamp_ms: int) -> float:
        """Return a time of the loop's clock; now, if the pace is as fast as possible."""
        now = asyncio.get_running_loop().time()
        if self._speed is None:
            return now
        if self._first is None:
            self._first = now, timestamp_ms
        began, first_ms = self._first
        return began + (timestamp_ms - first_ms) / 1000 / self._speed


async def _slept_until(due: float, stop: asyncio.Event) -> bool:
    """Wait for a time of the loop's clock; False if told to stop before."""
    left = due - asyncio.get_running_loop().time()
    if left <= 0:
        return True
    try:
        async with asyncio.timeout(left):
            await stop.wait()
    except TimeoutError:
        return True
    return False


async def _records(path: Path) -> AsyncGenerator[Recorded, None]:
    """Yield the records of a file, read in a thread; raises what reading raises, after all that came before."""
    reading = read(path)
    try:
        while True:
            some, error = await asyncio.to_thread(_some, reading)
            for record in some:
                yield record
            if error is not None:
                raise error
            if not some:
                return
    finally:
        reading.close()


def _some(reading: Iterator[Recorded]) -> tuple[list[Recorded], RecordingCutError | None]:
    some: list[Recorded] = []
    size = 0
    try:
        for record in reading:
            some.append(record)
            size += len(record.value or b"")
            if len(some) >= READ_RECORDS or size >= READ_BYTES:
                break
    except RecordingCutError as error:
        return some, error
    return some, None


def _wishes(asked: Order, planned: Plan, seconds: float) -> list[Camera]:
    """Return what to wish for: each camera that is shown live, at the rate that it is shown with."""
    return [
        Camera(
            id=camera,
            source=f"{SOURCE}{asked.file.name}",
            name=f"{camera} (replay)",
            rate=min(_FASTEST, max(0.1, round(frames / seconds * (asked.speed or _FASTEST), 1))) if seconds else 1.0,
            record_rate=0,
        )
        for camera, frames in planned.cameras.items()
    ]
