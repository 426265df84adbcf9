"""What became of every true face at one score, and of every answer that covers none.

Faces are matched whatever their class (by pycocotools, at an overlap of 0.5), so that a face that was found but told
wrongly is one mistake and not two. Confusion, finds by size and the worst pictures are all counted from this.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from maskwatch.messages import CLASSES
from training.datasets.manifest import Entry
from training.evaluation.scores import EVERY_AREA, Faces, judge, precisions

MISSED = -1
EDGES = (0, 12, 24, 48, 96)
"""Sizes of faces in pixels, each bin up to the next: the side of a square that is as large as the box."""


class Sightings(NamedTuple):
    """Columns of true faces, and of answers that cover none."""

    picture: NDArray[np.int64]
    label: NDArray[np.int64]
    """Index of the class."""
    seen: NDArray[np.int64]
    """Index of the class that was answered; :data:`MISSED` if none was."""
    area: NDArray[np.float64]
    """Of the box, in pixels of the picture."""
    false_picture: NDArray[np.int64]
    false_label: NDArray[np.int64]


class SizeBin(msgspec.Struct, frozen=True):
    """Faces of one range of sizes."""

    sizes: str
    boxes: int
    found: float | None
    """Share that is found, of whichever class; None without a face of that size."""
    right: float | None
    """Share that is found and told rightly."""
    map50: float | None
    """Mean AP50 over the classes with a face of that size, over all scores."""


def sightings(entries: Sequence[Entry], answers: Faces, score: float) -> Sightings:
    """Tell what became of every face.

    Parameters
    ----------
    entries
        Pictures with their true faces.
    answers
        As many.
    score
        Answers under it do not count.
    """
    kept = [[face for face in faces if face.score >= score] for faces in answers]
    evaluation = judge(entries, kept, by_class=False)
    picture, label, seen, area = [], [], [], []
    false_picture, false_label = [], []
    told = [CLASSES.index(face.label) for faces in kept for face in faces]
    for number, row in enumerate(evaluation.evalImgs):
        if row is None:
            continue
        # Ids of faces count over all pictures, from 1; a picture's own are in order.
        first = min(row["gtIds"], default=0)
        for identity, match in zip(row["gtIds"], row["gtMatches"][0], strict=True):
            face = entries[number].faces[identity - first]
            picture.append(number)
            label.append(CLASSES.index(face.label))
            seen.append(told[int(match) - 1] if match > 0 else MISSED)
            x1, y1, x2, y2 = face.box
            area.append((x2 - x1) * entries[number].width * (y2 - y1) * entries[number].height)
        for identity, match in zip(row["dtIds"], row["dtMatches"][0], strict=True):
            if match == 0:
                false_picture.append(number)
                false_label.append(told[identity - 1])
    return Sightings(
        picture=np.array(picture, np.int64),
        label=np.array(label, np.int64),
        seen=np.array(seen, np.int64),
        area=np.array(area, np.float64),
        false_picture=np.array(false_picture, np.int64),
        false_label=np.array(false_label, np.int64),
    )


def confusion(of: Sightings) -> NDArray[np.int64]:
    """Count what was told of what.

    Returns
    -------
    NDArray
        Shape (classes + 1, classes + 1): rows are true classes, then no face; columns are answers, then missed.
    """
    counts = np.zeros((len(CLASSES) + 1, len(CLASSES) + 1), np.int64)
    np.add.at(counts, (of.label, of.seen), 1)  # MISSED is the last column
    np.add.at(counts, (np.full(len(of.false_label), len(CLASSES)), of.false_label), 1)
    return counts


def mistakes(of: Sightings, pictures: int) -> NDArray[np.int64]:
    """Count the faces of each picture that were missed, told wrongly, or are none; shape (pictures,)."""
    wrong = of.picture[of.label != of.seen]
    return np.bincount(np.concatenate([wrong, of.false_picture]), minlength=pictures)


def by_size(
    entries: Sequence[Entry], answers: Faces, of: Sightings, scales: Sequence[float] | None = None
) -> tuple[SizeBin, ...]:
    """Score faces of each size for themselves.

    Parameters
    ----------
    entries, answers
        Pictures with their true faces, and what was answered.
    of
        What became of the faces at the serving score.
    scales
        Pixels of the input for each pixel of the picture, to bin by size in the input; else it is that in the picture.

    Returns
    -------
    tuple of SizeBin
        One for each of :data:`EDGES`.
    """
    uppers = (*EDGES[1:], None)
    # COCO's bounds are inclusive: a face on an edge belongs to the bin above alone.
    bounds = [
        (float(low**2), float(np.nextafter(high**2, 0)) if high else EVERY_AREA[1])
        for low, high in zip(EDGES, uppers, strict=True)
    ]
    ap50 = precisions(judge(entries, answers, bounds, scales))[0].mean(axis=0)  # classes, bins
    areas = of.area if scales is None else of.area * np.asarray(scales)[of.picture] ** 2
    bins = []
    for number, ((low, high), edge, upper) in enumerate(zip(bounds, EDGES, uppers, strict=True)):
        mine = (areas >= low) & (areas <= high)
        there = ~np.isnan(ap50[:, number])
        bins.append(
            SizeBin(
                f"{edge}-{upper} px" if upper else f"≥{edge} px",
                int(mine.sum()),
                _share(of.seen[mine] != MISSED),
                _share(of.seen[mine] == of.label[mine]),
                float(ap50[there, number].mean()) if there.any() else None,
            )
        )
    return tuple(bins)


def _share(of: NDArray[np.bool_]) -> float | None:
    return float(of.mean()) if len(of) else None
