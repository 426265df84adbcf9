"""What befalls pictures where cameras stand: too little light, too much, a lens out of focus, motion, noise.

Named changes of three strengths each, so that training, the robustness table and the drift recordings mean the same
thing by «dim». Pure: the same picture, change, strength and seed give the same pixels.
"""

from collections.abc import Callable
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwatch.pictures import PADDING, Pixels

Change = Literal[
    "dim", "over_exposed", "defocused", "motion_blurred", "noisy", "jpeg", "colour_cast", "small"
]  # fmt: skip
CHANGES: tuple[Change, ...] = get_args(Change)
Strength = Literal[1, 2, 3]
STRENGTHS: tuple[Strength, ...] = get_args(Strength)

REFERENCE_SIDE = 640
"""Blurs are given for a picture of this long side and grow with it, as a lens's would."""

_LIGHT = {"dim": (0.5, 0.3, 0.15), "over_exposed": (1.6, 2.3, 3.5)}
"""Factors on grey levels; over 1 the bright parts are cut off, as a sensor does."""
_DEFOCUS = (1.2, 2.2, 4.0)
"""Standard deviations in pixels of the reference."""
_MOTION = (5, 9, 17)
"""Lengths in pixels of the reference."""
_NOISE = (8.0, 18.0, 35.0)
"""Standard deviations in grey levels of 255."""
_QUALITY = (50, 30, 12)
_CAST = (0.15, 0.3, 0.5)
"""Share by which red grows and blue shrinks."""
_SCALE = (0.7, 0.5, 0.33)
"""The picture, shrunk in the middle of a grey canvas of its old size."""


def degrade(picture: Pixels, change: Change, strength: Strength, seed: int = 0) -> Pixels:
    """Change a picture.

    Parameters
    ----------
    picture
        Shape (height, width, 3), RGB; it is not altered.
    change
        What befalls it.
    strength
        1 is noticeable, 2 is strong, 3 is as bad as a camera that is still watched gets.
    seed
        Of the noise and of the direction of motion.

    Returns
    -------
    Pixels
        The same shape. Only ``small`` moves what is in the picture: see :func:`moved`.

    Examples
    --------
    >>> grey = np.full((4, 4, 3), 100, np.uint8)
    >>> int(degrade(grey, "dim", 2)[0, 0, 0]), int(degrade(grey, "over_exposed", 3)[0, 0, 0])
    (30, 255)
    """
    return _BY_NAME[change](picture, strength - 1, np.random.default_rng(seed))


def moved(box: tuple[float, float, float, float], change: Change, strength: Strength) -> tuple[float, ...]:
    """Return where a box of the picture lies once it was changed, in 0..1.

    Examples
    --------
    >>> moved((0.0, 0.0, 1.0, 0.5), "small", 2), moved((0.1, 0.1, 0.2, 0.2), "dim", 3)
    ((0.25, 0.25, 0.75, 0.5), (0.1, 0.1, 0.2, 0.2))
    """
    if change != "small":
        return box
    scale = _SCALE[strength - 1]
    return tuple(0.5 + (side - 0.5) * scale for side in box)


def _lit(factors: tuple[float, float, float]) -> Callable[[Pixels, int, np.random.Generator], Pixels]:
    def change(picture: Pixels, level: int, _: np.random.Generator) -> Pixels:
        return _by_table(picture, np.arange(256) * factors[level])

    return change


def _defocused(picture: Pixels, level: int, _: np.random.Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), _DEFOCUS[level] * _size(picture)), np.uint8)


def _motion_blurred(picture: Pixels, level: int, random: np.random.Generator) -> Pixels:
    length = max(3, round(_MOTION[level] * _size(picture)))
    kernel = np.zeros((length, length), np.float32)
    middle, angle = (length - 1) / 2, random.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * middle
    begin, end = (tuple(round(float(middle + sign * step)) for step in reach) for sign in (-1, 1))
    cv2.line(kernel, begin, end, 1.0)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)


def _noisy(picture: Pixels, level: int, random: np.random.Generator) -> Pixels:
    noise = random.standard_normal(picture.shape, np.float32) * _NOISE[level]
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _jpeg(picture: Pixels, level: int, _: np.random.Generator) -> Pixels:
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY[level]])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def _colour_cast(picture: Pixels, level: int, _: np.random.Generator) -> Pixels:
    cast = np.arange(256)[:, None] * (1 + _CAST[level] * np.array([1, 0, -1]))
    return _by_table(picture, cast)


def _small(picture: Pixels, level: int, _: np.random.Generator) -> Pixels:
    height, width = picture.shape[:2]
    inner = (max(1, round(width * _SCALE[level])), max(1, round(height * _SCALE[level])))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas = np.full_like(picture, PADDING)
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    return canvas


def _by_table(picture: Pixels, table: NDArray[np.floating]) -> Pixels:
    levels = np.clip(np.rint(table), 0, 255).astype(np.uint8)
    if levels.ndim == 1:
        return np.asarray(levels[picture], np.uint8)
    return np.stack([levels[:, channel][picture[..., channel]] for channel in range(3)], axis=-1)


def _size(picture: Pixels) -> float:
    longest: int = max(picture.shape[:2])
    return longest / REFERENCE_SIDE


_BY_NAME: dict[Change, Callable[[Pixels, int, np.random.Generator], Pixels]] = {
    "dim": _lit(_LIGHT["dim"]),
    "over_exposed": _lit(_LIGHT["over_exposed"]),
    "defocused": _defocused,
    "motion_blurred": _motion_blurred,
    "noisy": _noisy,
    "jpeg": _jpeg,
    "colour_cast": _colour_cast,
    "small": _small,
}
