"""How far two answers to one picture agree: a model's with what people say, or those of two models. Pure."""

import math
from collections.abc import Sequence

from maskwatch.boxes import iou
from maskwatch.messages import DetectedFace, MarkedFace

SAME_FACE = 0.5
"""Boxes that overlap at least so much (IoU) are of the same face."""


def agreed(proposed: Sequence[DetectedFace], others: Sequence[MarkedFace | DetectedFace]) -> int:
    """Return how many faces are on both sides, with the same label; the surest of `proposed` choose first."""
    left = list(others)
    found = 0
    for face in sorted(proposed, key=lambda face: -face.score):
        for other in left:
            if face.label == other.label and iou(face.box, other.box) >= SAME_FACE:
                left.remove(other)
                found += 1
                break
    return found


def agreement(proposed: Sequence[DetectedFace], others: Sequence[MarkedFace | DetectedFace]) -> float:
    """Return how far a model's faces agree with those of somebody else.

    Parameters
    ----------
    proposed
        The model's faces.
    others
        The faces as people labelled them, or as another model sees them.

    Returns
    -------
    float
        F1 of faces with the same label and boxes of the same face; NaN if there is no face on either side.

    Examples
    --------
    >>> seen = [DetectedFace("with_mask", 0.9, (0, 0, 0.2, 0.2)), DetectedFace("with_mask", 0.5, (0.5, 0.5, 0.7, 0.7))]
    >>> round(agreement(seen, [MarkedFace("with_mask", (0, 0, 0.2, 0.21))]), 3)
    0.667
    """
    if not proposed and not others:
        return math.nan
    return 2 * agreed(proposed, others) / (len(proposed) + len(others))
