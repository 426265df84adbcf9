"""Train a YOLO detector on a manifest with Ultralytics, offline and on as many threads as there are cores.

Everything that Ultralytics fetches by default is switched off, so that a machine without a network trains the same
model. A run is a folder; started again with the same folder it goes on where its last whole epoch ended.
"""

import functools
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog

from maskwatch.files import write_whole
from maskwatch.training_packages import PackagesMissingError
from training import draws
from training.datasets.catalogue import refusal_of_sources
from training.datasets.manifest import Manifest, load, save
from training.errors import DivergedError, ManifestError, TrainingError
from training.progress import Epoch, Step
from training.recipe import Recipe
from training.yolo_folder import file_stem, write_yolo_folder

try:
    from training.trainer import ExactTrainer, finish, is_over  # isort: skip  # first: it says what Ultralytics reads when it is imported
    from matplotlib import get_data_path
    from ultralytics import YOLO
    from ultralytics import settings as ultralytics_settings
    from ultralytics.utils import USER_CONFIG_DIR
    from ultralytics.utils.checks import check_yolov5u_filename
    from ultralytics.utils.downloads import attempt_download_asset
except ModuleNotFoundError as error:
    raise PackagesMissingError("Ultralytics") from error

log = structlog.get_logger(__name__)


class Told(msgspec.Struct, frozen=True):
    """Whom to tell how far it is."""

    step: Callable[[Step], None] = lambda _: None
    epoch: Callable[[Epoch], None] = lambda _: None


def train(
    manifest: Manifest, recipe: Recipe, folder: Path, *, told: Told | None = None, hours: float | None = None
) -> Path:
    """Train, or go on with a training that was cut off.

    Parameters
    ----------
    manifest
        The data; its val part chooses the best epoch, unless the recipe keeps the last.
    recipe
        How to train.
    folder
        Where the run keeps its recipe, its links to the pictures, its checkpoints and its curves.
    told
        Whom to tell how far it is.
    hours
        Stop after the epoch in which this many hours are over; None to train to the end.

    Returns
    -------
    Path
        The checkpoint that counts, in half precision.

    Raises
    ------
    ManifestError
        If train or val is empty, a picture is missing or another, or the recipe names a source that there is not.
    TrainingError
        If the folder holds a run of another recipe or manifest, or a checkpoint that is needed cannot be used.
    StageOverError
        If the time was over or it was asked to stop before the end.
    DivergedError
        If the loss is not a number.
    """
    told = told or Told()
    used = claim(folder, manifest, recipe)
    best, done = folder / "run" / "weights" / "best.pt", folder / "done"
    if done.exists():
        log.info("training already finished", checkpoint=str(best))
        return best
    _stay_offline()
    data = write_yolo_folder(used, folder / "data")
    entries = used.part("train")
    weights = draws.weights(entries, recipe.rare, recipe.shares)
    trainer = functools.partial(
        ExactTrainer,
        keep=recipe.keep,
        bf16=recipe.bf16,
        batches_a_step=max(1, round(recipe.pictures_a_step / recipe.batch)),
        degraded=recipe.degraded,
        weights={file_stem(entry): float(weight) for entry, weight in zip(entries, weights, strict=True)},
        deadline=None if hours is None else time.monotonic() + hours * 3600,
        on_step=told.step,
        on_epoch=told.epoch,
    )
    last = best.with_name("last.pt")
    log.info("training", resume=last.exists(), manifest=used.sha256[:12], epochs=recipe.epochs)
    try:
        if last.exists() and is_over(last, recipe.epochs):
            finish(last.parent)
        elif last.exists():
            YOLO(str(last)).train(trainer=trainer, resume=True)
        else:
            _load(recipe.weights).train(trainer=trainer, **arguments(recipe, data, folder))
    except RuntimeError as error:
        if "NaN" not in str(error):
            raise
        raise DivergedError(f"{error}; lower the learning rate (now {recipe.learning_rate:g})") from error
    done.touch()
    return best


