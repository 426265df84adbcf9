"""Paint hair: what falls behind the head, and what frames the face."""

import math
from functools import cache

import cv2
import numpy as np

from producers.drawing.brush import (
    Floats,
    Layer,
    Points,
    curve,
    ellipse,
    grain,
    grain_patch,
    mirror,
    rgb,
    shift,
    sketch,
    smooth,
)
from producers.drawing.face import Head, form_shade
from producers.drawing.look import Look

_CURL = 0.05 * np.stack([np.cos(np.linspace(0, 4.5, 9)), np.sin(np.linspace(0, 4.5, 9))], axis=1)
"""A curl at the edge of curly hair."""
_CROWN = -0.8
"""Height of the whorl that strands radiate from."""
_CURLY = {"afro", "curls"}
_LONG = {"long": 2.0, "bangs": 1.75, "bob": 0.92}
"""How far down hair reaches, in head units."""
_HIDDEN_BEHIND = {"headscarf", "hood"}
"""What hides the hair behind the head."""
_HIDDEN_BEFORE = {"headscarf", "helmet"}
"""And before it."""


def paint_hair_behind(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    """Paint the hair behind the head."""
    look = head.look
    back = -0.10 * math.sin(head.turn)
    if look.hat in _HIDDEN_BEHIND:
        return
    if look.hair in {"short", "parted", "quiff", "ponytail", "bun"}:
        layer.fill(_crown(head, _volume(look), 0.10), look.hair_colour * np.float32(0.45), soft=0.012)
    if look.hair in _LONG:
        end = _LONG[look.hair]
        wide = head.half_width + 0.16 * look.hair_volume
        fall = sketch("0,-1.08 0.7,-0.95 1,-0.45 1.02,0.2") * (wide, 1)
        ends = [(wide * 1.06, end * 0.6), (wide * 0.98, end), (wide * 0.4, end + 0.05), (0, end)]
        _hair(layer, head, smooth(shift(mirror(np.concatenate([fall, ends])), back, 0)), rng, dim=0.62)
    elif look.hair == "ponytail":
        side = -1.0 if look.yaw > 0 else 1.0
        tail = sketch("0.3,-0.7 0.9,-0.62 1.02,-0.1 0.9,0.7 0.78,1.1 0.66,0.5 0.66,-0.1") * (side, 1)
        _hair(layer, head, smooth(tail), rng, dim=0.7)
    elif look.hair == "bun" and look.hat == "none":
        _hair(layer, head, ellipse(back * 2, -1.14, 0.34, 0.30), rng, dim=0.8)
    elif look.hair in _CURLY and look.hat == "none":
        _hair(layer, head, _cloud(head, rng, back), rng, dim=0.7)


def paint_hair(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    """Paint the hair that frames the face."""
    look = head.look
    if look.hat in _HIDDEN_BEFORE or look.hair == "bald":
        return
    if look.hair == "fringe of age":
        _temples(layer, head, rng)
        return
    hairline, volume = _hairline(head, rng), _volume(look)
    if look.hair == "buzz":
        texture = 1 + 0.12 * grain_patch(rng, layer.alpha.shape, 0.7)
        layer.fill(_cap(head, hairline, 0, 0.02), look.hair_colour, soft=0.018, opacity=0.82, shade=texture)
        return
    below = shift(_cap(head, hairline, volume, 0.02), 0, 0.03)
    layer.fill(below, rgb("1a0f0a"), soft=0.035, opacity=0.30, inside=True)
    _hair(layer, head, _cap(head, hairline, volume, 0.10), rng)
    if look.hair in _LONG:
        _curtains(layer, head, rng)


def _strands(layer: Layer, head: Head, rng: np.random.Generator) -> Floats:
    """Return light and dark strands that radiate from the whorl, as factors around 1, with a band of sheen."""
    # Half the pixels do: the result is soft across and along.
    xs, ys = np.meshgrid(
        layer.xs[0, ::2] - np.float32(0.12 * head.look.light[0]), layer.ys[::2, 0] - np.float32(_CROWN)
    )
    radius, angle = cv2.cartToPolar(xs, ys)
    tile = _strand_tile()
    around = (angle * np.float32(512 / (2 * math.pi)) + np.float32(rng.uniform(0, 500))) % 511
    texture = cv2.remap(
        tile, around.astype(np.float32), np.clip(radius * 20, 0, 63).astype(np.float32), cv2.INTER_LINEAR
    )
    sheen = np.exp(-(((radius - 0.62) / 0.20) ** 2)) * (1 + 0.5 * np.sign(head.look.light[0]) * np.clip(xs, -1, 1))
    strands = (1 + 0.18 * texture + 0.34 * sheen).astype(np.float32)
    return np.asarray(cv2.resize(strands, layer.alpha.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


@cache
def _strand_tile() -> Floats:
    return np.ascontiguousarray(cv2.blur(grain(0), (1, 41))[:64] * np.float32(5.0))


def _hair(layer: Layer, head: Head, outline: Points, rng: np.random.Generator, *, dim: float = 1.0) -> None:
    """Fill an outline with hair of the person's kind."""
    look = head.look
    curly = look.hair in _CURLY
    shape = layer.alpha.shape
    if curly:
        contrast = 0.26 if look.hair_colour.mean() < 110 else 0.12  # noqa: PLR2004
        detail = (
            1 + contrast * grain_patch(rng, shape, max(1.0, 0.035 * layer.unit)) + 0.08 * grain_patch(rng, shape, 0.7)
        )
    else:
        detail = _strands(layer, head, rng)
    form = form_shade(layer, look, 0, -0.1, 1.1, 1.5)
    colour = look.hair_colour * np.float32(dim)
    layer.fill(
        outline,
        colour,
        soft=0.022 if curly else 0.012,
        shade=np.clip(detail * form * 1.1, 0.25, 2.0).astype(np.float32),
    )
    if curly:
        curls = [outline[p] + rng.normal(0, 0.012, 2) + _CURL for p in rng.integers(len(outline), size=60)]
        layer.stroke(curls, 0.014, colour * np.float32(0.75), soft=0.004, opacity=0.6)
    else:
        # A few loose hairs keep the edge from looking cut out.
        picks = rng.integers(len(outline), size=26)
        ends = outline[picks] + rng.normal((0, 0.05), 0.03, (26, 2))
        lines = [curve([outline[p - 2], outline[p], end], steps=4) for p, end in zip(picks, ends, strict=True)]
        layer.stroke(lines, 0.010, colour * np.float32(0.8), opacity=0.55)


def _cloud(head: Head, rng: np.random.Generator, back: float) -> Points:
    """Return the bumpy outline of curls."""
    big = 0.24 * head.look.hair_volume + (0.14 if head.look.hair == "afro" else 0.02)
    angles = np.linspace(0, 2 * math.pi, 34, endpoint=False)
    low = np.clip(np.sin(angles), 0, 1)
    bumps = 1 + rng.normal(0, 0.025, len(angles))
    x = (head.half_width + big) * np.cos(angles) * bumps * (1 - 0.25 * low) + back
    y = -0.22 + (0.86 + big) * np.sin(angles) * bumps * np.where(np.sin(angles) > 0, 0.62, 1.0)
    return smooth(np.stack([x, y], axis=1), steps=4)


def _crown(head: Head, volume: float, sideburn: float) -> Points:
    """Return the outline of short hair, from one sideburn over the top to the other."""
    wide = head.half_width + 0.035 + 0.05 * volume
    top = -1.0 - 0.10 * volume
    half = np.array([(0.985, sideburn), (1.02, -0.25), (0.96, -0.58), (0.72, -0.88), (0.36, top + 0.03), (0, top)])
    outer = mirror(half * (wide, 1))
    # On the side that is turned away the hair is seen from the front.
    turn = math.sin(head.turn)
    outer[:, 0] *= np.where(outer[:, 0] * turn > 0, 1 - 0.22 * abs(turn), 1.0)
    return curve(shift(outer, -0.08 * turn, 0))


def _cap(head: Head, hairline: Points, volume: float, sideburn: float) -> Points:
    """Return the outline between a hairline (places on the face, left to right) and the top of the hair."""
    inner = head.at([(-0.97, sideburn), *hairline, (0.97, sideburn)])
    return np.concatenate([_crown(head, volume, sideburn), curve(inner)])


def _volume(look: Look) -> float:
    """Return how high the hair stands."""
    changed = {"quiff": look.hair_volume * 1.4 + 0.7, "parted": look.hair_volume + 0.3, "bun": 0.15, "ponytail": 0.15}
    return changed.get(look.hair, look.hair_volume)


def _hairline(head: Head, rng: np.random.Generator) -> Points:
    """Return where the hair begins, as places of the face from left to right."""
    look = head.look
    line = -0.60 + 0.05 * rng.normal() - (0.08 if look.age == "elder" and not look.soft else 0.0)
    part = float(rng.choice([-1, 1])) * rng.uniform(0.15, 0.4)
    fringed = look.hair == "bangs" or (look.hair == "bob" and part > 0)
    middle: list[tuple[float, float]] = [(-0.80, -0.40), (-0.5, line), (0, line - 0.05), (0.5, line), (0.80, -0.40)]
    edge = -0.18
    if look.hair == "quiff":
        middle = [(-0.82, -0.42), (-0.55, line), (-0.2, line - 0.12), (0.3, line - 0.10), (0.6, line), (0.82, -0.42)]
    elif look.hair == "parted":
        middle = [(-0.84, -0.36), (part - 0.35, -0.5), (part, line - 0.14), (part + 0.35, -0.52), (0.84, -0.36)]
        edge = -0.12
    elif fringed:
        middle = [(u, -0.27 + 0.03 * rng.normal()) for u in (-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75)]
        edge = -0.05
    elif look.hair in _LONG:
        middle = [(-0.86, -0.33), (part - 0.4, -0.52), (part, -0.80), (part + 0.4, -0.54), (0.86, -0.33)]
        edge = -0.02
    return np.array([(-0.93, edge), *middle, (0.93, edge)])


def _temples(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    """Leave hair above the ears only."""
    for side in (-1, 1):
        patch = head.at(sketch("0.99,0.12 0.86,-0.05 0.84,-0.3 0.99,-0.5") * (side, 1))
        edge = np.array([(head.half_width + 0.02, -0.40), (head.half_width + 0.035, 0.03)]) * (side, 1)
        _hair(layer, head, smooth(np.concatenate([patch, edge])), rng)


def _curtains(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    """Let long hair fall in front of the ears and shoulders."""
    look = head.look
    end = _LONG[look.hair]
    wide = head.half_width + 0.14 * look.hair_volume
    back = -0.10 * math.sin(head.turn)
    for side in (-1, 1):
        ((x, _),) = head.at((side * 0.93, 0.0))
        inner = abs(x - back)
        front = shift(np.array([(-0.01, -0.42), (-0.025, 0.1), (0.01, 0.7), (-0.03, end * 0.7), (0.04, end)]), inner, 0)
        rear = np.array([(0.92, end + 0.04), (1.07, end * 0.6), (1.04, 0.1), (0.92, -0.62)]) * (wide, 1)
        lock = np.concatenate([front, rear])
        _hair(layer, head, smooth(shift(lock * (side, 1), back, 0)), rng, dim=0.93)
