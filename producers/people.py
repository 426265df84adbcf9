"""Draw a person from the knees up, with or without a mask, and say where the face is.

The same generator state gives the same person whatever the mask: so a mask can be taken off while the scene runs.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwatch.messages import Label
from producers.drawing.brush import Layer
from producers.drawing.clothes import paint_body
from producers.drawing.face import Head, paint_head
from producers.drawing.hair import paint_hair, paint_hair_behind
from producers.drawing.headwear import WRAPPING, paint_glasses, paint_wear, paint_wear_behind
from producers.drawing.look import Look, random_look
from producers.drawing.mask import MaskKind, Wearing, paint_mask

FACE_UNITS = 1.38
"""Height of a face's box in head units (half a head's height)."""
ABOVE = 1.75
"""Head units from the top of a picture of a person to the skull's centre: room for hair and hats."""
_HALF_WIDTH = 2.1
_PIVOT = (0.0, 0.9)
"""What heads are tilted about."""
_FINEST = 60.0
"""Pixels of a head unit that people are drawn at, at least; smaller ones are scaled down from it."""
_LARGEST = 160.0
"""And at most; larger ones are scaled up, because time grows with the square."""


class Sprite(NamedTuple):
    """A cut-out picture of somebody."""

    image: NDArray[np.uint8]
    """Shape (height, width, 4), BGRA, premultiplied by alpha."""
    face: tuple[float, float, float, float]
    """Box of the face in pixels of `image`, brow to below the chin."""
    label: Label
    middle: float
    """Column of the neck."""


def draw_person(
    rng: np.random.Generator, face: float, label: Label, masks: MaskKind = "mixed", *, reach: float = 4.0
) -> Sprite:
    """Draw a person that nobody has seen before.

    Parameters
    ----------
    rng
        Decides everything; the same state gives the same person, whatever the mask.
    face
        Height of the face's box in pixels, at least 4.
    label
        Whether a mask is worn, and how.
    masks
        Its kind.
    reach
        How far down to draw, in head units below the skull's centre: 2 shoulders, 6 hips, 10 knees.

    Returns
    -------
    Sprite
        As large as it needs to be.
    """
    look = random_look(rng)
    unit = face / FACE_UNITS
    fine = unit * max(1, round(_FINEST / unit)) if unit < _FINEST else min(unit, _LARGEST)
    body = Layer(fine, -_HALF_WIDTH, -ABOVE, _HALF_WIDTH, reach)
    paint_body(body, look)
    back, front, head = _draw_head(fine, look, label, masks, rng)
    _lay(back, body, under=True)
    _lay(front, body, under=False)
    return _finish(body, head, unit / fine, label)


def _draw_head(
    unit: float, look: Look, label: Label, masks: MaskKind, rng: np.random.Generator
) -> tuple[Layer, Layer, Head]:
    head = Head(look)
    strokes = np.random.default_rng((look.seed, 2))
    span = (-1.35, -ABOVE, 1.35, 2.5)
    back, front = Layer(unit, *span), Layer(unit, *span)
    paint_hair_behind(back, head, strokes)
    paint_wear_behind(back, head, strokes)
    paint_head(front, head, strokes)
    # Hair falls over a mask and its loops; what wraps the face lies under them.
    wrapped = look.hat in WRAPPING
    if wrapped:
        paint_hair(front, head, strokes)
        paint_wear(front, head, strokes)
    if label != "without_mask":
        wearing: Wearing = "well" if label == "with_mask" else ("under the nose", "on the chin")[rng.integers(2)]
        paint_mask(front, head, masks, wearing, rng)
    if not wrapped:
        paint_hair(front, head, strokes)
        paint_wear(front, head, strokes)
    paint_glasses(front, head)
    return back.turned(look.tilt, *_PIVOT), front.turned(look.tilt, *_PIVOT), head


def _lay(part: Layer, body: Layer, *, under: bool) -> None:
    """Put a part of the head before or behind the body."""
    column = round((part.left - body.left) * body.unit)
    height, width = (min(part.alpha.shape[0], body.alpha.shape[0]), part.alpha.shape[1])
    shown = body.planes[:, :height, column : column + width]
    planes = part.planes[:, :height]
    if under:
        shown += planes * (1 - shown[3])
    else:
        shown *= 1 - planes[3]
        shown += planes


def _finish(body: Layer, head: Head, scale: float, label: Label) -> Sprite:
    """Bring the drawing to its size and find the face in it."""
    body.planes[3] *= 255
    picture = cv2.merge([cv2.convertScaleAbs(plane) for plane in body.planes])
    # Nothing is left of what is empty at the sides.
    filled = np.flatnonzero(picture[..., 3].any(axis=0))
    picture = picture[:, filled[0] : filled[-1] + 1]
    left = body.left + filled[0] / body.unit
    if scale != 1:
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=kind)
    x1, y1, x2, y2 = _tilted(head.box(), head.look.tilt)
    if label == "mask_weared_incorrect":
        y2 += 0.04
    unit = body.unit * scale
    box = ((x1 - left) * unit, (y1 - body.top) * unit, (x2 - left) * unit, (y2 - body.top) * unit)
    return Sprite(np.asarray(picture, np.uint8), box, label, -left * unit)


def _tilted(box: tuple[float, float, float, float], degrees: float) -> tuple[float, float, float, float]:
    """Turn a face's box about the neck; its sides stay upright and keep to the middles of the turned sides."""
    angle = np.radians(degrees)
    x1, y1, x2, y2 = box
    middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
    sides = np.array([(middle_x, y1), (middle_x, y2), (x1, middle_y), (x2, middle_y)]) - _PIVOT
    turned = sides @ np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))]) + _PIVOT
    return float(turned[2:, 0].min()), float(turned[0, 1]), float(turned[2:, 0].max()), float(turned[1, 1])
