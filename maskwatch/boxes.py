"""Boxes: how much two of them are the same."""

from collections.abc import Sequence


def iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Return intersection over union of two boxes, 0 where they do not touch.

    Examples
    --------
    >>> iou((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (areas - width * height)
