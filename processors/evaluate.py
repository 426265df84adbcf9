"""`maskwatch drift evaluate`: how well drift is told on one's own recordings, as tables.

1. Each recording as it was: how many episodes, over which time.
2. Long times without a change, made of the recording's own samples: false episodes a camera-month, beside River's.
3. Every named change in three strengths: after how many samples it is noticed, and by which signal.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from maskwatch.command import Progress, run
from maskwatch.drift_messages import Episode
from maskwatch.drift_settings import DriftSettings
from maskwatch.inference import Detector
from maskwatch.messages import ModelRef
from maskwatch.settings import Settings
from processors import evaluation, material
from processors.drift import MONTH_S
from processors.evaluation import Delay, Next, Rate
from processors.material import CHANGED, PLAIN, Looked, Variant
from processors.monitor import Monitor
from processors.reference import memory
from processors.signals import Samples, column, defined, measure

RIVER_SHARE = {"ADWIN": 0.2, "KSWIN": 0.002}
"""Of the time that our logic is run for: KSWIN compares at every sample, which takes a millisecond each."""

LEAST = 40
"""Pictures of which a world can be made."""

BARE_SHARES: tuple[float, ...] = (0.2, 0.4, 0.8)
"""«Fewer masks», by strength: so many pictures are of those on which at least half of the faces have none."""

LEAST_BARE = 10


class AsItWas(NamedTuple):
    """A recording, replayed through the logic by the times of its own frames."""

    file: str
    camera: str
    frames: int
    samples: int
    hours: float
    learned: float
    episodes: tuple[Episode, ...]


class Still(NamedTuple):
    """A long time without a change."""

    file: str
    block: int
    """Neighbours that stayed together."""
    rates: Mapping[str, Rate]
    """By detector: ``ours``, ``ADWIN``, ``KSWIN``."""


class Noticed(NamedTuple):
    """One change in one strength."""

    file: str
    change: str
    strength: int
    delays: tuple[Delay, ...]


class Findings(NamedTuple):
    """All that was found."""

    as_it_was: list[AsItWas]
    still: list[Still]
    noticed: list[Noticed]


class Plan(NamedTuple):
    """What is to be evaluated, and how long."""

    files: tuple[Path, ...]
    months: float = 0.1
    """Camera-months without a change, for each recording."""
    seeds: int = 20
    changes: bool = True
    """Look at every picture in every change too: 28 times as long."""


def command(settings: Settings, plan: Plan, *, as_json: bool) -> None:
    """Evaluate recordings and print what was found."""
    with Progress("evaluating") as progress:
        findings = run("drift evaluate", lambda settings, stop: _evaluate(settings, plan, stop, progress), settings)
    if as_json:
        click.echo(msgspec.json.encode(findings._asdict(), enc_hook=str))
        return
    console = Console(highlight=False)
    for table in tables(findings, settings.drift):
        console.print(table)


async def _evaluate(settings: Settings, plan: Plan, stop: asyncio.Event, progress: Progress) -> Findings:
    detector = await asyncio.to_thread(Detector, settings.detector.model, settings.detector)
    variants = (PLAIN, *(CHANGED if plan.changes else ()))
    try:
        for file in plan.files:
            await material.look(file, detector, variants, stop, lambda done: _show(progress, f"{done} pictures"))
    finally:
        detector.close()
    # In a thread, so that Ctrl-C is heard; it ends after the scenario that is under way.
    return await asyncio.to_thread(_find, settings, plan, detector.ref, stop, progress)


def _find(settings: Settings, plan: Plan, model: ModelRef, stop: asyncio.Event, progress: Progress) -> Findings:
    found = Findings([], [], [])
    for file in plan.files:
        looked = material.read(file, model)
        found.as_it_was.extend(as_it_was(file.name, looked, settings.drift))
        worlds = _worlds(looked)
        plain = worlds[PLAIN]
        if len(plain) < LEAST:
            progress.say(f"{file.name} has {len(plain)} pictures, fewer than {LEAST}: nothing can be made of them")
            continue
        block = neighbours(plain)
        found.still.append(still(file.name, plain, block, settings.drift, plan.months))
        usual = world(plain, block)
        for change, strength, after in _changed(worlds, block, usual) if plan.changes else ():
            if stop.is_set():
                return found
            _show(progress, f"{file.name}: {change} {strength}")
            delays = tuple(evaluation.change(usual, after, settings.drift, seed) for seed in range(plan.seeds))
            found.noticed.append(Noticed(file.name, change, strength, delays))
    return found


def _changed(worlds: Mapping[Variant, Samples], block: int, usual: Next) -> Iterator[tuple[str, int, Next]]:
    for (change, strength), after in sorted(worlds.items(), key=str):
        if change is not None and strength is not None:
            yield change, strength, world(after, block)
    plain = worlds[PLAIN]
    bare = plain[plain[:, column("without_mask")] >= 0.5]  # noqa: PLR2004  # half of the faces
    if len(bare) >= LEAST_BARE:
        for level, share in enumerate(BARE_SHARES, 1):
            yield "fewer_masks", level, evaluation.mixed(usual, evaluation.independent(bare), share)


def as_it_was(file: str, looked: Sequence[Looked], settings: DriftSettings) -> Iterator[AsItWas]:
    """Replay what was seen on a recording, each camera by itself."""
    by_camera: dict[str, list[Looked]] = defaultdict(list)
    for one in looked:
        if one.change is None:
            by_camera[one.detection.frame.camera].append(one)
    for camera, seen in sorted(by_camera.items()):
        monitor = Monitor(camera, settings)
        times = [one.detection.frame.captured for one in seen]
        outcomes = [monitor.take(one.detection) for one in seen]
        episodes = [r for o in outcomes for r in o.records if isinstance(r, Episode) and r.phase == "start"]
        hours = (max(times) - min(times)).total_seconds() / 3600
        samples = sum(outcome.outcome == "sampled" for outcome in outcomes)
        yield AsItWas(file, camera, len(seen), samples, hours, monitor.learned, tuple(episodes))


def still(file: str, plain: Samples, block: int, settings: DriftSettings, months: float) -> Still:
    """Count false alarms over a long time that is made of a recording's own samples."""
    samples = round(months * MONTH_S / settings.sample_s)
    nothing_changes = world(plain, block)
    ours = evaluation.stationary(nothing_changes, settings, samples, seed=1)
    rates = {"ours": Rate(len(ours), months)}
    for kind, share in RIVER_SHARE.items():
        number = max(1, round(samples * share))
        alarms = evaluation.river(kind, nothing_changes, number, seed=1)
        rates[kind] = Rate(alarms, evaluation.months(number, settings))
    return Still(file, block, rates)


