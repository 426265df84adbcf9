"""``make soak``: an hour at capacity, and whether anything grows.

Eight cameras offer as much as goes through, eight viewers look on. Every ten seconds it is noted what each process
holds: memory, file descriptors, threads; and how far the detectors' group is behind. The slopes are those of a straight
line through what came after the first quarter, when caches are filled and pools have their size.

What Kafka keeps of a topic lies in files that it has open and mapped into memory. Both grow with what is kept, up to
the topics' byte caps, whatever else happens; so they are counted apart.
"""

import asyncio
import time
from pathlib import Path
from statistics import linear_regression, mean
from typing import TYPE_CHECKING

import click
import msgspec
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from rich.console import Console

from maskwatch.kafka import connection_options
from maskwatch.settings import Settings
from maskwatch.topics import Name, partitions
from tests.benchmarks.load import names
from tests.benchmarks.measure import CAMERAS, limit, loading, most_piped, prepare_stack, running_stack, started
from tests.benchmarks.report import markdown_table
from tests.support.machine import Machine, this_machine, write_between
from tests.support.up import Up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INTERVAL_S = 10.0
HEADINGS = ("process", "resident, MB", "of it its own", "file descriptors", "threads", "files of what is kept")
WARM_UP = 0.25
BOUNDS = {"own": 0.02, "descriptors": 0.02, "threads": 0.02}
"""Growth in an hour that counts as none, as a share of what there is: the width of the noise."""

LEAST = {"own": 4.0, "descriptors": 2.0, "threads": 1.0}
"""And in MB or pieces, whichever is more."""


class Sample(msgspec.Struct, frozen=True):
    """What one process held at a moment."""

    memory: float
    """MB, resident."""
    own: float
    """MB of it that are no files mapped from the disk."""
    descriptors: int
    """But for those of `kept`."""
    kept: int
    """Open files of what Kafka keeps."""
    threads: int


class Moment(msgspec.Struct, frozen=True):
    """Everything at a moment."""

    at: float
    """Seconds since the start."""
    processes: dict[str, Sample]
    lag: int
    """Frames between what the detectors' group has committed and the ends of its partitions."""
    detected: int
    """Detections so far."""


class Growth(msgspec.Struct, frozen=True):
    """How one figure of one process went."""

    process: str
    what: str
    mean: float
    per_hour: float

    @property
    def bound(self) -> float:
        """Return what counts as no growth."""
        return max(LEAST[self.what], BOUNDS[self.what] * self.mean)

    @property
    def grows(self) -> bool:
        """Whether it grows."""
        return self.per_hour > self.bound


class Soak(msgspec.Struct):
    """A whole soak."""

    machine: Machine
    offered: float
    """Frames a second."""
    moments: list[Moment] = []
    restarts: list[str] = []
    """Processes that were not the same at the end."""

    def settled(self) -> list[Moment]:
        """Return the moments after the first quarter."""
        return self.moments[int(WARM_UP * len(self.moments)) :]

    def growths(self) -> list[Growth]:
        """Return the slope of every figure of every process."""
        moments = self.settled()
        hours = [moment.at / 3600 for moment in moments]
        return [
            Growth(process, what, mean(values), linear_regression(hours, values).slope)
            for process in sorted(moments[-1].processes)
            for what in BOUNDS
            for values in [[float(getattr(moment.processes[process], what)) for moment in moments]]
        ]

    def falls_behind(self) -> bool:
        """Whether the detectors are ever further behind: by more than what comes in a second, each hour."""
        return self.lag_per_hour() > self.offered

    def lag_per_hour(self) -> float:
        """Return the slope of the lag, in frames an hour."""
        moments = self.settled()
        return linear_regression([moment.at / 3600 for moment in moments], [m.lag for m in moments]).slope

    def detected_per_second(self) -> float:
        """Return the frames that were detected, a second."""
        first, last = self.moments[0], self.moments[-1]
        return (last.detected - first.detected) / (last.at - first.at)


def soak(recording: Path, minutes: float, say: Console) -> Soak:
    """Run everything at capacity for so long."""
    with running_stack(prepare_stack()) as up:
        say.print("finding out what goes through")
        rate = most_piped(up, recording, limit(recording, 10), 10)
        say.print(f"{rate:.0f} frames/s for {minutes:g} minutes")
        done = Soak(this_machine(), rate)
        seconds = minutes * 60
        before = {name: process.pid for name, process in up.children().items()}
        with loading(up, recording, CAMERAS, rate, seconds + 60):
            time.sleep(5)
            watching = started("watch", up.url, str(seconds + 10), *names(CAMERAS))
            try:
                began = time.monotonic()
                while (passed := time.monotonic() - began) < seconds:
                    done.moments.append(_look(up, passed))
                    if len(done.moments) % 30 == 1:
                        say.print(f"{passed / 60:.0f} min: {done.moments[-1]}")
                    time.sleep(max(0.0, INTERVAL_S * len(done.moments) - (time.monotonic() - began)))
            finally:
                watching.kill()
                watching.wait()
        done.restarts = [name for name, process in up.children().items() if process.pid != before.get(name)]
    return done


def _look(up: Up, at: float) -> Moment:
    processes = {**up.children(), "supervisor": psutil.Process(up.process.pid)}
    lag, detected = asyncio.run(_lag(up.settings))
    return Moment(
        round(at, 1),
        {name: _sample(process, _kept(process) if name == "kafka" else 0) for name, process in processes.items()},
        lag,
        detected,
    )


