"""Train a YOLO detector on a manifest with Ultralytics, offline and on as many threads as there are cores.

The only file that loads torch and Ultralytics together with the data; everything it fetches by default is switched
off, so that a machine without a network trains the same model. A run that was cut off goes on where its last epoch
ended when it is started again with the same folder.
"""

import os
from pathlib import Path

# Read by Ultralytics and MLflow when they are imported, so they are set before.
os.environ.setdefault("YOLO_OFFLINE", "1")
os.environ.setdefault("YOLO_AUTOINSTALL", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import structlog
import torch
from ultralytics import YOLO
from ultralytics import settings as ultralytics_settings
from ultralytics.models.yolo.detect import DetectionTrainer

from maskwatch.messages import CLASSES
from training.errors import ManifestError
from training.manifest import Entry, Manifest
from training.recipe import Recipe

log = structlog.get_logger(__name__)


def write_yolo_folder(manifest: Manifest, folder: Path) -> Path:
    """Lay a manifest out as Ultralytics wants it: links to the pictures, one text file of boxes each.

    Returns
    -------
    Path
        The ``data.yaml`` to train on.

    Raises
    ------
    ManifestError
        If train or val is empty.
    """
    for part in ("train", "val", "test"):
        entries = manifest.part(part)
        if not entries and part != "test":
            message = f"the manifest has no picture in {part}"
            raise ManifestError(message)
        images, labels = folder / "images" / part, folder / "labels" / part
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            link = images / f"{entry.sha256[:16]}{Path(entry.path).suffix}"
            if not link.exists():
                link.symlink_to(Path(entry.path).resolve())
            (labels / f"{entry.sha256[:16]}.txt").write_text(_yolo_lines(entry))
    data = folder / "data.yaml"
    names = "\n".join(f"  {index}: {name}" for index, name in enumerate(CLASSES))
    data.write_text(
        f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\ntest: images/test\nnames:\n{names}\n"
    )
    return data


def _yolo_lines(entry: Entry) -> str:
    lines = []
    for face in entry.faces:
        x1, y1, x2, y2 = face.box
        lines.append(
            f"{CLASSES.index(face.label)} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n"
        )
    return "".join(lines)


def _use_all_cores(_: DetectionTrainer) -> None:
    # Ultralytics limits torch to one thread on small machines, again at every epoch.
    # A training that was pinned to fewer cores uses those: more threads than cores would wait for each other.
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


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
