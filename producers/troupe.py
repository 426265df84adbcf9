"""Those who walk through the demo scene: drawn people, each at a depth of the picture."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np

from maskwatch.messages import CLASSES, Label
from producers.backdrop import COVER_BOTTOM
from producers.cutout import Cutout, PixelBox, cut_out
from producers.people import ABOVE, FACE_UNITS, draw_person

Masks = Literal["mixed", "surgical", "cloth", "patterned", "none"]

LABEL_SHARES = (0.45, 0.35, 0.20)
"""Of the classes, in their order."""


class Role(NamedTuple):
    """Who somebody is, whatever they wear."""

    label: Label
    """What they would be if masks were allowed."""
    lane: int
    """Those in an even lane mostly walk to the right, the others to the left."""
    face: float
    """Height of the face's box in pixels."""
    seed: int = 0
    reach: float = 0.0
    """How far down they are drawn, in head units."""


class Performer(NamedTuple):
    """Somebody who is ready to walk through the picture."""

    cutout: Cutout
    hides: tuple[PixelBox, ...]
    """Roughly what they hide of those behind them, in pixels of the cut-out."""
    depth: float
    """Those with less are laid first."""
    behind_cover: bool
    """Whether the backdrop's cover stands before them."""
    rows: tuple[int, int]
    """Between which rows of the frame the cut-out's top may lie."""
    seconds: tuple[float, float]
    """How long they take to cross the frame."""
    step: float
    """How high they bob, in pixels."""
    masks: Masks
    """What they were dressed for."""
    role: Role


class Troupe(Protocol):
    """Where performers come from."""

    def enter(self, rng: np.random.Generator, masks: Masks, others: list[Performer]) -> Performer:
        """Give somebody new; `others` are those in the picture."""

    def dress(self, performer: Performer, masks: Masks) -> Performer | None:
        """Give the same performer in other masks, or None if they have to leave for it."""


class _Lane(NamedTuple):
    """A depth of the picture; lengths are in 0..1 of the frame's height."""

    faces: tuple[float, float]
    centres: tuple[float, float]
    """Where the skull's centre lies for the smallest and for the largest face."""
    foot: float
    """How far down people are drawn."""
    seconds: tuple[float, float]
    share: float
    most: int
    """Of people in it, so that a crowd does not hide itself."""


_LANES = (
    _Lane((0.043, 0.064), (0.22, 0.29), COVER_BOTTOM - 0.06, (15.0, 24.0), 0.40, 99),
    _Lane((0.085, 0.155), (0.30, 0.40), 1.0, (9.0, 15.0), 0.44, 7),
    _Lane((0.20, 0.35), (0.43, 0.53), 1.0, (7.0, 11.0), 0.16, 1),
)
_LOOSE = 0.02
"""How far up or down people may stand from where their size puts them, in 0..1 of the frame's height."""


class DrawnTroupe:
    """People drawn on the spot.

    Parameters
    ----------
    size
        The frame's width and height in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._height = size[1]

    def enter(self, rng: np.random.Generator, masks: Masks, others: list[Performer]) -> Performer:
        """Draw somebody new, of the class and at the depth that the picture lacks most."""
        present = [other.role.lane for other in others]
        shares = [lane.share * (present.count(number) < lane.most) for number, lane in enumerate(_LANES)]
        lane = _lacking(shares, present, rng)
        label = CLASSES[_lacking(LABEL_SHARES, [CLASSES.index(other.role.label) for other in others], rng)]
        low, high = _LANES[lane].faces
        face = low * (high / low) ** rng.random() * self._height
        top = _centre(lane, face / self._height) - _LOOSE
        reach = (_LANES[lane].foot - top) * self._height / (face / FACE_UNITS)
        return self._draw(Role(label, lane, face, int(rng.integers(2**31)), reach), masks)

    def dress(self, performer: Performer, masks: Masks) -> Performer:
        """Draw the same person in another mask, or none."""
        if performer.role.label == "without_mask":
            return performer._replace(masks=masks)
        return self._draw(performer.role, masks)

    def _draw(self, role: Role, masks: Masks) -> Performer:
        label, lane, face, seed, reach = role
        worn: Label = "without_mask" if masks == "none" else label
        sprite = draw_person(
            np.random.default_rng(seed), face, worn, "mixed" if masks == "none" else masks, reach=reach
        )
        unit = face / FACE_UNITS
        middle, height = sprite.middle, sprite.image.shape[0]
        head = (middle - 0.85 * unit, 0.4 * unit, middle + 0.85 * unit, (ABOVE + 1.4) * unit)
        body = (middle - 1.6 * unit, (ABOVE + 1.4) * unit, middle + 1.6 * unit, float(height))
        centre = _centre(lane, face / self._height) * self._height - ABOVE * unit
        loose = _LOOSE * self._height
        return Performer(
            cutout=cut_out(sprite.image, ((worn, sprite.face),)),
            hides=(head, body),
            depth=face,
            behind_cover=lane == 0,
            rows=(round(centre - loose), round(centre + loose)),
            seconds=_LANES[lane].seconds,
            step=0.05 * unit,
            masks=masks,
            role=role,
        )


def _centre(lane: int, face: float) -> float:
    """Return where the skull's centre lies for a face of this height, all in 0..1 of the frame's height."""
    return float(np.interp(face, _LANES[lane].faces, _LANES[lane].centres))


def _lacking(shares: Sequence[float], present: list[int], rng: np.random.Generator) -> int:
    """Choose among kinds, favouring those of which there are fewer than their share."""
    counts = np.bincount(present, minlength=len(shares)) if present else np.zeros(len(shares))
    want = np.array(shares) * np.maximum(np.array(shares) * (len(present) + 1) - counts, 0.02)
    return int(rng.choice(len(shares), p=want / want.sum()))
