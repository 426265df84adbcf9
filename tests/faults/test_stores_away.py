"""The stores go away: broker, disk, Valkey. Nothing dies of it, nothing grows, and no old picture returns."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import pytest

from api.roster import KAFKA_AWAY
from api.viewers import STORE_AWAY
from maskwatch import kafka as clients
from maskwatch import topics
from maskwatch.embedded.broker import free_port
from maskwatch.messages import Prediction, decode, read_frame_headers
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.faults.conftest import Figure
from tests.support import stack
from tests.support.audience import watching, wish_for
from tests.support.disk import bytes_below, small_disk
from tests.support.stack import CreateTopics, Kafka, Valkey
from tests.support.stage import MALLOC, Stage, stages, until
from tests.support.topic import put, read_all, read_until
from tests.support.traffic import GOLDEN, Cameras, traffic
from tests.support.up import Up, prepared_home
from tests.support.weight import Weight, gains, weigh

RATE = 5
BEFORE_S = 5
AFTER_S = 5
A_TRY_S = 2.0
"""A frame is tried for a second, and that the broker is back is seen a moment after it is."""

CAP = 8 * 2**20
SEGMENT = CAP // 4
INDICES = 2**21
FLOOD_S = 12
FLOOD_RATE = 40
LOOKS_S = 14
"""The broker looks every 10 s what is too much, and removes it a second later."""

A_MINUTE = pytest.param(60.0, marks=[pytest.mark.long, pytest.mark.timeout(300)], id="a-minute")

DURABLE_CAMERA = """
from maskwatch import kafka
from maskwatch.cli import main

