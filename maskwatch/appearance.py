"""What a picture is like as a whole: how bright, how rich in contrast, how sharp, of which colour, how compressed.

Measured by the detector on pixels that it has decoded anyway, so that drift can be told without a second look.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwatch.messages import FrameSignals
from maskwatch.pictures import Pixels, Unpacked

DIGITS = 4
_LEAST_BLOCK = 2
_UNSEEN = 0.02
"""Grey levels of a step that nobody sees; without it nothing could be said of a picture that is all blocks."""
_FLAT = 1e-3
"""Grey levels of 255: with less deviation than that there is nothing that could be sharp."""


def appearance(picture: Pixels, unpacked: Unpacked) -> FrameSignals:
    """Measure a picture.

    Parameters
    ----------
    picture
        Shape (height, width, 3), RGB, without padding. Sharpness depends on the scale, so a camera's pictures are
        measured at one scale: that of the model's input.
    unpacked
        The same picture before it was brought to that scale, for its JPEG's blocks lie as they did then.

    Returns
    -------
    FrameSignals
        Rounded to 4 digits. Of a flat picture sharpness and contrast are 0, of a black one colour too; of one that was
        decoded so small that its blocks have no inside, blockiness is undefined (None).

    Examples
    --------
    >>> grey = np.full((64, 64, 3), 51, np.uint8)
    >>> appearance(grey, Unpacked(grey, (64, 64), 8))
    FrameSignals(brightness=0.2, contrast=0.0, sharpness=0.0, colour=0.0, blockiness=1.0)
    >>> grey[::2] = 153
    >>> appearance(grey, Unpacked(grey, (64, 64), 8))
    FrameSignals(brightness=0.4, contrast=0.2, sharpness=4.0, colour=0.0, blockiness=1.0)
    """
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(luma))
    edges = cv2.Laplacian(luma, cv2.CV_16S)
    sharpness = cv2.norm(edges, cv2.NORM_L1) / edges.size / deviation if deviation > _FLAT else 0.0
    red, _, blue, _ = cv2.mean(picture)
    colour = (red - blue) / (red + blue) if red + blue else 0.0
    blocks = blockiness(np.asarray(cv2.cvtColor(unpacked.pixels, cv2.COLOR_RGB2GRAY), np.uint8), unpacked.block)
    return FrameSignals(
        round(mean / 255, DIGITS),
        round(deviation / 255, DIGITS),
        round(sharpness, DIGITS),
        round(colour, DIGITS),
        None if blocks is None else round(blocks, DIGITS),
    )


def blockiness(luma: NDArray[np.uint8], block: int) -> float | None:
    """Return how much larger steps between pixels are at the borders of blocks than within them.

    Parameters
    ----------
    luma
        Shape (height, width).
    block
        Side of the blocks in pixels; the first begins at the corner.

    Returns
    -------
    float or None
        1 if the blocks cannot be seen; None if nothing lies within them.

    Examples
    --------
    >>> blocks = np.kron(np.array([[0, 90], [90, 0]], np.uint8), np.ones((8, 8), np.uint8))
    >>> blockiness(blocks, 1), round(blockiness(blocks + np.arange(16, dtype=np.uint8), 8), 1)
    (None, 176.5)
    """
    if block < _LEAST_BLOCK or min(luma.shape) <= block:
        return None
    borders = inside = 0.0
    for mean_over, steps in enumerate(
        (cv2.absdiff(luma[:, 1:], luma[:, :-1]), cv2.absdiff(luma[1:], luma[:-1])),
    ):
        means = cv2.reduce(steps, mean_over, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
        at_border = np.arange(1, len(means) + 1) % block == 0
        borders += float(means[at_border].mean())
        inside += float(means[~at_border].mean())
    return (borders + _UNSEEN) / (inside + _UNSEEN)
