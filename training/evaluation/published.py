"""The figures that others publish: Ultralytics' own arithmetic, on the answers that were given in the serving runtime.

Its average precision integrates the curve more generously than COCO's, so the two stand side by side. Only where
Ultralytics is installed.
"""

import importlib.util
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from maskwatch.messages import CLASSES, Box
from training.datasets.manifest import Entry
from training.evaluation.scores import Faces


class Published(msgspec.Struct, frozen=True):
    """Ultralytics' figures: means over the classes that the pictures show."""

    map50: float
    map50_95: float
    precision: float
    """At the score with the best mean F1."""
    recall: float
    """At the same score."""


def available() -> bool:
    """Tell whether Ultralytics is installed."""
    return importlib.util.find_spec("ultralytics") is not None


def published(entries: Sequence[Entry], answers: Faces) -> Published:
    """Score answers as Ultralytics does.

    Parameters
    ----------
    entries
        Pictures with their true faces.
    answers
        As many, best score first.
    """
    os.environ.setdefault("YOLO_OFFLINE", "1")
    os.environ.setdefault("YOLO_AUTOINSTALL", "0")
    import torch  # noqa: PLC0415  # seconds
    from ultralytics.models.yolo.detect import DetectionValidator  # noqa: PLC0415
    from ultralytics.utils.metrics import ap_per_class, box_iou  # noqa: PLC0415

    right, scores, labels, truth = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:  # it makes one, even to multiply
        validator = DetectionValidator(save_dir=Path(folder))
        for entry, faces in zip(entries, answers, strict=True):
            seen = torch.tensor([CLASSES.index(face.label) for face in faces])
            real = torch.tensor([CLASSES.index(face.label) for face in entry.faces])
            scores += [face.score for face in faces]
            labels += seen.tolist()
            truth += real.tolist()
            if len(seen) and len(real):
                overlaps = box_iou(
                    torch.tensor([_pixels(face.box, entry) for face in entry.faces]),
                    torch.tensor([_pixels(face.box, entry) for face in faces]),
                )
                right.append(validator.match_predictions(seen, real, overlaps).numpy())
            else:
                right.append(np.zeros((len(seen), validator.niou), bool))
    _, _, precision, recall, _, ap, *_ = ap_per_class(
        np.concatenate(right), np.array(scores), np.array(labels), np.array(truth)
    )
    return Published(float(ap[:, 0].mean()), float(ap.mean()), float(precision.mean()), float(recall.mean()))


def _pixels(box: Box, entry: Entry) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1 * entry.width, y1 * entry.height, x2 * entry.width, y2 * entry.height]