kafka.live_producer = kafka.durable_producer
main()
"""
"""Capture without its defence: what is not acknowledged is kept and tried again, as most programs on Kafka do."""


def whole(kafka: Kafka, valkey: Valkey) -> Settings:
    """Return settings for every stage, as `maskwatch up` gives them."""
    return kafka.settings(
        kafka={"timeout_s": 10},
        valkey={"url": valkey.url},
        api={"port": free_port(stack.PORTS)},
        detector={"instance": "one"},
        live={"instance": "one"},
    )


def scene(settings: Settings, script: Path | None = None) -> Stage:
    options = ("scene", "--id", "door", "--rate", str(RATE))
    return Stage("camera", settings, *(("camera", *options) if script else options), script=script)


async def upload(settings: Settings, name: str) -> None:
    """Upload a picture, acknowledged."""
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        await put(producer, settings, Name.FRAMES_UPLOAD, name, GOLDEN)


async def answered(settings: Settings, *names: str) -> set[str]:
    """Wait until these uploads are answered, and return all that are."""
    records = await read_until(
        settings, Name.PREDICTIONS, lambda found: set(names) <= {(record.key or b"").decode() for record in found}
    )
    return {decode(record.value, Prediction).upload for record in records}


@contextmanager
def started(home: Path) -> Iterator[Up]:
    """Run the whole stack below a folder."""
    with Up.running(prepared_home(home)) as up:
        up.wait_for("ready in ")
        yield up


class Outage(NamedTuple):
    """When the broker was away, in seconds since the epoch."""

    start: float
    end: float

    async def burst(self, settings: Settings) -> list[float]:
        """Return how long before the return each frame was captured that was published although it was too old."""
        frames = [read_frame_headers(record.headers) for record in await read_all(settings, Name.FRAMES_LIVE)]
        times = [frame.captured.timestamp() for frame in frames]
        return [self.end - at for at in times if self.start + A_TRY_S < at < self.end - A_TRY_S]


async def broker_away(kafka: Kafka, away_s: float) -> Outage:
    kafka.kill()
    start = time.time()
    await asyncio.sleep(away_s)
    await asyncio.to_thread(kafka.start)
    return Outage(start, time.time())


def note_gains(figure: Figure, before: Mapping[str, Weight], after: Mapping[str, Weight], when: str) -> None:
    """Hold what processes have gained against what is none: a little, for what is loaded at the first error."""
    for name, gained in gains(before, after).items():
        figure(f"memory that {name} gained {when}", gained.memory, "MB", most=25)
    figure(f"open files that any of them gained {when}", max(g.files for g in gains(before, after).values()), most=4)
    figure(f"threads that any of them gained {when}", max(g.threads for g in gains(before, after).values()), most=2)


@pytest.mark.parametrize("away_s", [pytest.param(8.0, id="briefly"), A_MINUTE])
async def test_a_broker_that_is_away_costs_the_frames_of_that_time_and_nothing_else(
    own_broker: Kafka, valkey: Valkey, create_topics: CreateTopics, figure: Figure, away_s: float
) -> None:
    settings = whole(own_broker, valkey)
    await create_topics(settings)
    four = (
        scene(settings),
        Stage("detector", settings, script=None, **MALLOC),
        Stage("live", settings),
        Stage("api", settings),
    )
    async with stages(*four), watching(settings.api.port, "door") as (spectator,), traffic(settings, ()) as (_, seen):
        running = {stage.name: stage.running for stage in four}
        await until(lambda: len(spectator.since(0)) > BEFORE_S * RATE, 60, "pictures come")
        # The first upload makes the detector take memory, once and for all.
        await upload(settings, "first")
        await answered(settings, "first")
        # The scene takes memory for its pictures for most of its first minute.
        await asyncio.sleep(away_s / 2)
        # Acknowledged, and most likely not answered before the broker is gone.
        await upload(settings, "before")
        lines = {stage.name: len(stage.log().splitlines()) for stage in four}
        before = weigh(running)

        own_broker.kill()
        start = time.time()
        await asyncio.sleep(away_s)
        during = weigh(running)
        said = {stage.name: stage.log().splitlines()[lines[stage.name] :] for stage in four}
        await asyncio.to_thread(own_broker.start)
        outage = Outage(start, time.time())

        fresh = await until(
            lambda: any(sight.live.frame.captured.timestamp() > outage.end for sight in spectator.sights),
            60,
            "fresh pictures come",
        )
        await asyncio.sleep(AFTER_S)
        after = weigh(running)
        arrived = seen.since(outage.start + A_TRY_S)
        await upload(settings, "after")
        answers = await answered(settings, "first", "before", "after")
        burst = await outage.burst(settings)
        assert all(stage.running.poll() is None for stage in four)
    when = "while the broker was away"
    note_gains(figure, before, during, when)
    figure(
        "memory that any of them gained until all was well again",
        max(g.memory for g in gains(before, after).values()),
        "MB",
        most=40,
    )
    figure(
        "lines that the noisiest of them logged about it, a minute", max(map(len, said.values())) / away_s * 60, most=40
    )
    assert "frames are not acknowledged and are dropped" in "\n".join(said["camera"])
    assert all("a broker of Kafka does not answer" in "\n".join(said[name]) for name in ("detector", "live", "api"))
    assert KAFKA_AWAY in {note.reason for note in spectator.notes}
    figure("frames captured while the broker was away and published afterwards", len(burst), most=0)
    oldest = max(outage.end - arrival.detection.frame.captured.timestamp() for arrival in arrived)
    figure("the oldest frame that was detected afterwards was captured before the return by", oldest, "s", most=A_TRY_S)
    first = [arrival for arrival in arrived if arrival.at < arrived[0].at + AFTER_S]
    figure(
        "detections a second in the first 5 s, of 5 that the camera gives", len(first) / AFTER_S, "1/s", most=1.2 * RATE
    )
    figure("broker back → fresh picture at the viewer", fresh, "s", most=15)
    figure(
        "uploads answered of those acknowledged before and after",
        len(answers - {"first"}),
        least=2,
    )
    assert len(spectator.openings) == 1, spectator.closings


async def frames_of_an_outage(kafka: Kafka, settings: Settings, away_s: float, script: Path | None) -> list[float]:
    """Let a camera live through an outage, and return the frames that came too late."""
    async with stages(scene(settings, script)):
        await asyncio.sleep(2)
        outage = await broker_away(kafka, away_s)
        await asyncio.sleep(AFTER_S)
        return await outage.burst(settings)


@pytest.mark.long
async def test_control_a_camera_that_keeps_what_is_not_acknowledged_returns_with_a_burst(
    own_broker: Kafka, create_topics: CreateTopics, tmp_path: Path
) -> None:
    settings = own_broker.settings()
    await create_topics(settings, Name.CAMERAS, Name.CAMERA_STATUS, Name.SCENE, Name.FRAMES_LIVE, Name.FRAMES_RECORDING)
    script = tmp_path / "durable.py"
    script.write_text(DURABLE_CAMERA)
    assert len(await frames_of_an_outage(own_broker, settings, 10, script)) >= 3


@pytest.mark.parametrize("away_s", [pytest.param(8.0, id="briefly"), A_MINUTE])
async def test_detection_goes_on_without_valkey_and_the_picture_is_back_soon_after_it(
    kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, figure: Figure, away_s: float
) -> None:
    settings = whole(kafka, valkey)
    await create_topics(settings)
    await wish_for(settings, "door", "yard")
    three = (Stage("detector", settings, script=None, **MALLOC), Stage("live", settings), Stage("api", settings))
    async with (
        stages(*three),
        traffic(settings, ("door", "yard"), RATE) as (_, seen),
        watching(settings.api.port, "door", "yard") as two,
    ):
        running = {stage.name: stage.running for stage in three}
        await until(lambda: all(len(spectator.sights) > RATE for spectator in two), 60, "pictures come")
        began = time.time()
        await asyncio.sleep(BEFORE_S)
        before = weigh(running)
        rate_before = len(seen.since(began)) / (time.time() - began)

        killed = time.time()
        await asyncio.to_thread(valkey.kill)
        await until(lambda: all(any(n.reason == STORE_AWAY for n in s.notes) for s in two), 30, "viewers are told")
        told = max(min(n.at for n in s.notes if n.reason == STORE_AWAY) for s in two) - killed
        await asyncio.sleep(max(0.0, away_s - (time.time() - killed)))
        during = weigh(running)
        rate_during = len(seen.since(killed)) / (time.time() - killed)
        asked = time.time()
        await asyncio.to_thread(valkey.start)
        returned = time.time()
        await until(
            lambda: all(any(x.live.published.timestamp() > returned for x in s.sights) for s in two), 30, "all are back"
        )
        back = max(min(x.at for x in s.sights if x.live.published.timestamp() > returned) for s in two) - asked
        assert len([line for line in three[1].log().splitlines() if "while Valkey is away" in line]) == 1
    figure("detections a second without Valkey, as a share of those with it", rate_during / rate_before, least=0.9)
    figure("Valkey gone → every viewer is told so", told, "s", most=3)
    figure("Valkey started again → fresh pictures at every viewer", back, "s", most=5)
    note_gains(figure, before, during, "while Valkey was away")
    assert [len(spectator.openings) for spectator in two] == [1, 1], "the sockets stay open"


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_full_disk_stops_the_broker_alone_until_there_is_room_again(tmp_path: Path, figure: Figure) -> None:
    with (
        small_disk(tmp_path / "disk", 250) as disk,
        started(disk.folder / "data") as up,
    ):
        before = up.children()
        stages_of_it = {name: before[name] for name in ("camera", "detector", "live", "api")}
        async with watching(up.port, "demo") as (spectator,):
            await until(lambda: len(spectator.sights) > 2 * RATE, 60, "pictures come")
            await upload(up.settings, "first")
            await answered(up.settings, "first")
            await upload(up.settings, "before")
            weights = weigh(stages_of_it)
            said = len(up.so_far())
            disk.fill(psutil.Process(up.process.pid), before["kafka"])
            full = time.time()
            await until(lambda: not before["kafka"].is_running(), 30, "the broker ends itself")
            await asyncio.sleep(15)
            during = weigh(stages_of_it)
            lines = up.so_far()[said:]
            full_for = time.time() - full
            disk.free()
            freed = time.time()
            back = await until(
                lambda: any(sight.live.frame.captured.timestamp() > freed for sight in spectator.sights),
                90,
                "they are back",
            )
            assert {"first", "before"} <= await answered(up.settings, "first", "before")
            burst = await Outage(full, freed + back).burst(up.settings)
            assert len(spectator.openings) == 1, spectator.closings
            assert KAFKA_AWAY in {note.reason for note in spectator.notes}
        assert all(child.is_running() for child in stages_of_it.values()), "no other process ended"
    told = "\n".join(lines)
    assert "frames are not acknowledged and are dropped" in told
    if disk.says_so:
        assert "the disk is full (0 MB left): free some, and it comes back" in told
    note_gains(figure, weights, during, "while the disk was full")
    figure("lines on the screen while the disk was full, a minute", len(lines) / full_for * 60, most=60)
    figure("frames captured while the disk was full and published afterwards", len(burst), most=0)
    figure("disk freed → fresh picture at the viewer", back, "s", most=60)


async def flood(kafka: Kafka, settings: Settings, capped: bool) -> tuple[int, int]:  # the defence
    """Let a camera give far more than its topic may hold; return bytes sent, and bytes on the disk after a look."""
    (topic,) = (topic for topic in topics.TOPICS if topic.name == Name.FRAMES_LIVE)
    disk_bytes = round(CAP * topic.partitions / topic.disk_share)
    await topics.ensure(settings, disk_bytes, [topic if capped else msgspec.structs.replace(topic, disk_share=0.0)])
    cameras = Cameras(settings, ("door",), FLOOD_RATE)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(cameras.run(), FLOOD_S)
    await asyncio.sleep(LOOKS_S)
    return len(cameras.published) * len(GOLDEN), bytes_below(
        kafka._home, f"kafka/data/{settings.kafka.topic_prefix}*/*"
    )


async def test_a_flood_of_frames_stays_under_its_share_of_the_disk(own_broker: Kafka, figure: Figure) -> None:
    sent, kept = await flood(own_broker, own_broker.settings(), capped=True)
    assert sent > 4 * CAP
    # A look removes whole closed segments, and each open one has its indices.
    most = (CAP + SEGMENT + INDICES) / 1e6
    figure(
        f"on the disk after a flood of {sent / 1e6:.0f} MB for a topic's partition of {CAP / 1e6:.1f} MB",
        kept / 1e6,
        "MB",
        most=most,
    )


@pytest.mark.long
async def test_control_without_a_byte_cap_a_flood_fills_the_disk(own_broker: Kafka) -> None:
    sent, kept = await flood(own_broker, own_broker.settings(), capped=False)
    assert kept >= sent > CAP + SEGMENT + INDICES
