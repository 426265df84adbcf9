"""The retrainer: starts a round of the learning loop when it is time, as a process of its own, and says how far it is.

The one that owns the only partition of ``commands.v1`` works, others wait to take over. What it knows is in topics:
labels, episodes, wishes and ``runs.v1``, its own record of every round. A round whose process ended before its time,
or whose retrainer did, is started again and goes on where it was.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from consumers import round_process
from consumers.mirroring import Mirroring
from consumers.retrain_policy import Known, due, newest
from maskwatch import kafka, reading, rounds, training_packages
from maskwatch.drift_messages import Episode
from maskwatch.errors import BrokerError, MessageError
from maskwatch.kafka import Record
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import decode, encode
from maskwatch.model_messages import ModelCommand, Run, RunProgress, Verdict
from maskwatch.settings import Settings
from maskwatch.topics import Name, partitions
from maskwatch.worker import notify_ready

POLL_MS = 1000
SAY_EVERY_S = 5.0
RETRY_S = 60.0
"""Before a round that could not reach Kafka or the store is tried again, and as much more each time."""

_PLAIN = re.compile(r"[A-Za-z0-9-]{1,100}")
"""What a round may be called: its folder has its name, and must not lie elsewhere."""

MOST_COMMANDS = 100
"""That are remembered; whoever may write to the topic must not fill our memory."""

log = structlog.get_logger(__name__)


async def keep_learning(settings: Settings, stop: asyncio.Event) -> None:
    """Start rounds until told to stop; one that is under way then goes on at the next start.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached at the start, or refuses us.
    """
    async with (
        kafka.running(kafka.durable_producer(settings), settings) as producer,
        kafka.running(
            kafka.group_consumer(settings, "retrain", None, "earliest", kafka.PATIENT_WAIT_MS), settings
        ) as consumer,
    ):
        kafka.subscribe(consumer, settings, [Name.COMMANDS])
        notify_ready("rounds start when there are labels enough")
        retrainer = Retrainer(settings, producer)
        async with _following(retrainer, settings):
            await _work(consumer, retrainer, settings, stop)


async def _work(consumer: AIOKafkaConsumer, retrainer: "Retrainer", settings: Settings, stop: asyncio.Event) -> None:
    """Let rounds run while the commands are ours; the group is asked all the while, or it would take us for dead."""
    (commands,) = partitions(settings, Name.COMMANDS)
    leave = asyncio.Event()
    looking: asyncio.Task[None] | None = None
    try:
        while not stop.is_set():
            await _wait(consumer, settings)
            if looking is not None and looking.done():
                await looking
                looking = None
            mine = commands in consumer.assignment()
            if looking is None and mine and retrainer.knows:
                leave.clear()
                looking = asyncio.create_task(retrainer.look(leave))
            elif not mine:
                # Whoever owns them now goes on with the round.
                leave.set()
    finally:
        leave.set()
        if looking is not None:
            await looking


async def _wait(consumer: AIOKafkaConsumer, settings: Settings) -> None:
    try:
        read = await consumer.getmany(timeout_ms=POLL_MS)
    except KafkaError as error:
        raise BrokerError(f"{Name.COMMANDS} at {settings.bootstrap_servers} cannot be read: {error!r}") from error
    # What they say is followed with the rest: here it only counts who owns them.
    done = {partition: records[-1].offset + 1 for partition, records in read.items()}
    if why := await kafka.commit(consumer, done, settings):
        log.warning("offsets not committed", error=why)


@asynccontextmanager
async def _following(retrainer: "Retrainer", settings: Settings) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(work) for work in (retrainer.follow(settings), Mirroring(settings).run())]
        yield
        for task in following:
            task.cancel()


class Retrainer:
    """What is known of labels, drift, wishes and rounds; and the round that is under way.

    Parameters
    ----------
    settings
        The whole tree.
    producer
        Durable and running.
    """

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self._settings = settings
        self._producer = producer
        self._labels: dict[str, datetime] = {}
        """When each frame was labelled that counts."""
        self._runs: dict[str, Run] = {}
        self._episodes: dict[str, Episode] = {}
        self._asked: ModelCommand | None = None
        self._evaluations: dict[str, ModelCommand] = {}
        self._stops: dict[str, ModelCommand] = {}
        self._halt = asyncio.Event()
        self._under_way = ""
        self._caught_up = asyncio.Event()
        self._told_missing = False

    @property
    def knows(self) -> bool:
        """Whether all that was there at the start has been read."""
        return self._caught_up.is_set()

    async def follow(self, settings: Settings) -> None:
        """Read labels, episodes, rounds and wishes for ever."""
        names = (Name.LABELS, Name.DRIFT, Name.RUNS, Name.COMMANDS)
        places = {place: float("inf") for name in names for place in partitions(settings, name)}
        async for record in reading.follow_all(settings, places, self._caught_up):
            self.take(record)

    def take(self, record: Record) -> None:
        """Take a record of the topics that are followed; one that cannot be read is passed over."""
        name = record.topic.removeprefix(self._settings.kafka.topic_prefix)
        key = (record.key or b"").decode(errors="replace")
        try:
            if name == Name.LABELS:
                label = decode(record.value, FrameLabel) if record.value is not None else None
                self._labels.pop(key, None)
                if label is not None and label.counts:
                    self._labels[key] = label.at
            elif name == Name.DRIFT:
                episode = decode(record.value, Episode)
                # Labels may confirm one later, and what tells of it is told elsewhere.
                self._episodes[episode.id] = msgspec.structs.replace(episode, shifts=())
            elif name == Name.COMMANDS:
                self._hear(decode(record.value, ModelCommand))
            else:
                run = decode(record.value, Run)
                if _PLAIN.fullmatch(run.id):
                    self._runs[run.id] = run
        except MessageError as error:
            log.warning("malformed record skipped", topic=record.topic, offset=record.offset, error=str(error))

    def _hear(self, command: ModelCommand) -> None:
        if command.kind == "retrain":
            self._asked = command
        elif command.kind == "evaluate" and command.model is not None and _PLAIN.fullmatch(command.id):
            self._evaluations[command.id] = command
            while len(self._evaluations) > MOST_COMMANDS:
                del self._evaluations[next(iter(self._evaluations))]
        elif command.kind == "stop":
            self._stops[command.run] = command
            while len(self._stops) > MOST_COMMANDS:
                del self._stops[next(iter(self._stops))]
            if command.run == self._under_way:
                self._halt.set()

    async def look(self, stop: asyncio.Event) -> None:
        """Start a round or an evaluation if it is time, or go on with one, and wait for its end."""
        going = next((run for run in self._runs.values() if run.state == "running"), None)
        if going is not None:
            await self._run(
                msgspec.structs.replace(going, attempts=going.attempts + 1, updated=datetime.now(UTC)), stop
            )
            return
        tried = sorted((run for run in self._runs.values() if run.kind == "retrain"), key=lambda run: run.started)
        # One that could not even begin answers who asked for it, and leaves drift, labels and the week to the next.
        last = next((run for run in reversed(tried) if run.attempts), None)
        now = datetime.now(UTC)
        labels = len(self._labels)
        wanted = next((one for one in self._evaluations.values() if one.id not in self._runs), None)
        if wanted is not None:
            why = wanted.why or "asked for"
            run = Run(
                id=wanted.id, state="running", started=now, updated=now, why=why, labels=labels, kind="evaluate",
                progress=RunProgress(model=wanted.model),
            )  # fmt: skip
            await self._start(run, stop, waited_for=True)
            return
        # By its id: the clock of whoever asks may be another one.
        asked = self._asked if self._asked and all(run.asked != self._asked.id for run in tried) else None
        episode = newest(self._episodes.values(), self._settings.retrain)
        new = sum(last is None or at > last.started for at in self._labels.values())
        known = Known(new, episode, asked.why if asked else None, last)
        why = due(known, self._settings.retrain, now)
        if why:
            run = Run(
                id=_fresh(f"{now:%Y%m%d-%H%M%S}", self._runs), state="running", started=now, updated=now, why=why,
                labels=labels, new_labels=new, asked=asked.id if asked else "",
            )  # fmt: skip
            await self._start(run, stop, waited_for=asked is not None)

    async def _start(self, run: Run, stop: asyncio.Event, *, waited_for: bool) -> None:
        if training_packages.are_here():
            self._told_missing = False
            await self._run(run, stop)
            return
        if not self._told_missing:
            self._told_missing = True
            log.warning(
                "a round is due, and what trains is not installed", why=run.why, remedy=training_packages.remedy()
            )
        if waited_for:
            # Whoever waits gets an answer, and the labels count for the next one.
            said = f"what trains is not installed: {training_packages.remedy()}"
            await self._tell(msgspec.structs.replace(run, state="failed", said=said, new_labels=0, attempts=0))

    async def _run(self, run: Run, stop: asyncio.Event) -> None:
        self._halt.clear()
        self._under_way = run.id
        folder = self._settings.data_dir / "rounds" / run.id
        if run.id in self._stops:
            await self._give_up(run, folder)
            return
        if run.attempts > self._settings.retrain.attempts:
            await self._fail(run, folder, "it was started too often")
            return
        log.info("round", run=run.id, kind=run.kind, why=run.why, attempt=run.attempts)
        # 1. It is known before it runs: whoever takes over goes on with it.
        await self._tell(run)
        # 2. It runs.
        process = await round_process.begin(run, folder)
        saying = asyncio.create_task(self._say(run, process, folder))
        output = asyncio.create_task(round_process.output(process))
        try:
            await _first_of([process.wait, stop.wait, self._halt.wait])
        finally:
            if process.returncode is None:
                await round_process.end(process)
            run = await saying
            told = await output
        code = await process.wait()
        if code == 0:
            # 3. What came of it is known.
            verdict = _verdict(told)
            promote = verdict.promote if verdict else None
            await self._tell(
                msgspec.structs.replace(
                    run, state="finished", promote=promote, verdict=verdict, updated=datetime.now(UTC)
                )
            )
        elif run.id in self._stops:
            await self._give_up(run, folder)
        elif stop.is_set():
            return
        elif round_process.goes_on(code):
            await self._tell(msgspec.structs.replace(run, updated=datetime.now(UTC)))
            if code in round_process.AWAY:
                await _first_of([stop.wait, self._halt.wait], RETRY_S * run.attempts)
        else:
            await self._fail(run, folder, run.said)

    async def _give_up(self, run: Run, folder: Path) -> None:
        by = self._stops[run.id].by
        await self._fail(msgspec.structs.replace(run, stopped_by=by), folder, f"stopped by {by}")

    async def _fail(self, run: Run, folder: Path, said: str) -> None:
        """Tell that a round will not go on; people's pictures lie in its folder, where no erasure would find them."""
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        await self._tell(msgspec.structs.replace(run, state="failed", said=said, updated=datetime.now(UTC)))

    async def _say(self, run: Run, process: asyncio.subprocess.Process, folder: Path) -> Run:
        """Tell now and then how far the round is, and what it said last; return the last of both."""
        said = round_process.Said(run.said)
        lines = asyncio.create_task(round_process.last_line(process, said))
        while True:
            await asyncio.wait({lines}, timeout=SAY_EVERY_S)
            now = msgspec.structs.replace(run, said=said.text, progress=rounds.read(folder) or run.progress)
            changed, run = now != run, msgspec.structs.replace(now, updated=datetime.now(UTC))
            if lines.done():
                return run
            if changed:
                try:
                    await self._tell(run)
                except BrokerError as error:
                    # The round goes on without Kafka for hours, and says how far it is once there is one.
                    log.warning("how far the round is was not told", run=run.id, error=str(error))

    async def _tell(self, run: Run) -> None:
        self._runs[run.id] = run
        value, headers = encode(run, kind="maskwatch.run.v1", source="/retrain", id=run.id, time=run.updated)
        await kafka.send(self._producer, self._settings, Name.RUNS, key=run.id, value=value, headers=headers)


async def _first_of(waits: Iterable[Callable[[], Awaitable[object]]], timeout_s: float | None = None) -> None:
    """Wait until the first of several has come, and let go of the others."""
    waiting = [asyncio.ensure_future(wait()) for wait in waits]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _fresh(name: str, taken: Container[str]) -> str:
    """Return a name that no other round has: two may begin within a second.

    Examples
    --------
    >>> _fresh("r1", ["r1", "r1-2"])
    'r1-3'
    """
    return next(one for one in (name, *(f"{name}-{number}" for number in range(2, 1000))) if one not in taken)


def _verdict(told: bytes) -> Verdict | None:
    try:
        return msgspec.json.decode(told, type=Verdict)
    except msgspec.MsgspecError:
        return None
