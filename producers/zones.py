"""Privacy zones: parts of a picture that nobody is to see, blacked out before anything leaves the camera's machine."""

import math
from collections.abc import Sequence

import numpy as np

from maskwatch.messages import Box
from producers.source import Image


def black_out(image: Image, zones: Sequence[Box]) -> Image:
    """Return the picture with every pixel black that a zone touches.

    Parameters
    ----------
    image
        Shape (height, width, 3); left as it is.
    zones
        Boxes in 0..1 of the picture. A pixel that lies in a zone only in part is blacked out too.
    """
    if not zones:
        return image
    covered = np.ascontiguousarray(image).copy()
    height, width = image.shape[:2]
    for x1, y1, x2, y2 in zones:
        covered[math.floor(y1 * height) : math.ceil(y2 * height), math.floor(x1 * width) : math.ceil(x2 * width)] = 0
    return covered
