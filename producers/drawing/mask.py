"""Paint face masks: surgical, cloth, patterned and filtering ones, worn well, under the nose or on the chin."""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from producers.drawing.brush import (
    Colour,
    Floats,
    Layer,
    Points,
    close,
    curve,
    grain_patch,
    mirror,
    mix,
    rgb,
    shift,
    sketch,
    smooth,
)
from producers.drawing.face import Head, form_shade

MaskKind = Literal["mixed", "surgical", "cloth", "patterned"]
Wearing = Literal["well", "under the nose", "on the chin"]

_SURGICAL = tuple(rgb(c) for c in ("a9cfe4", "8fc1dd", "c4dfea", "eef2f3", "f4f5f4", "9fd0bd", "22252a", "e9c3cf"))
_CLOTHS = "17181c 23262e 2d3a55 6d7680 b9bec4 f1f0ec 7c2733 a5524a 3f5b48 c8a46b 5b4a7a 2f7481 d08a93"
_CLOTH = tuple(rgb(code) for code in _CLOTHS.split())
_FILTER = tuple(rgb(c) for c in ("f3f4f2", "eceeee", "f3f4f2", "24262b"))
_INK = rgb("1a1210")


_CUTS = {
    "surgical": sketch("0,0.13 0.2,0.16 0.55,0.19 0.92,0.24 0.93,0.58 0.76,0.85 0.42,1.04 0,1.09"),
    "cloth": sketch("0,0.15 0.24,0.19 0.56,0.18 0.95,0.16 0.96,0.55 0.78,0.84 0.4,1.05 0,1.11"),
    "patterned": sketch("0,0.15 0.24,0.19 0.56,0.18 0.95,0.16 0.96,0.55 0.78,0.84 0.4,1.05 0,1.11"),
    "filter": sketch("0,0.11 0.22,0.17 0.56,0.3 0.9,0.36 0.88,0.62 0.66,0.88 0.32,1.06 0,1.1"),
    "under the nose": sketch("0,0.535 0.25,0.52 0.58,0.465 0.93,0.32 0.94,0.6 0.74,0.88 0.4,1.05 0,1.1"),
    "on the chin": sketch("0,0.83 0.32,0.81 0.62,0.73 0.9,0.52 0.93,0.72 0.74,0.98 0.42,1.17 0,1.24"),
}
"""Right halves of outlines, in places of the face from the top; the fourth and fifth points hold the loop."""


def paint_mask(layer: Layer, head: Head, kind: MaskKind, wearing: Wearing, rng: np.random.Generator) -> None:
    """Paint a mask on a head.

    Parameters
    ----------
    layer
        With the head on it.
    head
        Who wears it.
    kind
        "mixed" picks one of all kinds, filtering masks included.
    wearing
        How it sits.
    rng
        Chooses colour and cut.
    """
    sort = str(rng.choice(["surgical", "cloth", "patterned", "filter"], p=[0.42, 0.24, 0.19, 0.15]))
    if kind != "mixed":
        sort = kind
    cut = shift(_CUTS[sort if wearing == "well" else wearing], 0, rng.uniform(-0.02, 0.02))
    outline = smooth(head.at(mirror(cut), out=0.07), steps=6)
    layer.fill(shift(outline, 0.02 - 0.05 * head.look.light[0], 0.05), _INK, soft=0.05, opacity=0.42, inside=True)
    _loops(layer, head, cut, rgb("e8eaeb") if sort in {"surgical", "filter"} else rgb("2a2c31"))
    middle = head.at((0, 0.62))[0]
    form = form_shade(layer, head.look, middle[0] * 0.7, middle[1], head.half_width * 1.12, 0.80)
    shades = {"surgical": _SURGICAL, "cloth": _CLOTH}.get(sort, _FILTER)
    colour = shades[rng.integers(len(shades))]
    weave = (
        1
        + 0.015 * grain_patch(rng, layer.alpha.shape, 0.7)
        + 0.03 * grain_patch(rng, layer.alpha.shape, max(1.0, 0.08 * layer.unit))
    )
    shade = np.asarray(np.clip(form * 1.16, 0.4, 1.12) * weave, np.float32)
    ink: Floats = _pattern(layer, head, rng) if sort == "patterned" else colour
    layer.fill(outline, ink, soft=0.004, shade=shade)
    flat: Colour = ink if ink.ndim == 1 else np.asarray(ink.reshape(-1, 3).mean(axis=0), np.float32)
    _FINISH[sort](_Fabric(layer, head, wearing, flat, outline))
    layer.stroke(close(outline), 0.012, flat * np.float32(0.62), soft=0.008, opacity=0.6)


