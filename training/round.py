"""``maskwatch retrain``: one round of the learning loop, from people's labels to a verdict and, if it is good, a swap.

A round has a folder, and every step leaves something in it: killed anywhere and started again, it goes on where it
was. Labels are brought from the store, a new version of the data is made, the champion's checkpoint is trained on, and
the result is exported, judged by the gate and proposed to the rollout, which promotes it if the verdict says so.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from maskwatch.command import Progress
from maskwatch.files import write_whole
from maskwatch.model import read_card
from maskwatch.model_messages import Lesson, PublishedModel, Verdict
from maskwatch.promoting import champion_of, find, propose, versions_of
from maskwatch.published import CHECKPOINT, fetch, fetch_checkpoint, named
from maskwatch.rounds import alone, expected_minutes
from maskwatch.settings import MODELS, Settings
from maskwatch.store import Store
from training import draws, gate, rehearsal
from training.artefact.export import Plan, export, history
from training.datasets import manifest as manifests
from training.datasets.manifest import Manifest
from training.errors import TrainingError
from training.progress import Epoch, Step, Telling
from training.recipe import Recipe
from training.tracking import Tracked, track
from training.train import Told, train

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
    telling = Telling(folder)
    start = _start(settings, folder, store)
    telling.tell(stage="data", share=0.0)
    data, sources = _data(settings, folder, store, say)
    lesson, shares = rehearsal.lesson(data, sources, settings.retrain)
    recipe = _recipe(settings, start, shares)
    about = _about(data, lesson, sources, recipe)
    minutes = expected_minutes(about.drawn, recipe.epochs)
    say(f"{about.drawn} pictures an epoch, {recipe.epochs} epochs: about {max(1, round(minutes))} min on two cores")
    telling.tell(stage="training", epochs=recipe.epochs, lesson=about, expected_minutes=minutes)
    checkpoint = _train(settings, lesson, recipe, folder / TRAINING, progress, telling)
    model = folder / MODEL
    if not (model / "model.json").exists():
        say("exporting")
        telling.tell(stage="exporting", share=0.0, seconds_left=None)
        plan = Plan(read_card(Path(start.champion)).name, start.version, data=data.sha256, history=history(checkpoint))
        export(checkpoint, lesson.part("train"), MODELS / "default" / "golden.jpg", model, plan)
    telling.tell(stage="judging", share=0.0, seconds_left=None, model=named(model))
    verdict = _judge(settings, Path(start.champion), model, data, folder, progress, telling)
    telling.tell(stage="proposing", share=0.0)
    if not (folder / PROPOSED).exists():
        command = asyncio.run(propose(settings, model, verdict, start.sha256, why))
        write_whole(folder / PROPOSED, command.encode())
    _tidy(folder)
    return Round(verdict, folder)


def evaluate(settings: Settings, folder: Path, which: str, say: Say, progress: Progress) -> Round:
    """Judge a published version against the champion on what a round would be judged on; nothing is promoted.

    Parameters
    ----------
    settings, folder, say, progress
        As for a round.
    which
        The version, or its SHA-256.

    Raises
    ------
    ModelError
        If there is no such version, or the champion's model cannot be used.
    MaskwatchError
        If the store or Kafka cannot be used, or there is nothing to judge by.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(settings)
    telling = Telling(folder)
    candidate = find(which, asyncio.run(versions_of(settings)))
    telling.tell(stage="data", share=0.0, model=candidate)
    champion, _ = _champion(settings, store)
    data, _ = _data(settings, folder, store, say, learning=False)
    telling.tell(stage="judging", share=0.0)
    verdict = _judge(settings, champion, fetch(candidate, store, settings), data, folder, progress, telling)
    _tidy(folder)
    return Round(verdict, folder)


def _about(data: Manifest, lesson: Manifest, labelled: frozenset[str], recipe: Recipe) -> Lesson:
    train = lesson.part("train")
    mine = [entry for entry in data.entries if entry.source in labelled and entry.part in {"train", "holdout"}]
    return Lesson(
        learnt=sum(entry.source in labelled for entry in train),
        holdout=sum(entry.part == "holdout" for entry in mine),
        rehearsed=sum(entry.source not in labelled for entry in train),
        drawn=round(float(draws.weights(train, recipe.rare, recipe.shares).sum())),
        faces=dict(Counter(face.label for entry in mine for face in entry.faces).most_common()),
        sources=dict(Counter(entry.source for entry in mine).most_common()),
    )


def _tidy(folder: Path) -> None:
    # People's pictures stay in the store alone, where they can be erased; Ultralytics draws some of its batches.
    for own in (PICTURES, f"{TRAINING}/data"):
        shutil.rmtree(folder / own, ignore_errors=True)
    for drawn in (folder / TRAINING / "run").glob("*.jpg"):
        drawn.unlink()


