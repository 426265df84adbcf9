"""The retrainer: starts a round of the learning loop when it is time, as a process of its own, and says how far it is.

The one that owns the only partition of ``commands.v1`` works, others wait to take over. What it knows is in topics:
labels, episodes, wishes and ``runs.v1``, its own record of every round. A round whose process ended before its time,
or whose retrainer did, is started again and goes on where it was.
"""

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from consumers.retrain_policy import Known, due
from maskwatch import kafka, reading
from maskwatch.drift_messages import Episode
from maskwatch.errors import BrokerError, MessageError
from maskwatch.kafka import Record
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import decode, encode
from maskwatch.model_messages import ModelCommand, Run, RunState, Verdict
from maskwatch.settings import Settings
from maskwatch.topics import Name, partitions
from maskwatch.worker import notify_ready

POLL_MS = 1000
SAY_EVERY_S = 5.0
STOP_S = 20.0
"""A training ends between two batches, and goes on later."""
NICE = 19
COMMAND = (sys.executable, "-m", "maskwatch", "retrain", "--here")
STOPPED = 75
"""EX_TEMPFAIL: the training was asked to stop, and goes on when it is started again."""
PACKAGES = "ultralytics"
"""What a training needs, and the base install has not."""

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
        kafka.running(kafka.group_consumer(settings, "retrain", None, "earliest"), settings) as consumer,
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
        following = tasks.create_task(retrainer.follow(settings))
        yield
        following.cancel()


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
        self._labels: dict[str, bool] = {}
        self._runs: dict[str, Run] = {}
        self._episode: datetime | None = None
        self._asked: ModelCommand | None = None
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
                self._labels[key] = bool(label and label.state == "labelled" and label.made_by != "model")
            elif name == Name.DRIFT:
                episode = decode(record.value, Episode)
                self._episode = max(self._episode or episode.started, episode.started)
            elif name == Name.COMMANDS:
                command = decode(record.value, ModelCommand)
                self._asked = command if command.kind == "retrain" else self._asked
            else:
                run = decode(record.value, Run)
                self._runs[run.id] = run
        except MessageError as error:
            log.warning("malformed record skipped", topic=record.topic, offset=record.offset, error=str(error))

    async def look(self, stop: asyncio.Event) -> None:
        """Start a round if it is time, or go on with one, and wait for its end."""
        last = max(self._runs.values(), key=lambda run: run.started, default=None)
        if last is not None and last.state == "running":
            again = msgspec.structs.replace(last, attempts=last.attempts + 1, updated=datetime.now(UTC))
            await self._run(again, stop)
            return
        now = datetime.now(UTC)
        asked = self._asked
        known = Known(
            sum(self._labels.values()), self._episode, asked.at if asked else None, asked.why if asked else "", last
        )
        why = due(known, self._settings.retrain, now)
        if not why:
            return
        if importlib.util.find_spec(PACKAGES) is None:
            if not self._told_missing:
                self._told_missing = True
                log.warning("a round is due, and what trains is not installed: «make .venv/.train», 3 GB", why=why)
            return
        await self._run(
            Run(id=f"{now:%Y%m%d-%H%M%S}", state="running", started=now, updated=now, why=why, labels=known.labels),
            stop,
        )

    async def _run(self, run: Run, stop: asyncio.Event) -> None:
        if run.attempts > self._settings.retrain.attempts:
            await self._tell(msgspec.structs.replace(run, state="failed", said="it was started too often"))
            return
        log.info("round", run=run.id, why=run.why, attempt=run.attempts)
        # 1. It is known before it runs: whoever takes over goes on with it.
        await self._tell(run)
        # 2. It runs.
        folder = self._settings.data_dir / "rounds" / run.id
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *("--out", str(folder), "--why", run.why, "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=lambda: os.nice(NICE),
            start_new_session=True,
        )
        saying = asyncio.create_task(self._say(run, process))
        output = asyncio.create_task(_all(process.stdout))
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if process.returncode is None:
                await _end(process, ended)
            run = await saying
            told = await output
        if stop.is_set() and process.returncode != 0:
            return
        # 3. What came of it is known.
        code = process.returncode
        state: RunState = "finished" if code == 0 else "running" if _may_go_on(code) else "failed"
        promote = _promote(told) if state == "finished" else None
        await self._tell(msgspec.structs.replace(run, state=state, promote=promote, updated=datetime.now(UTC)))

    async def _say(self, run: Run, process: asyncio.subprocess.Process) -> Run:
        """Tell now and then what the round said last."""
        told = 0.0
        loop = asyncio.get_running_loop()
        while process.stderr is not None and (line := await process.stderr.readline()):
            run = msgspec.structs.replace(run, said=line.decode(errors="replace").strip(), updated=datetime.now(UTC))
            if loop.time() - told >= SAY_EVERY_S:
                told = loop.time()
                await self._tell(run)
        return run

    async def _tell(self, run: Run) -> None:
        self._runs[run.id] = run
        value, headers = encode(run, kind="maskwatch.run.v1", source="/retrain", id=run.id, time=run.updated)
        await kafka.send(self._producer, self._settings, Name.RUNS, key=run.id, value=value, headers=headers)


async def _end(process: asyncio.subprocess.Process, ended: "asyncio.Task[int]") -> None:
    """Ask a round to stop, which it does between two batches; if it does not, end it."""
    process.send_signal(signal.SIGTERM)
    await asyncio.wait({ended}, timeout=STOP_S)
    if process.returncode is None:
        process.kill()
    await ended


async def _all(stream: asyncio.StreamReader | None) -> bytes:
    return await stream.read() if stream is not None else b""


def _may_go_on(code: int | None) -> bool:
    """Tell whether a round whose process ended so goes on when it is started again: it was killed, or stopped."""
    return code is not None and (code < 0 or code in {STOPPED, 128 + signal.SIGTERM, 128 + signal.SIGKILL})


def _promote(told: bytes) -> bool | None:
    try:
        return msgspec.json.decode(told, type=Verdict).promote
    except msgspec.MsgspecError:
        return None