def arguments(recipe: Recipe, data: Path, folder: Path) -> dict[str, Any]:
    """Say a recipe in Ultralytics' words."""
    return {
        "data": str(data),
        "project": str(folder.resolve()),
        "name": "run",
        "exist_ok": True,
        "epochs": recipe.epochs,
        "imgsz": recipe.image_size,
        "batch": recipe.batch,
        # Gradients are added up by our trainer, which leaves none over for the next epoch: that may be resumed.
        "nbs": recipe.batch,
        "seed": recipe.seed,
        "optimizer": "AdamW",
        "lr0": recipe.learning_rate,
        "lrf": recipe.last_rate,
        "cos_lr": True,
        "weight_decay": recipe.weight_decay,
        "warmup_epochs": recipe.warmup_epochs,
        # Its default, 0.1, is for SGD: AdamW moves every bias by as much a step, and a short round unlearns by it.
        "warmup_bias_lr": 0.0,
        "patience": recipe.patience,
        "mosaic": recipe.mosaic,
        "close_mosaic": recipe.close_mosaic,
        "scale": recipe.scale,
        "translate": recipe.translate,
        "degrees": recipe.rotate,
        "fliplr": recipe.flip,
        "hsv_h": recipe.hue,
        "hsv_s": recipe.saturation,
        "hsv_v": recipe.brightness,
        "amp": False,
        "device": "cpu",
        "workers": 1,
        "cache": "ram",
        "plots": True,
        **({"distill_model": str(recipe.distil_from)} if recipe.distil_from else {}),
    }


def official_checkpoint(name: str, folder: Path, fetch: Callable[[str], str] | None = None) -> Path:
    """Fetch an official checkpoint of Ultralytics, trained on COCO.

    Parameters
    ----------
    name
        Of the architecture, such as ``yolov8n``.
    folder
        Where it goes.
    fetch
        Fetches a file to a path; without it Ultralytics' own, from where they publish it.

    Raises
    ------
    TrainingError
        If it cannot be fetched.
    """
    file = folder / f"{name}.pt"
    if file.is_file():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (fetch or attempt_download_asset)(str(file))
    except Exception as error:  # Ultralytics raises what its helpers raise, of many kinds
        raise TrainingError(
            f"{name}.pt could not be fetched ({error}); name a file that you have: --model FILE"
        ) from error
    if not file.is_file():
        raise TrainingError(f"{name}.pt could not be fetched; name a file that you have: --model FILE")
    return file


def claim(folder: Path, manifest: Manifest, recipe: Recipe) -> Manifest:
    """Make a folder this training's, or see that it is; one that is refused is left as it was.

    Returns
    -------
    Manifest
        What is trained on: without the sources that the recipe leaves out.

    Raises
    ------
    ManifestError, TrainingError
        As :func:`train` does.
    """
    used = manifest.without(frozenset(recipe.without))
    if refusal := refusal_of_sources(recipe.shares.keys(), manifest.sources):
        raise ManifestError(f"shares: {refusal}")
    recipe_file, manifest_file = folder / "recipe.json", folder / "manifest.json"
    said = msgspec.json.format(msgspec.json.encode(recipe, enc_hook=str)) + b"\n"
    new = not recipe_file.exists()
    if not new and (recipe_file.read_bytes() != said or load(manifest_file).sha256 != used.sha256):
        raise TrainingError(
            f"{folder} holds a training of another recipe or manifest; name another folder, or remove it"
        )
    if not (folder / "done").exists():
        _refuse_altered(folder)
        if not (folder / "run" / "weights" / "last.pt").exists():
            _load(recipe.weights)
        if recipe.distil_from:
            _load(recipe.distil_from)
    if new:
        folder.mkdir(parents=True, exist_ok=True)
        save(used, manifest_file)
        write_whole(recipe_file, said)
    return used


def _load(checkpoint: Path) -> YOLO:
    """Load a detector's checkpoint that is here: for one that is not, Ultralytics would ask the network."""
    if not checkpoint.is_file():
        raise TrainingError(f"no checkpoint at {checkpoint}; docs/training.md says where they come from")
    _refuse_altered(checkpoint)
    try:
        # By its whole path: one of an official name alone would be fetched anew if it cannot be read.
        model = YOLO(str(checkpoint.resolve()))
    except Exception as error:  # whatever unpickling raises
        raise TrainingError(f"{checkpoint} cannot be read; name a checkpoint that Ultralytics has written") from error
    if not model.ckpt or model.task != "detect":
        raise TrainingError(f"{checkpoint} is no detector's checkpoint; name one that Ultralytics has written")
    return model


def _refuse_altered(path: Path) -> None:
    """Refuse a path that Ultralytics alters before it opens it: it would ask the network for the other one."""
    whole = str(path.resolve())
    if check_yolov5u_filename(whole.replace("'", ""), verbose=False) != whole:
        raise TrainingError(f"Ultralytics would look for {whole} elsewhere; rename it, without ' and without yolov5")


def _stay_offline() -> None:
    ultralytics_settings.update({"sync": False, "mlflow": False, "tensorboard": False})
    # Ultralytics fetches this font before anything else; Matplotlib's own serves as well.
    font = USER_CONFIG_DIR / "Arial.ttf"
    if not font.exists():
        shutil.copyfile(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", font)
