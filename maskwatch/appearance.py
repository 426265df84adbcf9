"""What a picture is like as a whole: how bright, how rich in contrast, how sharp, of which colour.

Measured by the detector on pixels that it has decoded anyway, so that drift can be told without a second look.
"""

import cv2

from maskwatch.messages import FrameSignals
from maskwatch.pictures import Pixels

DIGITS = 4
_FLAT = 1e-3
"""Grey levels of 255: with less deviation than that there is nothing that could be sharp."""


def appearance(picture: Pixels) -> FrameSignals:
    """Measure a picture.

    Parameters
    ----------
    picture
        Shape (height, width, 3), RGB, without padding. Sharpness depends on the scale, so a camera's pictures are
        measured at one scale: that of the model's input.

    Returns
    -------
    FrameSignals
        Rounded to 4 digits. Of a flat picture sharpness and contrast are 0, of a black one colour too.

    Examples
    --------
    >>> import numpy as np
    >>> grey = np.full((64, 64, 3), 51, np.uint8)
    >>> appearance(grey)
    FrameSignals(brightness=0.2, contrast=0.0, sharpness=0.0, colour=0.0)
    >>> grey[::2] = 153
    >>> appearance(grey)
    FrameSignals(brightness=0.4, contrast=0.2, sharpness=4.0, colour=0.0)
    """
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(luma))
    edges = cv2.Laplacian(luma, cv2.CV_16S)
    sharpness = cv2.norm(edges, cv2.NORM_L1) / edges.size / deviation if deviation > _FLAT else 0.0
    red, _, blue, _ = cv2.mean(picture)
    colour = (red - blue) / (red + blue) if red + blue else 0.0
    return FrameSignals(
        round(mean / 255, DIGITS), round(deviation / 255, DIGITS), round(sharpness, DIGITS), round(colour, DIGITS)
    )
