"""From a picture to what is published: scaled down, privacy zones blacked out, and a JPEG that Kafka takes."""

from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg

from maskwatch.messages import LARGEST_JPEG, Camera
from producers.source import Image
from producers.zones import black_out

LOWER_QUALITIES = (60, 40, 25)
LOWER_SCALES = (0.7, 0.5, 0.35, 0.25)


class Jpeg(NamedTuple):
    """A picture as it is published; sides in pixels."""

    data: bytes
    width: int
    height: int


def to_jpeg(image: Image, camera: Camera, limit: int = LARGEST_JPEG) -> Jpeg | None:
    """Make the JPEG of a camera's picture.

    Parameters
    ----------
    image
        Shape (height, width, 3), BGR; left as it is.
    camera
        Says the longest side, the quality and the privacy zones.
    limit
        Bytes at most: the quality is lowered until it fits, then the size.

    Returns
    -------
    Jpeg or None
        None if it does not fit at any size worth having.
    """
    fitting = black_out(_scaled(image, min(1.0, camera.longest_side / max(image.shape[:2]))), camera.zones)
    qualities = (camera.quality, *(quality for quality in LOWER_QUALITIES if quality < camera.quality))
    attempts = [(1.0, quality) for quality in qualities] + [(scale, qualities[-1]) for scale in LOWER_SCALES]
    for scale, quality in attempts:
        picture = _scaled(fitting, scale)
        data = simplejpeg.encode_jpeg(
            np.ascontiguousarray(picture), quality=quality, colorspace="BGR", colorsubsampling="420", fastdct=False
        )
        if len(data) <= limit:
            return Jpeg(data, picture.shape[1], picture.shape[0])
    return None


def _scaled(image: Image, scale: float) -> Image:
    if scale == 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    # OpenCV's stubs do not know that the type of the pixels stays.
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
