"""How often drift is told though there is none: ``python -m tests.benchmarks.drift_worlds``, for docs/drift.md.

Three worlds through the real detector: photographs that have nothing to do with each other, clips with mild light and
crowd variation, the demo scene. First each as it is, then camera-months made of them by block bootstrap, River's
detectors on the same samples, and a week of days and nights. What was seen is kept in ``--kept``.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from rich.console import Console

from maskwatch.degradation import degrade
from maskwatch.drift_settings import DriftSettings
from maskwatch.inference import Detected, Detector
from maskwatch.messages import Detection, FrameRef
from maskwatch.pictures import Pixels
from maskwatch.settings import PROJECT, DetectorSettings, Settings
from processors import evaluation
from processors.drift import MONTH_S
from processors.evaluation import START, Camera, Next, Rate
from processors.signals import Samples, measure
from producers.clip import Clip
from producers.scene import Scene
from tests.benchmarks.report import markdown_table
from tests.support.machine import this_machine

SHARED = PROJECT.parent / "shared" / "data"
CLIPS = ("classroom.gif", "diazonic_mask.mp4", "head-pose-face-detection-female-and-male.gif",
         "one-by-one-person-detection.mp4")  # fmt: skip
RATE = 5
"""Frames a second of a clip."""

STEP_S = 2.0
"""Between samples, by the default of `drift.sample_s`: so ten frames of a camera with :data:`RATE`."""

LEVELS = (0.95, 1.0, 1.05)
"""Of light at which every frame of the clips is looked at."""

NIGHTS = 207
"""Photographs that are looked at dimmed, too."""

LOOPED = 10_000
"""Samples of the clips, and of the photographs: 100,000 frames."""

PART = 216_000
"""Samples of five days, after which the reference is learned anew."""

KEPT_TOGETHER = {"photographs": 1, "clips": 300, "scene": 40}
"""Neighbouring samples that stay together when a world is drawn anew: ten minutes, 80 s."""

KSWIN_SAMPLES = 2_000
"""It compares at every sample, which takes long."""

Floats = NDArray[np.floating]
Worlds = dict[str, NDArray[np.float32]]


class Eye:
    """Looks at pictures as a worker does."""

    def __init__(self) -> None:
        settings = DetectorSettings.model_validate({"threads": 1, "stuck_after_s": 59.0})
        self._detector = Detector(Settings().detector.model, settings)

    def look(self, jpeg: bytes) -> Detection:
        """Return what is seen on a JPEG."""
        (outcome,) = self._detector.look([jpeg], "wide")
        if not isinstance(outcome, Detected):
            raise click.ClickException(f"a picture cannot be looked at: {outcome.reason}")
        start = datetime.fromtimestamp(START, UTC)
        frame = FrameRef("seen:s:0", "seen", "s", 0, start, outcome.width, outcome.height, "", 0, 0)
        return Detection(frame, self._detector.ref, start, outcome.faces, outcome.signals)

    def close(self) -> None:
        """Let go of the model."""
        self._detector.close()


def worlds(kept: Path, say: Console) -> Worlds:
    """Look at everything, or read what was seen before.

    Returns
    -------
    dict
        ``photographs``, ``clips``, ``scene`` and ``night``, each of shape (samples, signals).
    """
    if kept.exists():
        with np.load(kept) as seen:
            return {name: seen[name] for name in seen.files}
    eye = Eye()
    try:
        files = sorted((SHARED / "facemask-voc" / "images").glob("*.jpg"))
        random.Random(1).shuffle(files)
        say.print(f"{len(files)} photographs")
        found = {
            "photographs": _rows(eye.look(file.read_bytes()) for file in files),
            "night": _rows(eye.look(_dimmed(file)) for file in files[:NIGHTS]),
        }
        say.print("clips, at three levels of light")
        found["clips"] = _varied([_lit(eye, image) for name in CLIPS for image in _images(SHARED / "video" / name)])
        say.print("the demo scene, four hours")
        found["scene"] = _rows(eye.look(jpeg) for jpeg in _scene(7_200))
    finally:
        eye.close()
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.savez(kept, **found)  # type: ignore[arg-type]  # its stubs take a flag there, too
    return found


def _rows(seen: Iterator[Detection]) -> NDArray[np.float32]:
    return np.array([measure(one) for one in seen], np.float32)


def _encoded(pixels: Pixels) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 92, "RGB"))


def _dimmed(file: Path) -> bytes:
    return _encoded(degrade(simplejpeg.decode_jpeg(file.read_bytes(), "RGB"), "dim", 2))


def _images(file: Path) -> Iterator[Pixels]:
    clip = Clip(file, rate=RATE, loop=False, real_time=False, wait=lambda _: False)
    try:
        while (shot := clip.read()) is not None:
            yield shot.image[..., ::-1]  # BGR
    finally:
        clip.close()


def _lit(eye: Eye, pixels: Pixels) -> list[Detection]:
    tables = [np.clip(np.arange(256) * level, 0, 255).astype(np.uint8) for level in LEVELS]
    return [eye.look(_encoded(table[pixels])) for table in tables]


def _waves(at: Floats, minutes: Sequence[float]) -> Floats:
    """Add up slow waves that never meet again, in -1..1."""
    mean = np.mean([np.sin(2 * np.pi * at / (60 * period) + number) for number, period in enumerate(minutes)], axis=0)
    return np.asarray(np.clip(1.8 * mean, -1, 1))


def _varied(lit: Sequence[Sequence[Detection]]) -> NDArray[np.float32]:
    """Loop through frames in order; light goes 5 % either way, and up to a fifth of the faces are left out."""
    chance, at = np.random.default_rng(1), np.arange(LOOPED) * STEP_S
    light, crowd = _waves(at, (22, 61, 157)), 0.1 + 0.1 * _waves(at, (31, 83, 140))
    every = round(STEP_S * RATE)
    rows = []
    for number in range(LOOPED):
        # Of the two levels between which the light lies, one by chance.
        below = min(1, int(light[number] + 1))
        level = below + int(chance.random() < light[number] + 1 - below)
        seen = lit[number * every % len(lit)][level]
        there = tuple(face for face in seen.objects if chance.random() >= crowd[number])
        rows.append(measure(msgspec.structs.replace(seen, objects=there)))
    return np.array(rows, np.float32)


def _scene(samples: int) -> Iterator[bytes]:
    now = 0.0
    scene = Scene(clock=lambda: now)
    try:
        for number in range(samples):
            now = number * STEP_S
            yield _encoded(scene.read().image[..., ::-1])  # BGR
    finally:
        scene.close()


def _world(seen: Samples, name: str) -> Next:
    together = KEPT_TOGETHER[name]
    return evaluation.independent(seen) if together == 1 else evaluation.in_blocks(seen, together)


def as_they_are(seen: Worlds, settings: DriftSettings) -> Iterator[tuple[str, ...]]:
    """Run each world as it was seen; yield a row of the table."""
    photographs = seen["photographs"]
    rounds = -(-LOOPED // len(photographs))
    shuffled = [photographs[np.random.default_rng(number).permutation(len(photographs))] for number in range(rounds)]
    for name, samples in (
        ("photographs, shuffled", np.concatenate(shuffled)[:LOOPED]),
        ("clips, light and crowd varied", seen["clips"]),
        ("scene", seen["scene"]),
    ):
        yield _row(name, len(samples), len(list(Camera(settings).see(samples))))


def by_bootstrap(seen: Worlds, settings: DriftSettings, parts: int, say: Console) -> Iterator[tuple[str, ...]]:
    """Run five days at a time of each world, drawn anew; yield a row each, and one for all together."""
    total = 0
    for name in KEPT_TOGETHER:
        found = 0
        for part in range(parts):
            found += len(evaluation.stationary(_world(seen[name], name), settings, PART, seed=100 + part))
            say.print(f"{name}: {part + 1} of {parts}, {found} episodes")
        total += found
        river = [
            str(
                round(
                    evaluation.river(kind, _world(seen[name], name), number, 100) / evaluation.months(number, settings)
                )
            )
            for kind, number in (("ADWIN", PART), ("KSWIN", KSWIN_SAMPLES))
        ]
        yield _row(name, parts * PART, found, *river)
    yield _row("all together", len(KEPT_TOGETHER) * parts * PART, total)


def _row(name: str, samples: int, found: int, *river: str) -> tuple[str, ...]:
    rate = Rate(found, samples * STEP_S / MONTH_S)
    frames = samples * round(STEP_S * RATE)
    return (name, f"{frames:,}", f"{rate.months:.2g}", str(found), f"{rate.upper:.2g}", *(river or ("", "")))


@click.command()
@click.option("--parts", default=9, show_default=True, help="Times five days of each world.")
@click.option("--days", default=7, show_default=True, help="Of day and night.")
@click.option("--kept", type=click.Path(path_type=Path), default=Path("build/drift-worlds.npz"), show_default=True)
def main(parts: int, days: int, kept: Path) -> None:
    """Print how often drift is told when there is none."""
    say, settings = Console(highlight=False), DriftSettings()
    seen = worlds(kept, say)
    rows = [*as_they_are(seen, settings), *by_bootstrap(seen, settings, parts, say)]
    day, night = (evaluation.independent(seen[name], 1) for name in ("photographs", "night"))
    told = evaluation.days(day, night, settings, days, seed=1)
    heads = ("world", "frames", "camera-months", "episodes", "at most a month (95 %)", "ADWIN a month", "KSWIN a month")
    say.print(f"Measured {this_machine().sentence()}.\n", markdown_table(heads, rows), sep="\n")
    episodes = [f"{one.episode.started:%A %H:%M}: {one.episode.text}" for one in told]
    say.print(f"\n{days} days and nights: {len(told)} episodes", *episodes, sep="\n  ")


if __name__ == "__main__":
    main()
