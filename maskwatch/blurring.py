"""Faces that nobody can make out any more, on a copy of a picture."""

from collections.abc import Sequence

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from maskwatch.errors import PictureError
from maskwatch.messages import Box

MOSAIC = 4
"""A face becomes so many squares on a side: too few for anybody to be known by."""

AROUND = 0.15
"""Of the box's sides, that is hidden on each side of it too."""

QUALITY = 85
PIXELATED = 16
"""Where nobody knows where the faces are, the whole picture's longer side becomes so many squares."""


def blurred(jpeg: bytes, boxes: Sequence[Box] | None) -> bytes:
    """Return a picture whose faces are a mosaic; what was below is gone from it.

    Parameters
    ----------
    jpeg
        The picture.
    boxes
        Of the faces, in 0..1 of the picture; None if it is not known where there are any.

    Raises
    ------
    PictureError
        If it cannot be decoded.

    Examples
    --------
    >>> noise = np.random.default_rng(1).integers(0, 256, (80, 80, 3), np.uint8)
    >>> drawn = simplejpeg.decode_jpeg(blurred(simplejpeg.encode_jpeg(noise), [(0.25, 0.25, 0.5, 0.5)]), "RGB")
    >>> bool(drawn[20:40, 20:40].std() < 0.5 * drawn[50:].std())
    True
    """
    try:
        pixels = np.array(simplejpeg.decode_jpeg(jpeg, "RGB"))
    except ValueError as error:
        raise PictureError(f"the picture cannot be decoded: {error}") from error
    height, width = pixels.shape[:2]
    if boxes is None:
        side = max(width, height) / PIXELATED
        _hide(pixels, (max(1, round(width / side)), max(1, round(height / side))))
    for x1, y1, x2, y2 in boxes or ():
        across, down = AROUND * (x2 - x1), AROUND * (y2 - y1)
        left, right = (round(min(1, max(0, x)) * width) for x in (x1 - across, x2 + across))
        top, bottom = (round(min(1, max(0, y)) * height) for y in (y1 - down, y2 + down))
        if right > left and bottom > top:
            _hide(pixels[top:bottom, left:right], (MOSAIC, MOSAIC))
    return bytes(simplejpeg.encode_jpeg(pixels, QUALITY, "RGB"))


def _hide(part: NDArray[np.uint8], squares: tuple[int, int]) -> None:
    small = cv2.resize(part, squares, interpolation=cv2.INTER_AREA)
    part[:] = cv2.resize(small, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_NEAREST)
