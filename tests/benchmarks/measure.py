"""One run of the benchmark: every figure from the same machine, the same hour and the same recording.

What is compared is measured in turns, because machines get slower and faster: a ratio is taken within a round.
"""

import asyncio
import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import quantiles
from typing import Any

import cv2
import psutil
import simplejpeg
from aiokafka import AIOKafkaConsumer

from maskwatch.embedded.broker import Broker
from maskwatch.embedded.children import watchers
from maskwatch.kafka import connection_options
from maskwatch.model import ShapeName
from maskwatch.topics import Name, partitions
from tests.benchmarks.load import names
from tests.benchmarks.material import FRAMES, SIZE, recorded_jpegs
from tests.benchmarks.results import Ages, Capture, Cost, Results, Uploading, Use
from tests.support.machine import this_machine
from tests.support.stage import MALLOC, variables
from tests.support.up import Up, prepared_home

SETTLE_S = 3.0
JOINED_S = 15.0
LATE_S = 120.0
"""By then those stages run that nobody waits for."""

CAMERAS = 8
OFFERED = (0.65, 0.75, 0.85)
"""Of the limit, when the most that goes through is looked for: more than that only costs what is skipped."""

WARM_UP_S = 60.0
"""Java compiles what is hot only when it has seen it."""

LOADS = (50, 100, 300)
CAMERA_COUNTS = (1, 2, 4, 8, 16, 32)
CAPTURE_RATE = 10
UPLOAD_RATE = 17.0
"""A thousand a minute."""

UPLOAD_SHARE = 0.6
"""Of the capacity for uploads that was measured in the same run."""


class Plan:
    """How long everything takes, in seconds.

    Parameters
    ----------
    factor
        1 for figures to publish; less to see that it runs.
    """

    def __init__(self, factor: float = 1.0) -> None:
        self.rounds = 3 if factor >= 1 else 1
        self.bare_s = 10 * factor
        self.piped_s = 10 * factor
        self.rival_s = 10 * factor
        self.idle_s = 30 * factor
        self.age_s = 20 * factor
        self.cost_s = 15 * factor
        self.capture_s = 15 * factor
        self.upload_s = 300 * factor
        self.upload_capacity_s = 20 * factor


def measure(recording: Path, plan: Plan, say: Callable[[str], None], keep: Callable[[Results], None]) -> Results:
    """Measure everything.

    Parameters
    ----------
    recording
        Where the recording is, or is made.
    plan
        How long.
    say
        Told what is being done.
    keep
        Given what there is after each stretch: what was measured outlives whatever breaks after it.
    """
    jpegs = recorded_jpegs(recording)
    size = sum(map(len, jpegs)) / len(jpegs) / 1000
    results = Results(
        machine=this_machine(), recording=f"{FRAMES} pictures of {SIZE[0]}x{SIZE[1]}, {size:.0f} kB each, drawn"
    )
    home = prepare_stack()
    rivals = ("torch", "openvino") if find_spec("ultralytics") and find_spec("torch") else ()
    for number in range(plan.rounds):
        turn = f"round {number + 1} of {plan.rounds}"
        say(f"{turn}: decode and inference alone")
        results.bare.append(limit(recording, plan.bare_s))
        say(f"{turn}: through Kafka")
        with running_stack(home) as up:
            results.piped.append(most_piped(up, recording, results.bare[-1], plan.piped_s))
        for rival in rivals:
            say(f"{turn}: Ultralytics on {rival}")
            results.rivals.setdefault(rival, []).append(
                _child("rivals", rival, str(recording), str(plan.rival_s))["rate"]
            )
        keep(results)
    with running_stack(home) as up:
        say("everything idle")
        time.sleep(SETTLE_S)
        results.idle = _used(up, plan.idle_s)
        for load in LOADS:
            say(f"ages at {load} % of {results.capacity:.0f} frames/s")
            ages, use = ages_at(up, recording, load, results.capacity, plan.age_s)
            results.ages.append(ages)
            if load == 100:
                results.loaded = use
        for cameras in CAMERA_COUNTS:
            say(f"{cameras} camera(s) at {results.capacity / 2:.0f} frames/s in all")
            detected, used = _piped(up, recording, results.capacity / 2, plan.cost_s, cameras)
            cpu = sum(used[name].cpu for name in ("kafka", "detector", "live")) / 100
            results.costs.append(Cost(cameras, detected, 1000 * cpu / detected))
    keep(results)
    measure_uploads(home, recording, results, plan, say)
    keep(results)
    for source in ("scene", "clip"):
        say(f"capture of a {source}")
        results.captures.append(_capture(home, source, jpegs, plan.capture_s))
    return results