def neighbours(plain: Samples) -> int:
    """Return how many neighbours are to stay together: twice the longest memory of any signal; 1 for strangers.

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> strangers = random.random((400, 10), np.float32)
    >>> neighbours(strangers), neighbours(np.repeat(strangers[:40], 10, axis=0))
    (1, 28)
    """
    longest = max(memory(values) for column in plain.T if len(values := defined(column)) >= LEAST)
    return 1 if longest == 1 else 2 * longest


def world(seen: Samples, block: int) -> Next:
    """Return a world of samples in which so many neighbours stay together."""
    return evaluation.independent(seen) if block == 1 else evaluation.in_blocks(seen, block)


def _worlds(looked: Sequence[Looked]) -> dict[Variant, Samples]:
    rows: dict[Variant, list[tuple[float, ...]]] = defaultdict(list)
    for one in looked:
        rows[Variant(one.change, one.strength)].append(measure(one.detection))
    return {variant: np.array(values, np.float32) for variant, values in rows.items()}


def tables(findings: Findings, settings: DriftSettings) -> Iterator[Table]:
    """Return what was found as tables for people."""
    shown = Table(
        "recording", "camera", "frames", "samples", "time", "episodes", title="As it was", title_justify="left"
    )
    for one in findings.as_it_was:
        learned = "" if one.learned >= 1 else f" (learned {one.learned:.0%}: too short)"
        shown.add_row(
            one.file, one.camera, str(one.frames), str(one.samples), f"{one.hours:.2f} h",
            f"{len(one.episodes)}{learned}",
        )  # fmt: skip
    yield shown
    shown = Table("recording", "block", "detector", "alarms", "camera-months", "a month", "at most (95 %)")
    shown.title = "Nothing changes"
    for still_one in findings.still:
        for name, rate in still_one.rates.items():
            shown.add_row(
                still_one.file, str(still_one.block), name, str(rate.alarms), f"{rate.months:.3f}",
                f"{rate.alarms / rate.months:.1f}", f"{rate.upper:.1f}",
            )  # fmt: skip
    yield shown
    shown = Table("recording", "change", "strength", "median", "worst", "missed", "first signal", "false before")
    shown.title = f"Changes: delay in samples of {settings.sample_s:g} s"
    for noticed in findings.noticed:
        median, worst, missed, first = evaluation.told(noticed.delays)
        shown.add_row(
            noticed.file, noticed.change, str(noticed.strength), f"{median:.0f}", f"{worst:.0f}",
            f"{missed} of {len(noticed.delays)}", first, str(sum(delay.before for delay in noticed.delays)),
        )  # fmt: skip
    yield shown


def _show(progress: Progress, text: str) -> None:
    if progress.due:
        progress.show(None, text)
