"""Prints on masks: what people wear changes too, and a model may know plain masks alone. Pure.

Stripes, checks or dots of two colours are laid over the lower half of faces that wear a mask, as dark and light as the
cloth was there. Such pictures are for evaluation alone: nobody would take them for photographs.
"""

from collections.abc import Callable, Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwatch.degradation import Strength
from maskwatch.messages import Box
from maskwatch.pictures import Pixels

Floats = NDArray[np.float32]

OPACITY = (0.35, 0.65, 1.0)
"""How much the print covers, by strength."""

LEAST_SIDE = 6
"""Pixels of a face's shorter side; on smaller ones nobody sees a print."""

REPEATS = (3, 7)
"""Times that a print repeats over a face, at least and less than."""

TOP, BOTTOM = 0.45, 1.0
"""Where a mask lies in the box of a face, from its top."""

SHADE = (0.4, 1.5)


def printed(picture: Pixels, masked: Iterable[Box], strength: Strength, seed: int = 0) -> Pixels:
    """Lay a print over masks; each its own.

    Parameters
    ----------
    picture
        Shape (height, width, 3), RGB; it is not altered.
    masked
        Boxes of the faces that wear one, in 0..1.
    strength
        1 is a faint print, 3 covers the cloth.
    seed
        Of colours and patterns.

    Returns
    -------
    Pixels
        The same shape.

    Examples
    --------
    >>> grey = np.full((40, 40, 3), 100, np.uint8)
    >>> changed = (printed(grey, [(0.25, 0, 0.75, 1)], 3) != grey).any(axis=(1, 2))
    >>> int(changed.argmax()), int(changed.sum())
    (18, 22)
    """
    random = np.random.default_rng(seed)
    changed = picture.copy()
    height, width = picture.shape[:2]
    for x1, y1, x2, y2 in masked:
        top = y1 + (y2 - y1) * TOP
        left, right = max(0, round(x1 * width)), min(width, round(x2 * width))
        upper, lower = max(0, round(top * height)), min(height, round((y1 + (y2 - y1) * BOTTOM) * height))
        if min(right - left, lower - upper) < LEAST_SIDE / 2:
            continue
        cloth = changed[upper:lower, left:right].astype(np.float32)
        luma = cloth.mean(axis=2, keepdims=True)
        shade = np.clip(luma / max(1.0, float(luma.mean())), *SHADE)
        cover = _cut(cloth.shape[:2]) * OPACITY[strength - 1]
        laid = _print(cloth.shape[:2], random) * shade * cover + cloth * (1 - cover)
        changed[upper:lower, left:right] = np.clip(laid, 0, 255).astype(np.uint8)
    return changed


def _cut(shape: tuple[int, ...]) -> Floats:
    """Return where a mask is, shape (height, width, 1): straight at the top, round at the chin, soft at the edge."""
    height, width = shape
    cut = np.zeros((height, width), np.float32)
    middle = (width // 2, 0)
    cv2.ellipse(cut, middle, (max(1, round(width * 0.46)), max(1, height - 1)), 0, 0, 180, 1.0, -1, cv2.LINE_AA)
    return cut[..., np.newaxis]


def _print(shape: tuple[int, ...], random: np.random.Generator) -> Floats:
    """Return a print of two colours, shape (height, width, 3)."""
    height, width = shape
    repeat = max(2.0, width / int(random.integers(*REPEATS)))
    y, x = np.mgrid[:height, :width].astype(np.float32) / repeat
    place = _PATTERNS[int(random.integers(len(_PATTERNS)))](x, y)[..., np.newaxis]
    first, second = random.integers(0, 256, size=(2, 3)).astype(np.float32)
    return np.asarray(np.where(place, first, second), np.float32)


def _stripes(x: Floats, y: Floats) -> NDArray[np.bool_]:
    return np.asarray((x + y) % 1 < 0.5)  # noqa: PLR2004  # half of each


def _checks(x: Floats, y: Floats) -> NDArray[np.bool_]:
    return np.asarray((x % 1 < 0.5) ^ (y % 1 < 0.5))  # noqa: PLR2004


def _dots(x: Floats, y: Floats) -> NDArray[np.bool_]:
    return np.asarray((x % 1 - 0.5) ** 2 + (y % 1 - 0.5) ** 2 < 0.1)  # noqa: PLR2004  # of the square


_PATTERNS: tuple[Callable[[Floats, Floats], NDArray[np.bool_]], ...] = (_stripes, _checks, _dots)
