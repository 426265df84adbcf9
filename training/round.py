"""``maskwatch retrain``: one round of the learning loop, from people's labels to a verdict and, if it is good, a swap.

A round has a folder, and every step leaves something in it: killed anywhere and started again, it goes on where it
was. Labels are brought from the store, a new version of the data is made, the champion's checkpoint is trained on, and
the result is exported, judged by the gate and proposed to the rollout, which promotes it if the verdict says so.
"""

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import structlog

from maskwatch.command import Progress
from maskwatch.model import read_card
from maskwatch.model_messages import Verdict
from maskwatch.promoting import champion_of, propose
from maskwatch.published import CHECKPOINT, fetch, fetch_checkpoint
from maskwatch.settings import MODELS, Settings
from maskwatch.store import Store
from training import gate, rehearsal
from training.artefact.export import Plan, export, history
from training.datasets import manifest as manifests
from training.datasets.manifest import Manifest
from training.errors import TrainingError
from training.progress import Epoch, Step
from training.recipe import Recipe
from training.tracking import Tracked, track
from training.train import Told, train

PICTURES_A_SECOND = 10
"""That two cores train on, at 416 px; for the estimate that is shown before it starts."""
START, PICTURES, MANIFEST, TRAINING, MODEL, ANSWERS, PROPOSED = (
    "start.json", "pictures", "manifest.json", "training", "model", "answers", "proposed",
)  # fmt: skip

Say = Callable[[str], None]

log = structlog.get_logger(__name__)


class Start(msgspec.Struct, frozen=True):
    """What a round started from; it is not another one after a restart, whatever was promoted meanwhile."""

    champion: str
    """Folder of the champion's model."""
    checkpoint: str
    sha256: str
    """Of the champion in the store; empty if it is each worker's own."""
    version: str
    """What the new model calls itself."""


class Round(NamedTuple):
    """What came of a round."""

    verdict: Verdict
    folder: Path


