import asyncio
import contextlib
import io
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from rich.console import Console

from consumers.recorder import Order, Outcome, order, record
from maskwatch import kafka as clients
from maskwatch.command import Progress
from maskwatch.errors import BrokerError, RecordingWriteError, SettingsError
from maskwatch.recording.format import Recorded
from maskwatch.recording.reading import read, summary
from maskwatch.settings import Settings
from maskwatch.topics import TOPICS, Name, choose
from tests.support.command import maskwatch
from tests.support.recordings import frame
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import read_all
from tests.support.waiting import eventually

LIVE = choose([Name.FRAMES_LIVE])


@pytest.fixture
async def live(settings: Settings, create_topics: CreateTopics) -> Settings:
    await create_topics(settings, Name.FRAMES_LIVE)
    return settings


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    async with clients.running(clients.durable_producer(settings), settings) as running:
        yield running


async def publish(producer: AIOKafkaProducer, settings: Settings, *found: Recorded) -> None:
    """Write records as they would come, acknowledged."""
    for one in found:
        await producer.send_and_wait(
            f"{settings.kafka.topic_prefix}{one.topic}", one.value, one.key, headers=list(one.headers)
        )


class Spoken:
    """What a progress says, on a terminal or not."""

    def __init__(self, *, terminal: bool = False) -> None:
        self._file = io.StringIO()
        self.progress = Progress("recording", Console(file=self._file, force_terminal=terminal, width=200))

    @property
    def text(self) -> str:
        return self._file.getvalue()


class Recording:
    """A recording under way."""

    def __init__(self, settings: Settings, asked: Order, *, terminal: bool = False) -> None:
        self.stop = asyncio.Event()
        self.spoken = Spoken(terminal=terminal)
        self.task: asyncio.Task[Outcome] = asyncio.create_task(self._run(settings, asked))

    async def _run(self, settings: Settings, asked: Order) -> Outcome:
        with self.spoken.progress:
            return await record(settings, asked, self.stop, self.spoken.progress)

    async def end(self) -> Outcome:
        self.stop.set()
        return await self.task


@contextlib.asynccontextmanager
async def recording(settings: Settings, asked: Order, *, terminal: bool = False) -> AsyncIterator[Recording]:
    """Record in the block; returns once the recorder has begun to read."""
    running = Recording(settings, asked, terminal=terminal)
    try:
        await eventually(lambda: " at most; " in running.spoken.text or running.task.done())
        yield running
    finally:
        running.stop.set()
        await asyncio.gather(running.task, return_exceptions=True)


def offsets(path: Path) -> list[tuple[bytes | None, int]]:
    return [(one.key, one.offset) for one in read(path)]


async def held(settings: Settings, file: Path, **options: Any) -> Outcome:  # noqa: ANN401  # an order's options
    """Record what the topics hold."""
    asked = order(file, options.pop("names", ()), from_beginning=True, **options)
    with Spoken().progress as progress:
        return await record(settings, asked, asyncio.Event(), progress)