def prepare_stack() -> Path:
    """Make a home in which everything that happens once has happened, as in that of anybody who starts a second time.

    It lies on the disk, as it does for people; tests have theirs in memory. Whoever makes it removes it.
    """
    home = prepared_home(Path(tempfile.mkdtemp(dir="build", prefix="bench-")).resolve())
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    with running_stack(home) as up:
        archive = Broker.of(up.settings.model_copy(update={"data_dir": home})).archive
        while not archive.is_file():
            time.sleep(1)
    return home


@contextmanager
def running_stack(home: Path, *arguments: str) -> Iterator[Up]:
    """Run `maskwatch up`, without a camera unless told otherwise."""
    with Up.running(home, *(arguments or ("--no-demo",))) as up:
        up.wait_for("ready in")
        late = {child.name for child in watchers(up.settings, home)}
        deadline = time.monotonic() + LATE_S
        while late - set(up.children()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"not up after {LATE_S:g} s: {late - set(up.children())}")
            time.sleep(0.5)
        # They join their groups, and look at what there was.
        time.sleep(JOINED_S)
        yield up


def _piped(up: Up, recording: Path, rate: float, seconds: float, cameras: int) -> tuple[float, dict[str, Use]]:
    """Return detections a second while so much is offered, and what each process used."""
    with loading(up, recording, cameras, rate, SETTLE_S + seconds):
        time.sleep(SETTLE_S)
        before, began = _ends(up, Name.DETECTIONS), time.monotonic()
        used = _used(up, seconds)
        return (_ends(up, Name.DETECTIONS) - before) / (time.monotonic() - began), used


def limit(recording: Path, seconds: float, shape: ShapeName = "wide") -> float:
    """Return the frames a second of decode and inference alone."""
    return _child("bare", str(recording), str(seconds), shape)["rate"]


def most_piped(up: Up, recording: Path, bare: float, seconds: float) -> float:
    """Return the most frames a second that go through, whatever is offered; `bare` is what goes without Kafka."""
    _piped(up, recording, OFFERED[0] * bare, WARM_UP_S, CAMERAS)
    return max(_piped(up, recording, share * bare, seconds, CAMERAS)[0] for share in OFFERED)


def ages_at(up: Up, recording: Path, load: int, capacity: float, seconds: float) -> tuple[Ages, dict[str, Use]]:
    """Return how old pictures are when viewers have them, at a share of the capacity in percent, and what that uses."""
    rate = capacity * load / 100
    with loading(up, recording, CAMERAS, rate, SETTLE_S + seconds + 2):
        time.sleep(SETTLE_S)
        watching = started("watch", up.url, str(seconds), *names(CAMERAS))
        used = _used(up, seconds)
        ages = _finished(watching)
    cuts = quantiles(ages, n=100)
    return Ages(load, rate, len(ages) / seconds, cuts[49], cuts[94]), used


def measure_uploads(home: Path, recording: Path, results: Results, plan: Plan, say: Callable[[str], None]) -> None:
    """Measure what concerns uploads, anew: each on the stack that :func:`prepare_stack` has made."""
    say("decode and inference of uploads alone")
    results.uploads_machine = this_machine()
    results.uploads = []
    results.bare_uploads = limit(recording, plan.bare_s, "square")
    with running_stack(home) as up:
        _measure_uploads(up, recording, results, plan, say)