def run_round(settings: Settings, folder: Path, why: str, say: Say, progress: Progress) -> Round:
    """Run a round, or go on with one that was cut off.

    Parameters
    ----------
    settings
        The whole tree.
    folder
        The round's own.
    why
        What it was started for; kept with the version.
    say
        Is told each step.
    progress
        Shows how far it is.

    Raises
    ------
    TrainingError
        If there is too little to learn from, or a step fails; the message says which.
    MaskwatchError
        If the store, Kafka or the champion's model cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(settings)
    start = _start(settings, folder, store)
    data, sources = _data(settings, folder, store, say)
    lesson, shares = rehearsal.lesson(data, sources, settings.retrain)
    recipe = _recipe(settings, start, shares)
    count = len(lesson.part("train"))
    minutes = count * recipe.epochs / PICTURES_A_SECOND / 60
    say(f"training on {count} pictures for {recipe.epochs} epochs: about {max(1, round(minutes))} min on two cores")
    checkpoint = _train(settings, lesson, recipe, folder / TRAINING, progress)
    model = folder / MODEL
    if not (model / "model.json").exists():
        say("exporting")
        plan = Plan(read_card(Path(start.champion)).name, start.version, data=data.sha256, history=history(checkpoint))
        export(checkpoint, lesson.part("train"), MODELS / "default" / "golden.jpg", model, plan)
    verdict = _judge(settings, start, model, data, folder, progress)
    if not (folder / PROPOSED).exists():
        command = asyncio.run(propose(settings, model, verdict, start.sha256, why))
        (folder / PROPOSED).write_text(command)
    # People's pictures stay in the store alone, where they can be erased; Ultralytics draws some of its batches.
    for own in (PICTURES, f"{TRAINING}/data"):
        shutil.rmtree(folder / own, ignore_errors=True)
    for drawn in (folder / TRAINING / "run").glob("*.jpg"):
        drawn.unlink()
    return Round(verdict, folder)


def _start(settings: Settings, folder: Path, store: Store) -> Start:
    kept = folder / START
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=Start)
    champion = asyncio.run(champion_of(settings))
    version = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if champion is not None and champion.model is not None:
        model = fetch(champion.model, store, settings)
        checkpoint = fetch_checkpoint(champion.model, store, settings)
        start = Start(str(model), str(checkpoint), champion.model.sha256, version)
    else:
        own = settings.detector.model
        start = Start(str(own), str(own / CHECKPOINT), "", version)
    if not Path(start.checkpoint).exists():
        raise TrainingError(f"{start.champion} has no {CHECKPOINT}: without it nothing can be trained on")
    kept.write_bytes(msgspec.json.encode(start))
    return start


def _data(settings: Settings, folder: Path, store: Store, say: Say) -> tuple[Manifest, frozenset[str]]:
    labels = rehearsal.labels(store)
    sources = frozenset(label.source for label in labels)
    if (folder / MANIFEST).exists():
        # What was erased meanwhile is gone from here too: a training that needs it fails, and another round begins.
        for picture in (folder / PICTURES).glob("*.jpg"):
            if picture.stem not in {label.sha256 for label in labels}:
                picture.unlink()
        rehearsal.pictures(labels, store, folder / PICTURES)
        return manifests.load(folder / MANIFEST), sources
    pictures = rehearsal.pictures(labels, store, folder / PICTURES)
    if not pictures:
        raise TrainingError(
            "there is nothing to learn from: nobody has labelled a picture yet (Review, in the console)"
        )
    known = rehearsal.base(settings.retrain, settings.data_dir / "rehearsal")
    data = manifests.build(pictures, previous=known, labels=sources)
    manifests.save(data, folder / MANIFEST)
    mine = [entry for entry in data.entries if entry.source in sources]
    say(
        f"{len(mine)} labelled pictures: {sum(entry.part == 'train' for entry in mine)} to learn from, "
        f"{sum(entry.part == 'holdout' for entry in mine)} to be judged by"
    )
    return data, sources


def _recipe(settings: Settings, start: Start, shares: dict[str, float]) -> Recipe:
    options = settings.retrain
    return Recipe(
        weights=Path(start.checkpoint),
        epochs=options.epochs,
        image_size=options.image_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
        close_mosaic=max(1, options.epochs // 2),
        warmup_epochs=min(1.0, options.epochs / 10),
        shares=shares,
    )


def _train(settings: Settings, lesson: Manifest, recipe: Recipe, out: Path, progress: Progress) -> Path:
    def step(now: Step) -> None:
        if progress.due:
            progress.show((now.epoch - 1 + now.share) / now.epochs, f"epoch {now.epoch} of {now.epochs}")

    def epoch(done: Epoch) -> None:
        progress.say(done.sentence())
        tracked.metrics(done.epoch, {"mAP50": done.map50, "mAP50-95": done.map50_95})

    tracked: Tracked
    with track(out, out.parent.name, settings) as tracked:
        tracked.tags({"manifest": lesson.sha256, "data": lesson.parent})
        return train(lesson, recipe, out, told=Told(step, epoch))


def _judge(  # noqa: PLR0913, PLR0917  # what is judged by what
    settings: Settings, start: Start, model: Path, data: Manifest, folder: Path, progress: Progress
) -> Verdict:
    kept = folder / gate.FILE
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=Verdict)

    def tell(title: str, share: float) -> None:
        if progress.due:
            progress.show(share, title)

    champion = Path(start.champion)
    verdict = gate.judge_candidate(model, champion, data, settings, kept=folder / ANSWERS, tell=tell)
    kept.write_bytes(msgspec.json.format(msgspec.json.encode(verdict), indent=1))
    return verdict


def command(settings: Settings, folder: Path | None, why: str, *, as_json: bool) -> None:
    """Run a round for ``maskwatch retrain``, and print the verdict."""
    folder = folder or settings.data_dir / "rounds" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with Progress("retrain") as progress:
        progress.say(f"this round lies in {folder}; cut off, it goes on with --out {folder}")
        done = run_round(settings, folder, why, progress.say, progress)
    click.echo(msgspec.json.encode(done.verdict) if as_json else gate.table(done.verdict))
