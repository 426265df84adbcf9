"""``make bench-loop``: what one round of the learning loop wins back after the world has changed.

Photographs of facemask-voc, in three parts that share no look-alikes: those that a champion of the benchmark's own is
trained on, 150 that people «label» after it has become dark and the lens has gone out of focus, and the frozen test
part. One round, as it starts by itself, with the settings of every day; beside it the ceiling: the same recipe, with
all of the champion's old pictures treated alike and labelled. Cut off, it goes on where it was.
"""

import asyncio
import hashlib
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from rich.console import Console

from maskwatch import topics
from maskwatch.command import Progress
from maskwatch.degradation import Strength, degrade
from maskwatch.label_messages import FrameLabel
from maskwatch.model import ShapeName
from maskwatch.settings import MODELS, Settings
from maskwatch.store import Store
from maskwatch.topics import Name
from tests.benchmarks.report import markdown_table
from tests.support import stack
from tests.support.machine import this_machine, write_between
from training import rehearsal
from training.artefact.export import Plan, export
from training.datasets import manifest as manifests
from training.datasets.manifest import Entry, Manifest
from training.evaluation.answers import Examinee
from training.evaluation.bootstrap import interval, resample, weights
from training.evaluation.scores import Matches, judge, matches
from training.evaluation.views import View, as_jpeg, plain
from training.progress import Epoch, Step
from training.recipe import Recipe, recipe_of
from training.round import ANSWERS, MODEL, TRAINING, run_round
from training.train import Told, train

SOURCE = "facemask-voc"
LABELS = 150
FALL = 0.15
"""mAP50 that the champion must lose, or the world has not changed enough."""

WORLDS: tuple[tuple[Strength, Strength], ...] = ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3))
"""Strengths of «dim» and «defocused», from weak to strong; the first in which the champion falls enough counts."""

SHAPE: ShapeName = "wide"
LEAST_REGAINED, MOST_COST = 0.7, 0.01
KEPT, MISSED = "kept", "missed"
BEGAN = datetime(2026, 11, 2, 8, tzinfo=UTC)


class Parts(NamedTuple):
    """What is trained on, labelled and judged by."""

    old: Manifest
    """Of the champion: train, val and test."""
    pool: tuple[Entry, ...]
    """What people label after the change."""


def parts(base: Manifest, seed: int = 1) -> Parts:
    """Take whole groups of look-alikes out of the train part until there are enough to label."""
    entries = [entry for entry in base.entries if entry.source == SOURCE]
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in base.entries:
        if entry.part == "train":
            groups[entry.group].append(entry)
    names = sorted(name for name, of in groups.items() if all(entry.source == SOURCE for entry in of))
    random.Random(seed).shuffle(names)  # a choice that can be made again
    pool: list[Entry] = []
    for name in names:
        if len(pool) >= LABELS:
            break
        pool += groups[name]
    taken = {entry.sha256 for entry in pool[:LABELS]} | {entry.sha256 for entry in pool}
    old = tuple(entry for entry in entries if entry.sha256 not in taken)
    return Parts(Manifest(old, base.sha256), tuple(pool[:LABELS]))


def treated(strengths: tuple[Strength, Strength]) -> View:
    """Return the new world as a way to show pictures: darker, and out of focus."""
    dim, blurred = strengths

    def render(entry: Entry) -> bytes:
        pixels = simplejpeg.decode_jpeg(as_jpeg(Path(entry.path)), "RGB")
        changed = degrade(degrade(pixels, "dim", dim), "defocused", blurred)
        return bytes(simplejpeg.encode_jpeg(changed, 92, "RGB"))

    return View(f"dim {dim}, defocused {blurred}", plain().place, render)


class Judge:
    """Asks models on the test part, and keeps what they answered."""

    def __init__(self, entries: Sequence[Entry], kept: Path) -> None:
        self._entries = entries
        self._kept = kept

    def __call__(self, model: Path, view: View) -> Matches:
        """Return how well a model's answers match."""
        with Examinee(model, "fp32", self._kept) as examinee:
            shown, answers = examinee.answer(self._entries, SHAPE, view)
        return matches(judge(shown, answers.faces))