def _measure_uploads(up: Up, recording: Path, results: Results, plan: Plan, say: Callable[[str], None]) -> None:
    say("the most uploads that are answered")
    _uploading(up, recording, 0, WARM_UP_S * plan.upload_capacity_s / 20)
    results.upload_capacity = _uploading(up, recording, 0, plan.upload_capacity_s).answered
    for rate in (UPLOAD_RATE, UPLOAD_SHARE * results.upload_capacity):
        say(f"{rate:.0f} uploads a second, for {plan.upload_s / 60:.0f} minutes")
        results.uploads.append(_uploading(up, recording, rate, plan.upload_s))
    say("uploads beside cameras, both as many as there can be")
    with loading(up, recording, CAMERAS, results.capacity, SETTLE_S + 2 * plan.upload_capacity_s):
        time.sleep(SETTLE_S)
        before, began = _ends(up, Name.DETECTIONS), time.monotonic()
        results.uploads_beside = _uploading(up, recording, 0, plan.upload_capacity_s)
        results.detected_beside = (_ends(up, Name.DETECTIONS) - before) / (time.monotonic() - began)


def _uploading(up: Up, recording: Path, rate: float, seconds: float) -> Uploading:
    done = _finished(started("uploads", str(recording), up.url, str(rate), str(seconds)))
    latencies = done["latencies"]
    cuts = quantiles(latencies, n=100) if len(latencies) > 1 else [None] * 99
    return Uploading(rate, len(latencies) / done["seconds"], len(done["failed"]), cuts[49], cuts[94])


def _capture(home: Path, source: str, jpegs: list[bytes], seconds: float) -> Capture:
    with tempfile.TemporaryDirectory() as made:
        wanted = "scene" if source == "scene" else str(_clip(Path(made) / "clip.mp4", jpegs))
        with running_stack(home, "--camera", wanted) as up:
            time.sleep(SETTLE_S)
            before = _ends(up, Name.FRAMES_LIVE)
            began = time.monotonic()
            used = _used(up, seconds)["camera"]
            rate = (_ends(up, Name.FRAMES_LIVE) - before) / (time.monotonic() - began)
    return Capture(source, rate, 10 * used.cpu / rate)


def _clip(path: Path, jpegs: list[bytes]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), CAPTURE_RATE, SIZE)
    for jpeg in jpegs:
        writer.write(simplejpeg.decode_jpeg(jpeg, colorspace="BGR"))
    writer.release()
    return path


def _used(up: Up, seconds: float) -> dict[str, Use]:
    processes = {**up.children(), "supervisor": psutil.Process(up.process.pid)}
    before = {name: _cpu_seconds(process) for name, process in processes.items()}
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return {
        name: Use(
            round(process.memory_info().rss / 2**20, 1), round(100 * (_cpu_seconds(process) - before[name]) / took, 2)
        )
        for name, process in processes.items()
    }


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _ends(up: Up, name: Name) -> int:
    """Return how many records a topic has ever had; asks only for offsets, which costs next to nothing."""

    async def ask() -> int:
        consumer = AIOKafkaConsumer(**connection_options(up.settings))
        await consumer.start()
        try:
            ends = await consumer.end_offsets(partitions(up.settings, name))
        finally:
            await consumer.stop()
        return sum(ends.values())

    return asyncio.run(ask())


@contextmanager
def loading(up: Up, recording: Path, cameras: int, rate: float, seconds: float) -> Iterator[None]:
    """Let cameras publish in a process of their own, and see that they kept up."""
    cameras_process = started("load", str(recording), str(cameras), str(rate), str(seconds), **variables(up.settings))
    try:
        yield
        done = _finished(cameras_process)
    finally:
        cameras_process.kill()
        cameras_process.wait()
    if done["lost"] > done["sent"] / 100:
        raise RuntimeError(f"the cameras themselves did not keep up: {done}")


def _child(module: str, *arguments: str) -> dict[str, float]:
    done: dict[str, float] = _finished(started(module, *arguments))
    return done


def started(module: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
    """Start one of our modules; it prints one JSON line."""
    inherited: Mapping[str, str] = os.environ
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**inherited, **MALLOC, **env},
    )


def _finished(process: subprocess.Popen[str]) -> Any:  # noqa: ANN401  # what it printed
    output, _ = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with exit code {process.returncode}")
    return json.loads(output.splitlines()[-1])