def _loops(layer: Layer, head: Head, cut: Points, colour: Colour) -> None:
    for side in (-1, 1):
        ear = head.at((side * 0.985, 0.06))[0]
        behind = sketch("0.03,-0.06 0.05,0.1 0.02,0.24") * (side, 1) + ear
        upper = head.at(cut[3] * (side, 1), out=0.05)[0]
        lower = head.at(cut[4] * (side, 1), out=0.05)[0]
        loop = curve(np.array([upper, *behind, lower]))
        layer.stroke(shift(loop, 0, 0.015), 0.03, _INK, soft=0.012, opacity=0.35, inside=True)
        layer.stroke(loop, 0.019, colour, opacity=0.95, inside=True)


class _Fabric(NamedTuple):
    """A mask that is on the layer and still plain."""

    layer: Layer
    head: Head
    wearing: Wearing
    colour: Colour
    outline: Points

    def line(
        self, places: list[tuple[float, float]], width: float, colour: Colour, soft: float, opacity: float
    ) -> Points:
        """Draw a curve through places of the face, within the mask; return it."""
        drawn = curve(self.head.at(places, out=0.08))
        self.layer.stroke(drawn, width, colour, soft=soft, opacity=opacity, clip=self.outline)
        return drawn

    def dark(self, factor: float) -> Colour:
        return self.colour * np.float32(factor)

    def light(self, share: float) -> Colour:
        return mix(self.colour, rgb("ffffff"), share)


def _pleats(mask: _Fabric) -> None:
    heights = {"well": (0.42, 0.60, 0.78), "under the nose": (0.68, 0.80, 0.92), "on the chin": (0.92, 1.02)}[
        mask.wearing
    ]
    for v in heights:
        places = [(-0.86, v - 0.06), (-0.5, v), (0.0, v + 0.03), (0.5, v), (0.86, v - 0.06)]
        fold = mask.line(places, 0.030, mask.dark(0.55), 0.012, 0.5)
        mask.layer.stroke(shift(fold, 0, 0.035), 0.028, mask.light(0.6), soft=0.014, opacity=0.38, clip=mask.outline)
    top = {"well": 0.20, "under the nose": 0.58, "on the chin": 0.87}[mask.wearing]
    places = [(-0.42, top + 0.03), (-0.16, top + 0.02), (0.0, top), (0.16, top + 0.02), (0.42, top + 0.03)]
    wire = mask.line(places, 0.028, mask.light(0.5), 0.010, 0.6)
    mask.layer.stroke(shift(wire, 0, 0.03), 0.014, mask.dark(0.7), soft=0.006, opacity=0.6, clip=mask.outline)
    _bridge(mask)


def _bridge(mask: _Fabric) -> None:
    """Let the nose show under the fabric."""
    if mask.wearing != "well":
        return
    x, y = mask.head.at((0, 0.33), out=0.12)[0]
    side = -1 if mask.head.look.light[0] > 0 else 1
    mask.layer.blob(x, y, 0.07, 0.11, mask.light(0.6), 0.35)
    mask.layer.blob(x + side * 0.13, y + 0.04, 0.05, 0.11, mask.dark(0.5), 0.30)