def _sample(process: psutil.Process, kept: int) -> Sample:
    memory = process.memory_info()
    resident, own = (round(size / 2**20, 1) for size in (memory.rss, memory.rss - memory.shared))
    return Sample(resident, own, process.num_fds() - kept, kept, process.num_threads())


def _kept(process: psutil.Process) -> int:
    return sum(Path(file.path).suffix in {".log", ".index", ".timeindex"} for file in process.open_files())


async def _lag(settings: Settings) -> tuple[int, int]:
    async with asyncio.timeout(30):
        admin = AIOKafkaAdminClient(**connection_options(settings))
        await admin.start()
        try:
            offsets: Mapping[TopicPartition, object] = await admin.list_consumer_group_offsets("detector-live")
        finally:
            await admin.close()
        committed = {partition: int(entry.offset) for partition, entry in offsets.items()}  # type: ignore[attr-defined]
        consumer = AIOKafkaConsumer(**connection_options(settings))
        await consumer.start()
        try:
            ends = await consumer.end_offsets(list(committed))
            detections = await consumer.end_offsets(partitions(settings, Name.DETECTIONS))
        finally:
            await consumer.stop()
    return sum(ends[partition] - max(0, offset) for partition, offset in committed.items()), sum(detections.values())


def markdown(done: Soak) -> str:
    """Return a soak as Markdown."""
    grown = {(growth.process, growth.what): growth for growth in done.growths()}
    processes: Sequence[str] = sorted(done.moments[-1].processes)
    settled = done.settled()
    rows = [
        (
            name,
            f"{settled[0].processes[name].memory:.0f} → {settled[-1].processes[name].memory:.0f}",
            *(f"{grown[name, what].mean:.0f}, {grown[name, what].per_hour:+.1f} an hour" for what in BOUNDS),
            f"{settled[0].processes[name].kept} → {settled[-1].processes[name].kept}" if name == "kafka" else "",
        )
        for name in processes
    ]
    growing = [f"{growth.process}: {growth.what}" for growth in grown.values() if growth.grows]
    growing += ["lag"] if done.falls_behind() else []
    minutes = done.moments[-1].at / 60
    lags = [moment.lag for moment in settled]
    return "\n\n".join(
        [
            f"Measured {done.machine.sentence()}.",
            (
                f"{minutes:.0f} minutes, {CAMERAS} cameras offering {done.offered:.0f} frames/s, {CAMERAS} viewers; "
                f"{done.detected_per_second():.1f} frames/s detected. Behind by {mean(lags):.0f} frames on average, "
                f"{max(lags)} at most ({done.lag_per_hour():+.0f} an hour). Processes that were started anew: "
                f"{', '.join(done.restarts) or 'none'}. Growing: {', '.join(growing) or 'nothing'}."
            ),
            markdown_table(HEADINGS, rows),
        ]
    )


def draw(done: Soak, picture: Path) -> None:
    """Draw every figure over time into a PNG."""
    import matplotlib as mpl  # noqa: PLC0415  # slow, and only for this

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, places = plt.subplots(2, 2, figsize=(11, 6), layout="constrained", sharex=True)
    minutes = [moment.at / 60 for moment in done.moments]
    titles = {"own": "Memory of its own, MB", "descriptors": "File descriptors", "threads": "Threads"}
    for axes, (what, title) in zip(places.flat, titles.items(), strict=False):
        for name in sorted(done.moments[-1].processes):
            axes.plot(minutes, [getattr(moment.processes[name], what) for moment in done.moments], label=name, lw=1.2)
        axes.set_title(title, loc="left")
        axes.set_ylim(bottom=0)
    last = places.flat[-1]
    last.plot(minutes, [moment.lag for moment in done.moments], color="#0f766e", lw=1.2)
    last.set_title("Frames that the detectors' group is behind", loc="left")
    last.set_ylim(bottom=0)
    places.flat[0].legend(frameon=False, ncols=2, fontsize=8)
    for axes in places.flat:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in places[1]:
        axes.set_xlabel("minutes")
    figure.savefig(picture, dpi=120)
    plt.close(figure)


@click.command()
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--recording", type=click.Path(path_type=Path), default=Path("build/bench.mcap"), show_default=True)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), default=Path("build/soak.json"), show_default=True
)
@click.option("--docs", type=click.Path(path_type=Path), help="Write the table there too, such as docs/faults.md.")
@click.option("--picture", type=click.Path(path_type=Path), default=Path("build/soak.png"), show_default=True)
def main(minutes: float, recording: Path, json_file: Path, docs: Path | None, picture: Path) -> None:
    """Run everything at capacity for an hour, and tell what grows; exit code 1 if anything does."""
    console = Console(highlight=False)
    Path("build").mkdir(exist_ok=True)
    done = soak(recording, minutes, console)
    json_file.write_bytes(msgspec.json.encode(done))
    draw(done, picture)
    console.print(markdown(done))
    if docs is not None:
        write_between(docs, "soak", markdown(done))
    grows = done.falls_behind() or any(growth.grows for growth in done.growths())
    raise SystemExit(bool(done.restarts) or grows)


if __name__ == "__main__":
    main()