def _start(settings: Settings, folder: Path, store: Store) -> Start:
    kept = folder / START
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=Start)
    model, published = _champion(settings, store)
    checkpoint = fetch_checkpoint(published, store, settings) if published else model / CHECKPOINT
    start = Start(
        str(model), str(checkpoint), published.sha256 if published else "", f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    )
    if not Path(start.checkpoint).exists():
        raise TrainingError(f"{start.champion} has no {CHECKPOINT}: without it nothing can be trained on")
    write_whole(kept, msgspec.json.encode(start))
    return start


def _champion(settings: Settings, store: Store) -> tuple[Path, PublishedModel | None]:
    """Return the champion's folder, and what it is called in the store; None if it is each worker's own."""
    champion = asyncio.run(champion_of(settings))
    if champion is None or champion.model is None:
        return settings.detector.model, None
    return fetch(champion.model, store, settings), champion.model


def _data(
    settings: Settings, folder: Path, store: Store, say: Say, *, learning: bool = True
) -> tuple[Manifest, frozenset[str]]:
    labels, pseudo = rehearsal.labels(store), rehearsal.by_models(store, settings)
    sources = frozenset(label.source for label in labels)
    if (folder / MANIFEST).exists():
        # What was erased meanwhile is gone from here too: a training that needs it fails, and another round begins.
        for picture in (folder / PICTURES).glob("*.jpg"):
            if picture.stem not in {label.sha256 for label in (*labels, *pseudo)}:
                picture.unlink()
        rehearsal.pictures((*labels, *pseudo), store, folder / PICTURES, settings.retrain.burst_s)
        return manifests.load(folder / MANIFEST), sources
    pictures = rehearsal.pictures(labels, store, folder / PICTURES, settings.retrain.burst_s)
    if learning and not pictures:
        raise TrainingError(
            "there is nothing to learn from: nobody has labelled a picture yet (Review, in the console)"
        )
    known = rehearsal.base(settings.retrain, settings.data_dir / "rehearsal")
    pictures += rehearsal.pictures(pseudo, store, folder / PICTURES, settings.retrain.burst_s)
    alone = frozenset(label.source for label in pseudo)
    data = manifests.build(pictures, previous=known, labels=sources, train_only=alone)
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
        # val is of the world as it was, and would choose the epoch that has learnt least of the new one.
        keep="last",
        shares=shares,
    )


def _train(  # noqa: PLR0913, PLR0917  # what is trained, where, and who is told
    settings: Settings, lesson: Manifest, recipe: Recipe, out: Path, progress: Progress, telling: Telling
) -> Path:
    def step(now: Step) -> None:
        telling.step(now)
        if progress.due:
            progress.show((now.epoch - 1 + now.share) / now.epochs, f"epoch {now.epoch} of {now.epochs}")

    def epoch(done: Epoch) -> None:
        progress.say(done.sentence())
        telling.epoch(done)
        tracked.metrics(done.epoch, {"mAP50": done.map50, "mAP50-95": done.map50_95})

    tracked: Tracked
    with track(out, out.parent.name, settings) as tracked:
        tracked.tags({"manifest": lesson.sha256, "data": lesson.parent})
        return train(lesson, recipe, out, told=Told(step, epoch))


def _judge(  # noqa: PLR0913, PLR0917  # what is judged by what
    settings: Settings, champion: Path, model: Path, data: Manifest, folder: Path, progress: Progress, telling: Telling
) -> Verdict:
    kept = folder / gate.FILE
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=Verdict)

    def tell(title: str, share: float) -> None:
        telling.share(share)
        if progress.due:
            progress.show(share, title)

    verdict = gate.judge_candidate(model, champion, data, settings, kept=folder / ANSWERS, tell=tell)
    write_whole(kept, msgspec.json.format(msgspec.json.encode(verdict), indent=1))
    return verdict


def command(settings: Settings, folder: Path | None, why: str, judge: str | None, *, as_json: bool) -> str:
    """Run a round for ``maskwatch retrain``, or judge a version, and return the verdict as it is to be printed."""
    folder = folder or settings.data_dir / "rounds" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with Progress("retrain") as progress, alone(folder, progress.say):
        progress.say(f"this round lies in {folder}; cut off, it goes on with --out {folder}")
        if judge is None:
            done = run_round(settings, folder, why, progress.say, progress)
        else:
            done = evaluate(settings, folder, judge, progress.say, progress)
    return msgspec.json.encode(done.verdict).decode() if as_json else gate.table(done.verdict)