def figures(of: Matches, drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return mAP50 on the whole part and on resamples."""
    return resample(of, drawn).map50


class Bench:
    """The benchmark; everything lies in one folder."""

    def __init__(self, base: Path, weights_file: Path, folder: Path, epochs: int, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._weights = weights_file
        self._epochs = epochs
        self.parts = parts(manifests.load(base))
        self.judge = Judge(self.parts.old.part("test"), folder / ANSWERS)

    def champion(self) -> Path:
        """Train the benchmark's own champion."""
        recipe = Recipe(weights=self._weights, epochs=self._epochs, close_mosaic=2, last_rate=0.05)
        return self._model("champion", self.parts.old, recipe)

    def world(self, champion: Path) -> tuple[Strength, Strength]:
        """Return the weakest change in which the champion falls enough."""
        before = _map50(self.judge(champion, plain()))
        for strengths in WORLDS:
            after = _map50(self.judge(champion, treated(strengths)))
            self._say(f"dim {strengths[0]}, defocused {strengths[1]}: mAP50 {before:.3f} → {after:.3f}")
            if before - after >= FALL:
                return strengths
        raise click.ClickException(f"in none of these worlds does the champion lose {FALL} mAP50: it is too good")

    def round(self, champion: Path, view: View, kafka: stack.Kafka) -> Path:
        """Let people label the pool in the new world, and run one round as it starts by itself."""
        own = self._folder / "old.json"
        if not own.exists():
            manifests.save(self.parts.old, own)
        settings = kafka.settings(retrain={"base": own}, detector={"model": champion, "precision": "fp32"})
        settings = settings.model_copy(update={"data_dir": self._folder / "data"})
        asyncio.run(_topics(settings))
        store = Store(settings)
        for number, entry in enumerate(self.parts.pool):
            _label(store, entry, view, number)
        with Progress("round") as progress:
            run_round(settings, self._folder / "round", "the light changed", progress.say, progress)
        return self._folder / "round" / MODEL

    def ceiling(self, champion: Path, view: View) -> Path:
        """Train by the round's own recipe, with all old pictures treated alike and labelled."""
        recipe = recipe_of(msgspec.json.decode((self._folder / "round" / TRAINING / "recipe.json").read_bytes()))
        pictures = self._folder / "treated"
        pictures.mkdir(exist_ok=True)
        labelled = [_written(entry, view, pictures) for entry in self.parts.old.part("train")]
        data = Manifest((*self.parts.old.entries, *labelled), self.parts.old.sha256)
        lesson, shares = rehearsal.lesson(data, frozenset({"labelled"}), Settings().retrain)
        return self._model("ceiling", lesson, msgspec.structs.replace(recipe, shares=shares))

    def _model(self, name: str, lesson: Manifest, recipe: Recipe) -> Path:
        training, model = self._folder / f"{name}-training", self._folder / name
        if (model / "model.json").exists():
            return model
        with Progress(name) as progress:

            def step(now: Step) -> None:
                if progress.due:
                    progress.show((now.epoch - 1 + now.share) / now.epochs, f"epoch {now.epoch} of {now.epochs}")

            def epoch(done: Epoch) -> None:
                progress.say(done.sentence())

            checkpoint = train(lesson, recipe, training, told=Told(step, epoch))
        plan = Plan(name, "1", precisions=("fp32", "fp16"))
        export(checkpoint, lesson.part("train"), MODELS / "default" / "golden.jpg", model, plan)
        return model


def _map50(of: Matches) -> float:
    return float(resample(of, weights(len(of[0].boxes), 0)).map50[0])


def _label(store: Store, entry: Entry, view: View, number: int) -> None:
    sha256 = store.put(view.render(entry))
    label = FrameLabel(
        frame=f"door:s1:{number}", state="labelled", at=BEGAN, by="ann", faces=entry.faces, sha256=sha256,
        width=entry.width, height=entry.height, source="door", captured=BEGAN + timedelta(minutes=number),
    )  # fmt: skip
    store.write_label(label.frame, msgspec.json.encode(label))


def _written(entry: Entry, view: View, folder: Path) -> Entry:
    jpeg = view.render(entry)
    sha256 = hashlib.sha256(jpeg).hexdigest()
    path = folder / f"{sha256}.jpg"
    if not path.exists():
        path.write_bytes(jpeg)
    return msgspec.structs.replace(entry, sha256=sha256, path=str(path), source="labelled", group=sha256)


async def _topics(settings: Settings) -> None:
    wanted = {Name.MODELS, Name.MODEL_VERSIONS, Name.COMMANDS}
    await topics.ensure(settings, 2**30, [topic for topic in topics.TOPICS if topic.name in wanted])


def found(bench: Bench, models: dict[str, Path], view: View) -> str:
    """Hold the three models against each other, in the new world and in the old one."""
    new = {name: bench.judge(model, view) for name, model in models.items()}
    old = {name: bench.judge(model, plain()) for name, model in models.items()}
    drawn = weights(len(new["champion"][0].boxes))
    there = {name: figures(of, drawn) for name, of in new.items()}
    here = {name: figures(of, drawn) for name, of in old.items()}
    rows = [(name, str(interval(there[name])), str(interval(here[name]))) for name in models]
    regained = interval((there["round"] - there["champion"]) / (there["ceiling"] - there["champion"]))
    cost = interval(here["champion"] - here["round"])
    verdicts = [
        ("regained of what the ceiling regains", regained, f"≥{LEAST_REGAINED}", regained.value >= LEAST_REGAINED),
        ("mAP50 that it costs on the old test part", cost, f"≤{MOST_COST}", cost.value <= MOST_COST),
    ]
    trained = len(bench.parts.old.part("train"))
    return "\n\n".join(
        [
            f"Measured {this_machine().sentence()}.",
            (
                f"{trained} old pictures to train on, {len(bench.parts.pool)} labelled, {len(drawn[0])} of the test "
                f"part; the new world: {view.name}. mAP50 in the cameras' input, FP32, with 95 % intervals over "
                "pictures:"
            ),
            markdown_table(("model", "in the new world", "in the old one"), rows),
            markdown_table(
                ("", "measured", "target", ""),
                [(what, str(value), bound, KEPT if kept else MISSED) for what, value, bound, kept in verdicts],
            ),
        ]
    )


@click.command()
@click.option("--base", type=click.Path(path_type=Path), default=Path("data/manifests/base.json"), show_default=True)
@click.option(
    "--weights",
    "weights_file",
    type=click.Path(path_type=Path),
    default=Path("../shared/weights/yolov8n_coco_dequantised.pt"),
    show_default=True,
    help="Where the champion's training starts.",
)
@click.option("--epochs", default=20, show_default=True, help="Of the champion.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/bench-loop"), show_default=True)
@click.option("--fresh", is_flag=True, help="Begin anew instead of going on.")
@click.option("--docs", type=click.Path(path_type=Path), help="Write the table there too, such as docs/learning.md.")
def main(base: Path, weights_file: Path, epochs: int, out: Path, fresh: bool, docs: Path | None) -> None:  # noqa: PLR0913, PLR0917  # a command line
    """Measure what a round of the learning loop wins back; exit code 1 if a target is missed."""
    if fresh:
        shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    bench = Bench(base, weights_file, out.resolve(), epochs, console.print)
    champion = bench.champion()
    view = treated(bench.world(champion))
    with stack.scratch() as home:
        service = stack.kafka_service(home)
        service.start()
        try:
            learnt = bench.round(champion, view, stack.Kafka(service, home))
        finally:
            service.stop()
    text = found(bench, {"champion": champion, "round": learnt, "ceiling": bench.ceiling(champion, view)}, view)
    console.print(text)
    if docs is not None:
        write_between(docs, "bench-loop", text)
    raise SystemExit(MISSED in text)


if __name__ == "__main__":
    main()