def _seam(mask: _Fabric) -> None:
    top = _TOPS[mask.wearing]
    mask.line([(0, top), (0, (top + 1.05) / 2), (0, 1.10)], 0.018, mask.dark(0.6), 0.006, 0.6)
    for side in (-1, 1):
        mask.line([(side * 0.88, 0.62), (side * 0.55, 0.66), (side * 0.3, 0.62)], 0.035, mask.dark(0.6), 0.025, 0.4)
    _bridge(mask)


def _filter(mask: _Fabric) -> None:
    _seam(mask)
    top = _TOPS[mask.wearing]
    x, y = mask.head.at((0, top + 0.35), out=0.12)[0]
    mask.layer.blob(x - 0.14, y, 0.08, 0.2, mask.dark(0.55), 0.25)
    mask.layer.blob(x + 0.12, y, 0.08, 0.2, rgb("ffffff"), 0.25)
    for v in (top + 0.12, 0.98):
        mask.line([(-0.6, v + 0.06), (0, v), (0.6, v + 0.06)], 0.012, mask.dark(0.7), 0.004, 0.5)


_TOPS: dict[Wearing, float] = {"well": 0.16, "under the nose": 0.55, "on the chin": 0.85}
_FINISH = {"surgical": _pleats, "cloth": _seam, "patterned": _seam, "filter": _filter}


def _pattern(layer: Layer, head: Head, rng: np.random.Generator) -> Floats:
    """Print a cloth and wrap it round the face; shape (height, width, 3)."""
    cloth = _print(rng, max(24, int(layer.unit * 1.7)), layer.unit)
    # Columns follow the curve of the cheeks, so the print narrows towards the ears.
    angle = np.arcsin(np.clip(layer.xs[0] / (head.half_width * 1.02), -1, 1)) - head.turn
    columns = ((angle / np.pi + 0.5) % 1 * (cloth.shape[1] - 1)).astype(np.intp)
    rows = (np.arange(layer.alpha.shape[0]) % cloth.shape[0]).astype(np.intp)
    return np.asarray(cloth[rows[:, None], columns[None, :]], np.float32)


def _print(rng: np.random.Generator, size: int, unit: float) -> NDArray[np.uint8]:
    ground, one, two = (tuple(float(c) for c in _CLOTH[i]) for i in rng.choice(len(_CLOTH), 3, replace=False))
    cloth = np.full((size, size, 3), ground, np.uint8)
    step = max(4, int(unit * rng.uniform(0.12, 0.26)))
    motif = str(rng.choice(["dots", "stripes", "checks", "flowers", "camouflage"]))
    if motif == "stripes":
        for x in range(0, size, step):
            cv2.line(cloth, (x, 0), (x + (size // 4 if step % 2 else 0), size), one, max(1, step // 2), cv2.LINE_AA)
    elif motif == "checks":
        tint = np.asarray(one, np.float32)
        bands = (np.arange(size) // max(1, step // 2) % 2).astype(np.float32) * 0.5
        share = (bands[:, None] + bands[None, :])[..., None]
        cloth = np.asarray(cloth * (1 - share) + tint * share, np.uint8)
    elif motif == "camouflage":
        for tone, colour in ((0.4, one), (0.9, two)):
            spots = grain_patch(rng, (size, size), max(1.5, step * 0.5))
            cloth[spots > tone] = colour
    else:
        for row, y in enumerate(range(0, size + step, step)):
            for x in range((row % 2) * step // 2, size + step, step):
                if motif == "dots":
                    cv2.circle(cloth, (x, y), max(1, step // 4), one, -1, cv2.LINE_AA)
                    continue
                for angle in np.arange(5) * 1.257 + row:
                    petal = (int(x + step * 0.24 * np.cos(angle)), int(y + step * 0.24 * np.sin(angle)))
                    cv2.circle(cloth, petal, max(1, step // 6), one, -1, cv2.LINE_AA)
                cv2.circle(cloth, (x, y), max(1, step // 8), two, -1, cv2.LINE_AA)
    return cloth
