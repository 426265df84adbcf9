"""Pictures of an evaluation: curves, confusion, calibration, and the pictures on which it went worst."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from maskwatch.messages import CLASSES, Box
from maskwatch.pictures import Pixels
from training.datasets.manifest import Entry
from training.evaluation.points import Calibration
from training.evaluation.scores import Faces
from training.evaluation.sightings import Sightings, mistakes
from training.evaluation.views import View

mpl.use("Agg")
from matplotlib import pyplot as plt  # after its backend was chosen

COLOURS = ((0, 150, 136), (227, 66, 52), (255, 179, 0))
"""Teal, vermilion and amber, as everywhere: RGB, one a class."""
TRUE = (255, 255, 255)
WORST = 12
LEAST_SIDE = 640
"""Small pictures are enlarged, so that boxes and words can be told apart."""
_DPI = 120


def draw_curves(precision: NDArray[np.float64], path: Path) -> None:
    """Draw precision over recall at an overlap of 0.5.

    Parameters
    ----------
    precision
        Of :func:`training.evaluation.scores.precisions`.
    path
        The PNG to write.
    """
    figure, axes = plt.subplots(figsize=(6, 4.5), layout="constrained")
    for index, name in enumerate(CLASSES):
        curve = precision[0, :, index, 0]
        if not np.isnan(curve).any():
            axes.plot(np.linspace(0, 1, len(curve)), curve, color=_unit(index), label=f"{name} {curve.mean():.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(title="AP50", loc="lower left")
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)


def draw_confusion(counts: NDArray[np.int64], path: Path) -> None:
    """Draw a matrix of :func:`training.evaluation.sightings.confusion`, shaded by the share of its row."""
    figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(counts))
    axes.set_xticks(ticks, [*CLASSES, "missed"], rotation=20)
    axes.set_yticks(ticks, [*CLASSES, "no face"])
    axes.set(xlabel="answer", ylabel="true")
    for row, column in np.ndindex(*counts.shape):
        dark = shares[row, column] > 0.5  # noqa: PLR2004  # half
        axes.text(column, row, counts[row, column], ha="center", va="center", color="white" if dark else "black")
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)


def draw_calibration(of: Calibration, path: Path) -> None:
    """Draw the share of answers that are right over their score."""
    figure, axes = plt.subplots(figsize=(5, 4.5), layout="constrained")
    there = [(row.mean_score, row.right, row.answers) for row in of.bins if row.right is not None]
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="score = probability")
    axes.plot([score for score, *_ in there], [right for _, right, _ in there], marker="o", color=_unit(0))
    for score, right, answers in there:
        axes.annotate(str(answers), (score, right), textcoords="offset points", xytext=(4, -10), fontsize=8)
    axes.set(xlabel="score", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="upper left")
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)


def draw_worst(  # noqa: PLR0913, PLR0917  # what is drawn, and where to
    entries: Sequence[Entry], answers: Faces, of: Sightings, view: View, score: float, folder: Path
) -> list[Path]:
    """Draw the pictures with most mistakes: what is true in white, what was answered in its colour.

    Parameters
    ----------
    entries, answers
        Pictures with their true faces, and what was answered.
    of
        What became of the faces at the score.
    view
        How they are shown.
    score
        Answers under it are left out.
    folder
        Where they go: ``01-….jpg`` is the worst.

    Returns
    -------
    list of Path
        At most twelve, none without a mistake.
    """
    shutil.rmtree(folder, ignore_errors=True)  # those of another model may lie there
    folder.mkdir(parents=True)
    wrong = mistakes(of, len(entries))
    order = [int(number) for number in np.argsort(-wrong, kind="stable")[:WORST] if wrong[number]]
    files = []
    for place, number in enumerate(order, 1):
        entry = entries[number]
        picture = simplejpeg.decode_jpeg(view.render(entry), "RGB")
        factor = max(1.0, LEAST_SIDE / max(picture.shape[:2]))
        picture = np.ascontiguousarray(cv2.resize(picture, None, fx=factor, fy=factor))
        for face in entry.faces:
            _draw_box(picture, face.box, TRUE, 1, "")
        for found in answers[number]:
            if found.score >= score:
                index = CLASSES.index(found.label)
                _draw_box(picture, found.box, COLOURS[index], 2, f"{found.label} {found.score:.2f}")
        file = folder / f"{place:02d}-{entry.sha256[:12]}.jpg"
        file.write_bytes(simplejpeg.encode_jpeg(picture, 90, "RGB"))
        files.append(file)
    return files


def _draw_box(picture: Pixels, box: Box, colour: tuple[int, int, int], thickness: int, text: str) -> None:
    height, width = picture.shape[:2]
    whole = (width, height, width, height)
    x1, y1, x2, y2 = (round(side * pixels) for side, pixels in zip(box, whole, strict=True))
    cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thickness)
    for ink, breadth in (((0, 0, 0), 3), (colour, 1)):  # dark around it, or nobody can read it on a bright wall
        cv2.putText(picture, text, (x1, max(10, y1 - 4)), cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, breadth, cv2.LINE_AA)


def _unit(index: int) -> tuple[float, ...]:
    return tuple(level / 255 for level in COLOURS[index])
