"""What a camera does to a picture: exposure, colour cast, blur and sensor noise, as the scene's knobs say."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwatch.messages import SceneKnobs
from producers.source import Image

_SPARE = 64
"""Noise tiles are this many pixels larger than the frame, so that they can be laid differently every time."""
_CAST = np.array([-0.45, -0.06, 0.30])
"""How the gain of blue, green and red changes from neutral to orange."""


def look_through(image: Image, knobs: SceneKnobs, rng: np.random.Generator) -> Image:
    """Take a picture as a camera with these knobs would.

    Parameters
    ----------
    image
        May be changed in place.
    knobs
        Only light, colour, blur and noise matter here.
    rng
        Moves the noise.

    Returns
    -------
    Image
        The same array where nothing asked for another.
    """
    if knobs.light != 1 or knobs.colour:
        image = np.asarray(cv2.LUT(image, _exposure(knobs.light, knobs.colour)), np.uint8)
    if knobs.blur >= 0.2:  # noqa: PLR2004  # less than that changes nothing
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), knobs.blur), np.uint8)
    if knobs.noise:
        height, width = image.shape[:2]
        brighter, darker = _noise(knobs.noise, width, height)
        x, y = (int(v) for v in rng.integers(_SPARE, size=2))
        part = np.s_[y : y + height, x : x + width]
        cv2.add(image, brighter[part], dst=image)
        cv2.subtract(image, darker[part], dst=image)
    return image


@lru_cache(maxsize=8)
def _exposure(light: float, colour: float) -> NDArray[np.uint8]:
    gain = light * (1 + _CAST * colour)
    curve = np.arange(256)[None, :, None] * gain[None, None, :]
    return np.clip(curve, 0, 255).astype(np.uint8)


@lru_cache(maxsize=2)
def _noise(deviation: float, width: int, height: int) -> tuple[Image, Image]:
    """Return what to add and what to subtract."""
    shape = (height + _SPARE, width + _SPARE, 3)
    noise = np.random.default_rng(5).standard_normal(shape, np.float32) * np.float32(deviation)
    return np.clip(noise, 0, 255).astype(np.uint8), np.clip(-noise, 0, 255).astype(np.uint8)