async def test_from_now_on_frames_are_recorded_as_they_are(
    live: Settings, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    await publish(producer, live, frame("door", 0))
    file = tmp_path / "a.mcap"
    async with recording(live, Order(file, LIVE)) as running:
        for number in range(1, 6):
            await publish(producer, live, frame("door", number), frame("hall", number))
        await eventually(lambda: summary(file).contents.records == 10)
        outcome = await running.end()
    found = list(read(file))
    assert outcome.why == "stopped"
    assert outcome.contents.told() == "10 frames of 2 cameras"
    assert outcome.file_bytes == file.stat().st_size
    assert summary(file).cut == ""
    there = {(r.partition, r.offset): r for r in await read_all(live, Name.FRAMES_LIVE)}
    assert len(there) == 11
    for one in found:
        original = there[one.partition, one.offset]
        assert (one.timestamp_ms, one.key, one.value) == (original.timestamp, original.key, original.value)
        assert one.headers == tuple(original.headers)
        assert one.topic == "frames.live.v1"
    assert [one.timestamp_ms for one in found] == sorted(one.timestamp_ms for one in found)
    assert running.spoken.text.splitlines() == [f"recording frames.live.v1 into {file}, 2 GB at most; Ctrl-C ends it"]


async def test_what_topics_hold_is_recorded_in_the_order_of_its_times(
    live: Settings, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    cameras = [f"camera-{number}" for number in range(8)]
    for number in range(10):
        await publish(producer, live, *(frame(camera, number, jpeg=os.urandom(50_000)) for camera in cameras))
    outcome = await held(live, tmp_path / "a.mcap")
    assert outcome.why == "all that the topics held"
    found = list(read(tmp_path / "a.mcap"))
    assert len(found) == 80
    times = [one.timestamp_ms for one in found]
    assert times == sorted(times)
    assert len({one.partition for one in found}) > 1
    for camera in cameras:
        mine = [one.offset for one in found if one.key == camera.encode()]
        assert mine == sorted(mine)


async def test_since_begins_in_the_past_and_follow_goes_on(
    live: Settings, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    await publish(producer, live, frame("door", 0))
    await asyncio.sleep(3)
    await publish(producer, live, frame("door", 1))
    assert (await held(live, tmp_path / "all.mcap")).contents.records == 2
    # From just after the first frame: a busy machine may take two seconds to begin, and the second is still later.
    first = next(read(tmp_path / "all.mcap"))
    since_s = time.time() - first.timestamp_ms / 1000 - 0.5
    async with recording(live, order(tmp_path / "since.mcap", (), since_s=since_s, follow=True)) as running:
        await publish(producer, live, frame("door", 2))
        await eventually(lambda: len(offsets_or_cut(tmp_path / "since.mcap")) == 2)
        await running.end()
    assert offsets(tmp_path / "since.mcap") == [(b"door", 1), (b"door", 2)]
    asked = order(tmp_path / "nothing.mcap", (), since_s=0.001)
    await asyncio.sleep(0.1)
    with Spoken().progress as progress:
        outcome = await record(live, asked, asyncio.Event(), progress)
    assert (outcome.contents.records, outcome.why) == (0, "all that the topics held")


async def test_cameras_are_chosen_by_key_and_other_topics_kept_whole(
    settings: Settings, create_topics: CreateTopics, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    await create_topics(settings)
    await publish(
        producer,
        settings,
        frame("door", 0),
        frame("hall", 0),
        Recorded("detections.v1", 0, 0, 0, b"hall", b"{}"),
        Recorded("detections.v1", 0, 0, 0, b"door", b"{}"),
        Recorded("predictions.v1", 0, 0, 0, b"upload", b"{}"),
        Recorded("scene.v1", 0, 0, 0, b"door", None),
        Recorded("frames.live.v1.dlq", 0, 0, 0, None, b""),
    )
    await held(settings, tmp_path / "all.mcap", every=True)
    assert len(list(read(tmp_path / "all.mcap"))) == 7
    await held(settings, tmp_path / "door.mcap", every=True, cameras=["door"])
    assert sorted((one.topic, one.key, one.value) for one in read(tmp_path / "door.mcap") if one.value != b"jpeg") == [
        ("detections.v1", b"door", b"{}"),
        ("predictions.v1", b"upload", b"{}"),
        ("scene.v1", b"door", None),
    ]
    await held(settings, tmp_path / "two.mcap", names=["scene.v1", "detections.v1"])
    assert {one.topic for one in read(tmp_path / "two.mcap")} == {"scene.v1", "detections.v1"}


async def test_a_recording_ends_before_its_size(live: Settings, producer: AIOKafkaProducer, tmp_path: Path) -> None:
    await publish(producer, live, *(frame("door", number, jpeg=os.urandom(40_000)) for number in range(20)))
    outcome = await held(live, tmp_path / "a.mcap", max_bytes=300_000)
    assert outcome.why == "--max-size 300 kB is reached"
    assert 200_000 < outcome.file_bytes <= 300_000
    assert [offset for _, offset in offsets(tmp_path / "a.mcap")] == list(range(outcome.contents.records))
    assert summary(tmp_path / "a.mcap").cut == ""


async def test_a_recording_ends_after_its_duration_even_if_nothing_comes(live: Settings, tmp_path: Path) -> None:
    began = time.monotonic()
    async with recording(live, order(tmp_path / "a.mcap", (), duration_s=1.0)) as running:
        outcome = await running.task
    assert time.monotonic() - began >= 1
    assert (outcome.contents.records, outcome.why) == (0, "--duration 1 s is over")


async def test_the_duration_of_what_is_held_counts_from_its_first_record(
    settings: Settings, create_topics: CreateTopics, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    await create_topics(settings, Name.FRAMES_LIVE, Name.CAMERA_STATUS)
    # What a compacted topic holds is older than what happened.
    await publish(producer, settings, Recorded(Name.CAMERA_STATUS.value, 0, 0, 0, b"door", b"{}"))
    await asyncio.sleep(1.1)
    await publish(producer, settings, frame("door", 0), frame("door", 1))
    await asyncio.sleep(1.1)
    await publish(producer, settings, frame("door", 2))
    outcome = await held(settings, tmp_path / "a.mcap", names=[Name.FRAMES_LIVE, Name.CAMERA_STATUS], duration_s=1.0)
    assert outcome.why == "--duration 1 s is over"
    assert [(one.topic, one.offset) for one in read(tmp_path / "a.mcap")] == [
        ("camera-status.v1", 0),
        ("frames.live.v1", 0),
        ("frames.live.v1", 1),
    ]


async def test_nothing_is_committed_and_no_group_is_made(
    live: Settings, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415  # only here

    await publish(producer, live, frame())
    await held(live, tmp_path / "a.mcap")
    admin = AIOKafkaAdminClient(**clients.connection_options(live))
    await admin.start()
    try:
        groups = await admin.list_consumer_groups()
    finally:
        await admin.close()
    assert not [name for name, *_ in groups if name.startswith(live.kafka.topic_prefix)]


async def test_a_file_that_exists_is_not_touched(live: Settings, producer: AIOKafkaProducer, tmp_path: Path) -> None:
    file = tmp_path / "a.mcap"
    file.write_text("precious")
    with pytest.raises(RecordingWriteError, match="exists already"):
        await held(live, file)
    assert file.read_text() == "precious"
    await publish(producer, live, frame())
    await held(live, file, force=True)
    assert len(list(read(file))) == 1


async def test_a_topic_that_the_cluster_lacks_is_an_error(live: Settings, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"has no topic detections\.v1; .*topics --create"):
        await held(live, tmp_path / "a.mcap", names=["detections.v1"])
    assert not (tmp_path / "a.mcap").exists()


async def test_a_terminal_shows_how_far_it_is(live: Settings, producer: AIOKafkaProducer, tmp_path: Path) -> None:
    asked = order(tmp_path / "a.mcap", (), duration_s=60.0, max_bytes=10**6)
    async with recording(live, asked, terminal=True) as running:
        await publish(producer, live, frame())
        await eventually(lambda: "1 frame of 1 camera" in running.spoken.text)
        assert re.search(r"s of 60 s · [\d.]+ kB of 1 MB · 1 frame of 1 camera", running.spoken.text)
        await running.end()
    asked = order(tmp_path / "b.mcap", ())
    async with recording(live, asked, terminal=True) as running:
        await eventually(lambda: re.search(r"0 s · [\d.]+ kB of 2 GB · 0 records", running.spoken.text))
        await running.end()


async def test_a_broker_that_is_away_is_waited_for(
    own_broker: Kafka, create_topics: CreateTopics, tmp_path: Path
) -> None:
    settings = own_broker.settings(kafka={"timeout_s": 3})
    await create_topics(settings, Name.FRAMES_LIVE)
    file = tmp_path / "a.mcap"
    async with recording(settings, order(file, ()), terminal=True) as running:
        async with clients.running(clients.durable_producer(settings), settings) as producer:
            await publish(producer, settings, frame("door", 0))
            await eventually(lambda: len(offsets_or_cut(file)) == 1)
        await asyncio.to_thread(own_broker.kill)
        await eventually(lambda: "does not answer; waiting for it" in running.spoken.text)
        await eventually(lambda: "Kafka is away" in running.spoken.text)
        assert not running.task.done()
        await asyncio.to_thread(own_broker.start)
        async with clients.running(clients.durable_producer(settings), settings) as producer:
            await publish(producer, settings, frame("door", 1))
        await eventually(lambda: "Kafka answers again; recording goes on" in running.spoken.text)
        await eventually(lambda: len(offsets_or_cut(file)) == 2)
        await asyncio.to_thread(own_broker.kill)
        outcome = await running.end()
    assert outcome.why == "stopped"
    assert offsets(file) == [(b"door", 0), (b"door", 1)]
    await asyncio.to_thread(own_broker.start)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"names": ["frames.live.v2"]}, r"there is no topic frames.live.v2; did you mean frames.live.v1\?"),
        ({"names": ["xyz"]}, "there is no topic xyz; «maskwatch topics» lists them all"),
        ({"names": ["scene.v1"], "every": True}, "give --topic or --all, not both"),
        ({"since_s": 5.0, "from_beginning": True}, "give --since or --from-beginning, not both"),
        ({"cameras": ["Door"]}, "camera id 'Door': only a-z"),
    ],
)
def test_wishes_that_do_not_fit_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        order(Path("a.mcap"), options.pop("names", ()), **options)


def test_without_more_an_order_is_live_frames_from_now_on() -> None:
    asked = order(Path("a.mcap"), ())
    assert (asked.topics, asked.back_s, asked.follow) == (LIVE, 0.0, True)
    assert order(Path("a.mcap"), (), every=True).topics == TOPICS
    assert not order(Path("a.mcap"), (), since_s=60.0).follow


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_the_command_line(
    live: Settings, producer: AIOKafkaProducer, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "a.mcap"
    with maskwatch(live, "record", str(file), *(["--json"] if number == signal.SIGTERM else [])) as process:
        assert process.stderr is not None
        assert (await asyncio.to_thread(process.stderr.readline)).startswith("recording frames.live.v1 into ")
        await publish(producer, live, *(frame("door", n) for n in range(3)))
        await eventually(lambda: summary(file).contents.records == 3)
        process.send_signal(number)
        output, errors = await asyncio.to_thread(process.communicate)
    assert errors == ""
    assert offsets_or_cut(file) == [0, 1, 2]
    if number == signal.SIGKILL:
        return
    assert process.returncode == 0
    assert summary(file).cut == ""
    if number == signal.SIGTERM:
        assert json.loads(output)["records"] == 3
    else:
        assert re.fullmatch(rf"recorded 3 frames of 1 camera over \S+ s: \S+ kB in {file} \(stopped\)\n", output)


def offsets_or_cut(path: Path) -> list[int]:
    found = []
    with contextlib.suppress(Exception):
        for one in read(path):
            found.append(one.offset)  # noqa: PERF401  # what came before a cut counts
    return found


async def test_the_command_line_says_when_nothing_came(live: Settings, tmp_path: Path) -> None:
    with maskwatch(live, "record", str(tmp_path / "a.mcap"), "--duration", "0.5s") as process:
        output, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    assert output.startswith("recorded 0 records over 0 s")
    assert errors.splitlines()[-1].startswith("maskwatch: nothing came over frames.live.v1; «maskwatch doctor»")
