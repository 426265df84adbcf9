"""``maskwatch train``: one training as a person starts it, watched on the screen and told to MLflow."""

from pathlib import Path
from typing import Any

import msgspec

from maskwatch.command import Progress
from maskwatch.settings import Settings
from training.datasets.manifest import Manifest, load
from training.errors import TrainingError
from training.progress import Epoch, Step
from training.recipe import Recipe, read_recipe, recipe_of
from training.tracking import Tracked, track
from training.train import Told, claim, official_checkpoint, train

ARCHITECTURES = ("yolov8n", "yolov8s", "yolo26n")
CURVES = ("results.png", "confusion_matrix.png", "confusion_matrix_normalized.png", "BoxPR_curve.png")
SAMPLES = ("val_batch0_labels.jpg", "val_batch0_pred.jpg")


def command(  # noqa: PLR0913  # a command line
    settings: Settings,
    manifest: Path,
    out: Path,
    *,
    recipe: Path | None,
    model: str | None,
    online: bool,
    hours: float | None,
    changes: dict[str, Any],
) -> str:
    """Train, and return where the result lies and what comes next.

    Parameters
    ----------
    settings
        Which MLflow.
    manifest
        The data.
    out
        The run's folder; one that holds a run cut off is gone on with.
    recipe
        A file to begin with; `changes` come on top.
    model
        One of :data:`ARCHITECTURES`, or a checkpoint's file; None takes the recipe's.
    online
        Whether an official checkpoint may be fetched.
    hours
        See :func:`training.train.train`.
    changes
        Fields of :class:`training.recipe.Recipe`.

    Raises
    ------
    TrainingError
        If there is no such recipe, manifest or checkpoint, or the training fails.
    """
    data = load(manifest)
    chosen = chosen_recipe(recipe, _start(model, out, online=online), changes)
    # Whose folder it is not is told nothing: MLflow may have a training that is over under that name.
    used = claim(out, data, chosen)
    with Progress("training") as bar, track(out, out.name, settings) as tracked:
        tracked.parameters(_parameters(chosen))
        tracked.tags({"manifest": used.sha256, "sources": ", ".join(used.sources)})
        tracked.keep(out / "manifest.json")

        def step(now: Step) -> None:
            if bar.due:
                done = (now.epoch - 1 + now.share) / now.epochs
                bar.show(done, f"epoch {now.epoch} of {now.epochs}, {_minutes(now.seconds_left)} left")

        def epoch(done: Epoch) -> None:
            bar.say(done.sentence())
            tracked.metrics(done.epoch, _numbers(done))

        best = train(data, chosen, out, told=Told(step, epoch), hours=hours)
        _keep_pictures(tracked, out / "run", used)
    return f"{best}\nnext: maskwatch export {out} --name NAME --version VERSION --out FOLDER"


def chosen_recipe(file: Path | None, start: Path | None, changes: dict[str, Any]) -> Recipe:
    """Put a recipe together from a file and from what was said beside it.

    Raises
    ------
    TrainingError
        If the file is no recipe, a value does not fit, or nothing says where to start.
    """
    said = dict(changes)
    if start is not None:
        said["weights"] = start
    try:
        known: dict[str, Any] = msgspec.structs.asdict(read_recipe(file)) if file is not None else {}
        if "weights" not in said | known:
            raise TrainingError("nothing says where to start: name --model, or a --recipe with weights")
        return recipe_of(known | said)
    except (ValueError, OSError) as error:
        raise TrainingError(str(error)) from error


def _start(model: str | None, out: Path, *, online: bool) -> Path | None:
    if model is None:
        return None
    if model not in ARCHITECTURES:
        return Path(model)
    if not online:
        raise TrainingError(
            f"{model}'s official checkpoint is fetched only when you say so: add --online, or name your own file: "
            f"--model {model}.pt"
        )
    return official_checkpoint(model, out)


def _parameters(recipe: Recipe) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(recipe, enc_hook=str)
    return {**told, "weights": recipe.weights.name}


def _numbers(epoch: Epoch) -> dict[str, float]:
    losses = {f"loss/{name}": value for name, value in epoch.losses.items()}
    return {
        **losses,
        "val/mAP50": epoch.map50,
        "val/mAP50-95": epoch.map50_95,
        "learning_rate": epoch.learning_rate,
        "seconds": epoch.seconds,
    }


def _keep_pictures(tracked: Tracked, run: Path, data: Manifest) -> None:
    # An installation's own frames must be erasable: they are never copied into a run.
    own = any(entry.part == "holdout" for entry in data.entries)
    for folder, names in (("curves", CURVES), ("samples", () if own else SAMPLES)):
        for name in names:
            if (run / name).exists():
                tracked.keep(run / name, folder)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004  # an hour and a half
