"""Train a YOLO detector on a manifest with Ultralytics, offline and on as many threads as there are cores.

The only file that loads torch and Ultralytics together with the data; everything it fetches by default is switched
off, so that a machine without a network trains the same model. A run that was cut off goes on where its last epoch
ended when it is started again with the same folder.
"""

import os
import shutil
from pathlib import Path

# Read by Ultralytics and MLflow when they are imported, so they are set before.
os.environ.setdefault("YOLO_OFFLINE", "1")
os.environ.setdefault("YOLO_AUTOINSTALL", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import structlog
import torch
from matplotlib import get_data_path
from ultralytics import YOLO
from ultralytics import settings as ultralytics_settings
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import USER_CONFIG_DIR

from training.manifest import Manifest
from training.recipe import Recipe
from training.yolo_folder import write_yolo_folder

log = structlog.get_logger(__name__)


def _use_all_cores(_: DetectionTrainer) -> None:
    # Ultralytics limits torch to one thread on small machines, again at every epoch.
    # A training that was pinned to fewer cores uses those: more threads than cores would wait for each other.
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _provide_font() -> None:
    # Ultralytics fetches this font before anything else; Matplotlib's own serves as well.
    font = USER_CONFIG_DIR / "Arial.ttf"
    if not font.exists():
        shutil.copyfile(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", font)


def train(manifest: Manifest, recipe: Recipe, folder: Path) -> Path:
    """Train, or go on with a training that was cut off.

    Parameters
    ----------
    manifest
        The data; its val part chooses the best epoch.
    recipe
        How to train.
    folder
        Where the run keeps its data set, its checkpoints and its curves.

    Returns
    -------
    Path
        The best checkpoint.

    Raises
    ------
    ManifestError
        If train or val is empty.
    """
    _provide_font()
    ultralytics_settings.update({"sync": False, "mlflow": False, "tensorboard": False})
    data = write_yolo_folder(manifest, folder / "data")
    last = folder / "run" / "weights" / "last.pt"
    done = folder / "run" / "done"
    best = last.with_name("best.pt")
    if done.exists():
        log.info("training already finished", checkpoint=str(best))
        return best
    resume = last.exists()
    log.info(
        "training", resume=resume, manifest=manifest.sha256[:12], epochs=recipe.epochs, image_size=recipe.image_size
    )
    model = YOLO(str(last if resume else recipe.weights))
    model.add_callback("on_train_batch_start", _use_all_cores)
    if resume:
        model.train(resume=True)
    else:
        model.train(
            data=str(data),
            epochs=recipe.epochs,
            imgsz=recipe.image_size,
            batch=recipe.batch,
            seed=recipe.seed,
            optimizer="AdamW",
            lr0=recipe.learning_rate,
            cos_lr=True,
            close_mosaic=recipe.close_mosaic,
            warmup_epochs=1.0,
            amp=False,
            device="cpu",
            workers=1,
            cache="ram",
            plots=False,
            project=str(folder.resolve()),
            name="run",
            exist_ok=True,
        )
    done.touch()
    return best
