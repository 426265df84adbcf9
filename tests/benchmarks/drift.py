"""What watching for drift costs: messages a second of one core, and memory a camera, into `docs/drift.md`.

``python -m tests.benchmarks.drift``. Counted in CPU time, so that whatever else runs takes nothing from it.
"""

import asyncio
import gc
import time
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import psutil

from maskwatch import kafka, topics
from maskwatch.drift_messages import SIGNALS
from maskwatch.drift_settings import DriftSettings
from maskwatch.messages import Detection, decode, encode
from maskwatch.settings import Settings
from maskwatch.topics import Name
from processors.hours import DAY_H, SAMPLES
from processors.monitor import Monitor
from processors.monitors import Monitors
from tests.benchmarks.report import markdown_table
from tests.support import stack
from tests.support.machine import this_machine, write_between
from tests.support.seen import Seen
from tests.support.stage import Stage

CAMERAS = 2
"""Few, so that their references are learned early on: what watching costs is to be measured, not what learning does."""
STEP_S = 0.1
"""Ten frames a second."""

TOPICS = (Name.DETECTIONS, Name.DETECTIONS_DLQ, Name.DRIFT, Name.DRIFT_STATE, Name.SIGNALS, Name.LABEL_REQUESTS)


class Cost(NamedTuple):
    """What was measured."""

    logic: float
    """Messages a second of one core: read, sampled, compared, kept."""
    faust: float
    """Messages a second of one core, from Kafka through Faust, what comes of them acknowledged."""
    camera_mb: float
    """Memory of a camera of which every hour is learned."""


def records(count: int) -> list[bytes]:
    """Return detections of some cameras in turn, as they are on the topic."""
    cameras = [Seen(f"camera-{number}", number, step_s=STEP_S) for number in range(CAMERAS)]
    made = []
    for number in range(count):
        one = cameras[number % CAMERAS].one()
        made.append(encode(one, kind="k", source="/t", id=one.frame.id, time=one.detected)[0])
    return made


def logic(messages: list[bytes]) -> float:
    """Measure the logic alone, in this process."""
    watching = Monitors(Settings(), {})
    began = time.process_time()
    for number, value in enumerate(messages):
        watching.take(decode(value, Detection), number % CAMERAS, 0.0)
    return len(messages) / (time.process_time() - began)


def memory(cameras: int = 40) -> float:
    """Measure what cameras take that have seen a whole day, in MB each."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    random = np.random.default_rng(1)
    hours = {hour: random.random((SAMPLES, len(SIGNALS)), np.float32) for hour in range(DAY_H)}
    kept = []
    for number in range(cameras):
        mine = {hour: samples.copy() for hour, samples in hours.items()}
        monitor = Monitor(f"camera-{number}", DriftSettings(), None, mine)
        for one in Seen(f"camera-{number}", number).many(400):
            monitor.take(one)
        kept.append(monitor)
    return (psutil.Process().memory_info().rss - before) / len(kept) / 1e6


async def through_faust(messages: list[bytes]) -> float:
    """Measure the stage in a process of its own, on a Kafka of its own."""
    with stack.scratch() as home:
        service = stack.kafka_service(home)
        service.start()
        try:
            settings = stack.settings_for(home, service.address, {"sampling": {"per_day": 0}})
            await topics.ensure(settings, 2**30, [topic for topic in topics.TOPICS if topic.name in TOPICS])
            stage = Stage("drift", settings)
            stage.start()
            try:
                await stage.ready()
                return await _rate(settings, stage, messages)
            finally:
                stage.close()
        finally:
            service.stop()


async def _rate(settings: Settings, stage: Stage, messages: list[bytes]) -> float:
    topic = f"{settings.kafka.topic_prefix}{Name.DETECTIONS}"
    times = stage.running.cpu_times()
    began = times.user + times.system
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        sent = [
            await producer.send(topic, value, key=f"camera-{number % CAMERAS}".encode())
            for number, value in enumerate(messages)
        ]
        await asyncio.wait_for(asyncio.gather(*sent), 300)
    group = kafka.group_consumer(settings, "drift", None, "earliest")
    group.assign(topics.partitions(settings, Name.DETECTIONS))
    async with kafka.running(group, settings) as looking:
        # Kafka sets no event.
        while sum([await looking.committed(at) or 0 for at in looking.assignment()]) < len(messages):  # noqa: ASYNC110
            await asyncio.sleep(1)
    times = stage.running.cpu_times()
    return len(messages) / (times.user + times.system - began)


@click.command()
@click.option("--count", default=40_000, show_default=True, help="Messages.")
@click.option("--docs", type=click.Path(path_type=Path), help="Write the figures there too, such as docs/drift.md.")
def bench(count: int, docs: Path | None) -> None:
    """Measure what watching for drift costs."""
    messages = records(count)
    cost = Cost(logic(messages), asyncio.run(through_faust(messages)), memory())
    rows = [
        ("the logic alone", f"{cost.logic:,.0f} messages/s of one core", "≥5,000"),
        ("from Kafka through Faust", f"{cost.faust:,.0f} messages/s of one core", "≥1,000"),
        ("memory of a camera whose day is learned", f"{cost.camera_mb:.2f} MB", "≤2"),
    ]
    text = f"Measured {this_machine().sentence()}.\n\n" + markdown_table(("", "measured", "target"), rows)
    click.echo(text)
    if docs is not None:
        write_between(docs, "cost", text)


if __name__ == "__main__":
    bench()
