"""How right answers are: COCO's average precision, by pycocotools, and what of it a bootstrap needs.

A picture's matches do not depend on other pictures. So they are worked out once, by pycocotools, and average precision
is then worked out for any weights of the pictures, for a thousand resamples at once: with every weight 1 it is
pycocotools' own figure to the last bit.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskwatch.messages import CLASSES, Box, DetectedFace
from training.artefact.serving_graph import MOST_FACES
from training.datasets.manifest import Entry
from training.errors import EvaluationError

Faces = Sequence[Sequence[DetectedFace]]
"""A model's faces on each picture."""
EVERY_AREA = (0.0, 1e10)
"""COCO's own bounds of «all»."""
_OVERLAPS = 10
_AT_ONCE = 4_000_000
"""Numbers in one array of a bootstrap; more would only fill the memory."""


class ClassMatches(NamedTuple):
    """One class's answers over all pictures, best score first in COCO's order."""

    boxes: NDArray[np.int64]
    """Shape (pictures,): true faces of this class."""
    picture: NDArray[np.int64]
    """Shape (answers,)."""
    score: NDArray[np.float64]
    """Shape (answers,)."""
    right: NDArray[np.bool_]
    """Shape (10, answers): whether a true face is covered, at an overlap of 0.5, 0.55 … 0.95."""


Matches = tuple[ClassMatches, ...]
"""One for each of :data:`maskwatch.messages.CLASSES`."""


def judge(
    entries: Sequence[Entry],
    answers: Faces,
    areas: Sequence[tuple[float, float]] = (EVERY_AREA,),
    scales: Sequence[float] | None = None,
    *,
    by_class: bool = True,
) -> COCOeval:
    """Let pycocotools match answers to true faces, picture by picture.

    Parameters
    ----------
    entries
        Pictures with their true faces.
    answers
        As many.
    areas
        Bounds of areas in pixels, each judged for itself.
    scales
        Factor of each picture's pixels, where areas are not those of the picture; its own pixels without it.
    by_class
        Whether an answer of another class counts as wrong; without it, classes are not looked at.

    Returns
    -------
    COCOeval
        Evaluated, not yet accumulated. Ids of faces count from 1, over pictures in their order.

    Raises
    ------
    EvaluationError
        If there is no true face: nothing could be right.
    """
    if not any(entry.faces for entry in entries):
        raise EvaluationError("there is nothing to evaluate on: no picture of the set shows a face")
    factors = [1.0] * len(entries) if scales is None else scales
    truth = [
        {"image_id": number, "category_id": CLASSES.index(face.label), "bbox": bbox, "area": bbox[2] * bbox[3]}
        for number, (entry, factor) in enumerate(zip(entries, factors, strict=True))
        for face in entry.faces
        for bbox in [_bbox(face.box, entry, factor)]
    ]
    found = [
        {
            "image_id": number,
            "category_id": CLASSES.index(face.label),
            "bbox": _bbox(face.box, entry, factor),
            "score": face.score,
        }
        for number, (entry, factor, faces) in enumerate(zip(entries, factors, answers, strict=True))
        for face in faces
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": number} for number in range(len(entries))],
            "categories": [{"id": index, "name": name} for index, name in enumerate(CLASSES)],
            "annotations": [{"id": number, "iscrowd": 0, **item} for number, item in enumerate(truth, 1)],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found) if found else COCO(), "bbox")
        evaluation.params.useCats = int(by_class)
        evaluation.params.areaRng = [list(area) for area in areas]
        # As many as a worker may report, where COCO stops at 100: some crowds have more faces.
        evaluation.params.maxDets = [MOST_FACES]
        evaluation.evaluate()
    return evaluation


def precisions(evaluation: COCOeval) -> NDArray[np.float64]:
    """Let pycocotools accumulate.

    Returns
    -------
    NDArray
        Shape (10 overlaps, 101 recalls, classes, areas); NaN where no picture shows a face of that class and area.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0]
    return np.where(precision < 0, np.nan, precision)


def matches(evaluation: COCOeval) -> Matches:
    """Collect what :func:`judge` matched, of its first area, in the form that can be weighed."""
    pictures, areas = len(evaluation.params.imgIds), len(evaluation.params.areaRng)
    collected = []
    for index in range(len(CLASSES)):
        start = index * areas * pictures
        rows: list[dict[str, Any] | None] = evaluation.evalImgs[start : start + pictures]
        there = [(number, row) for number, row in enumerate(rows) if row is not None]
        boxes = np.zeros(pictures, np.int64)
        for number, row in there:
            boxes[number] = len(row["gtIds"])
        score = np.concatenate([np.asarray(row["dtScores"], np.float64) for _, row in there] or [np.zeros(0)])
        picture = np.concatenate(
            [np.full(len(row["dtScores"]), number, np.int64) for number, row in there] or [np.zeros(0, np.int64)]
        )
        right = np.concatenate(
            [np.asarray(row["dtMatches"]) > 0 for _, row in there] or [np.zeros((_OVERLAPS, 0), np.bool_)], axis=1
        )
        order = np.argsort(-score, kind="mergesort")
        collected.append(ClassMatches(boxes, picture[order], score[order], right[:, order]))
    return tuple(collected)


def average_precision(of: ClassMatches, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Work out COCO's average precision of one class for many weighings of the pictures.

    A picture of weight 2 counts as if it were there twice, one of weight 0 as if it were not there.

    Parameters
    ----------
    of
        The class's matches.
    weights
        Shape (resamples, pictures), whole numbers.

    Returns
    -------
    NDArray
        Shape (resamples, 10), one for each overlap; NaN where no weighed picture shows the class.
    """
    resamples = max(1, _AT_ONCE // max(1, len(of.picture)))
    return np.concatenate(
        [_average_precision(of, weights[start : start + resamples]) for start in range(0, len(weights), resamples)]
    )


def _average_precision(of: ClassMatches, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    recalls = np.linspace(0.0, 1.0, 101)
    boxes = weights @ of.boxes
    rows = np.arange(len(weights))[:, None]
    answered = np.cumsum(weights[:, of.picture], axis=1)
    averages = np.zeros((len(weights), _OVERLAPS))
    for overlap, right in enumerate(of.right):
        # Only where an answer is right does recall grow, and there precision is at its best.
        places = np.flatnonzero(right)
        hits = np.cumsum(weights[:, of.picture[places]], axis=1)
        precision = hits / (answered[:, places] + np.spacing(1))
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        # What is not reached has precision 0.
        envelope = np.concatenate([envelope, np.zeros((len(weights), 1))], axis=1)
        # For each recall, the first place at which it is reached: how many places have reached fewer of the recalls.
        reached = np.searchsorted(recalls, hits / np.maximum(boxes, 1)[:, None], side="right")
        width = len(recalls) + 1
        counts = np.bincount((rows * width + reached).ravel(), minlength=len(weights) * width)
        first = np.cumsum(counts.reshape(len(weights), width)[:, :-1], axis=1)
        averages[:, overlap] = np.take_along_axis(envelope, first, axis=1).mean(axis=1)
    averages[boxes == 0] = np.nan
    return averages


def _bbox(box: Box, entry: Entry, factor: float) -> list[float]:
    x1, y1, x2, y2 = box
    width, height = entry.width * factor, entry.height * factor
    return [x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height]
