"""Judge an exported model in the serving runtime, on pictures that it was not trained on.

The arithmetic is COCO's (pycocotools): average precision at an overlap of 0.5, and averaged over 0.5 to 0.95.
"""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskwatch.inference import Detected, Detector
from maskwatch.messages import CLASSES
from maskwatch.model import ShapeName
from maskwatch.settings import DetectorSettings
from training.errors import TrainingError
from training.export import LOWEST_SCORE, as_jpeg
from training.manifest import Entry


class ClassFigures(msgspec.Struct, frozen=True):
    """How well one class is found; NaN where no picture shows it."""

    boxes: int
    map50: float
    map50_95: float


class Figures(msgspec.Struct, frozen=True):
    """How well a model does on a set of pictures."""

    pictures: int
    map50: float
    map50_95: float
    classes: dict[str, ClassFigures]


def evaluate(folder: Path, entries: list[Entry], shape: ShapeName, precision: str) -> Figures:
    """Run an exported model over pictures and score it.

    Parameters
    ----------
    folder
        The model, with its ``model.json``.
    entries
        Pictures with their true faces.
    shape
        Which input.
    precision
        ``fp32`` or ``int8``.

    Raises
    ------
    TrainingError
        If there is no picture, or one cannot be decoded.
    """
    if not entries:
        raise TrainingError("there is nothing to evaluate on: the part is empty")
    options = DetectorSettings.model_validate({"precision": precision, "score": LOWEST_SCORE, "max_pixels": 10**9})
    detector = Detector(folder, options)
    answers: list[dict[str, Any]] = []
    for number, entry in enumerate(entries):
        (outcome,) = detector.look([as_jpeg(Path(entry.path))], shape)
        if not isinstance(outcome, Detected):
            raise TrainingError(f"{entry.path}: {outcome.reason}")
        answers.extend(
            {
                "image_id": number,
                "category_id": CLASSES.index(face.label),
                "bbox": _pixels(face.box, entry),
                "score": face.score,
            }
            for face in outcome.faces
        )
    detector.close()
    return score(entries, answers)


def score(entries: list[Entry], answers: list[dict[str, Any]]) -> Figures:
    """Score answers in COCO's form against the true faces; `image_id` is the entry's place in the list."""
    truth = [
        {
            "image_id": number,
            "category_id": CLASSES.index(face.label),
            "bbox": _pixels(face.box, entry),
            "iscrowd": 0,
            "area": _area(face.box, entry),
        }
        for number, entry in enumerate(entries)
        for face in entry.faces
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": number, "width": e.width, "height": e.height} for number, e in enumerate(entries)],
            "categories": [{"id": index, "name": name} for index, name in enumerate(CLASSES)],
            "annotations": [{"id": index + 1, **item} for index, item in enumerate(truth)],
        }
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(answers) if answers else COCO(), "bbox")
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"]  # overlap, recall, class, area, most
    classes: dict[str, ClassFigures] = {}
    for index, name in enumerate(CLASSES):
        mine = np.where(precision[:, :, index, 0, -1] < 0, np.nan, precision[:, :, index, 0, -1])
        boxes = sum(item["category_id"] == index for item in truth)
        classes[name] = ClassFigures(boxes, float(np.mean(mine[0])), float(np.mean(mine)))
    return Figures(
        pictures=len(entries),
        map50=float(np.nanmean([figures.map50 for figures in classes.values()])),
        map50_95=float(np.nanmean([figures.map50_95 for figures in classes.values()])),
        classes=classes,
    )


def table(rows: dict[str, Figures]) -> str:
    """Write figures as a Markdown table, one row a set."""
    head = "| set | pictures | mAP50 | mAP50-95 | " + " | ".join(f"{name} (AP50, boxes)" for name in CLASSES) + " |"
    lines = [head, "|---" * (4 + len(CLASSES)) + "|"]
    for title, figures in rows.items():
        per_class = " | ".join(f"{figures.classes[name].map50:.3f} ({figures.classes[name].boxes})" for name in CLASSES)
        lines.append(f"| {title} | {figures.pictures} | {figures.map50:.3f} | {figures.map50_95:.3f} | {per_class} |")
    return "\n".join(lines)


def save(rows: dict[str, Figures], path: Path) -> None:
    """Write figures as JSON."""
    path.write_text(json.dumps(msgspec.to_builtins(rows), indent=2) + "\n")


def _pixels(box: tuple[float, float, float, float], entry: Entry) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1 * entry.width, y1 * entry.height, (x2 - x1) * entry.width, (y2 - y1) * entry.height]


def _area(box: tuple[float, float, float, float], entry: Entry) -> float:
    _, _, width, height = _pixels(box, entry)
    return width * height
