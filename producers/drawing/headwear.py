"""Paint what is worn on the head: hats, headscarves, hoods, glasses."""

import math

import numpy as np

from producers.drawing.brush import (
    Colour,
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

WRAPPING = {"headscarf", "hood", "helmet"}
"""What surrounds the face."""
_INK = rgb("150c08")


def paint_wear_behind(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    """Paint what a headscarf or hood shows behind the head."""
    look = head.look
    if look.hat == "headscarf":
        drape = sketch("0,-1.14 0.55,-1.02 0.8,-0.6 0.88,0 0.86,0.7 1.05,1.5 0.8,2.2 0,2.4")
        colour = look.hat_colour * np.float32(0.72)
    elif look.hat == "hood":
        drape = sketch("0,-1.22 0.62,-1.08 0.93,-0.6 1,0.1 0.92,0.9 0.8,1.5 0,1.6")
        colour = look.cloth * np.float32(0.62)
    else:
        return
    _fabric(layer, head, smooth(shift(mirror(drape), -0.10 * math.sin(head.turn), 0)), colour, rng)


def paint_wear(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    """Paint what is worn on the head, if anything."""
    if head.look.hat != "none":
        _HATS[head.look.hat](layer, head, rng)


def paint_glasses(layer: Layer, head: Head) -> None:
    """Paint glasses, if any; they sit over a mask."""
    look = head.look
    if look.glasses == "none":
        return
    frame = rgb("6b6f76") if look.glasses == "thin" else rgb("1c1a1c")
    if look.glasses == "thick" and look.seed % 3 == 0:
        frame = mix(look.cloth, rgb("1c1a1c"), 0.35)
    width = {"thin": 0.018, "thick": 0.042, "sun": 0.03}[look.glasses]
    round_lens = look.seed % 2 == 0
    lenses = []
    for side in (-1, 1):
        x, y = head.at((side * 0.43, 0.035), out=0.08)[0]
        rx, ry = 0.215 * (0.35 + 0.65 * head.facing(side * 0.43)), 0.17 if round_lens else 0.145
        corner = 1.0 if round_lens else 0.86
        lens = smooth(
            np.array(
                [(-0.7, -corner), (0.7, -corner), (1, -0.55), (1, 0.4), (0.65, 1), (-0.65, 1), (-1, 0.4), (-1, -0.55)]
            )
            * (rx, ry)
            + (x, y)
        )
        lenses.append((x, y, rx))
        if look.glasses == "sun":
            layer.fill(
                lens,
                rgb("16171b"),
                opacity=0.93,
                shade=np.asarray(1.6 - 0.5 * np.clip((layer.ys - y) / ry + 1, 0, 2) + 0 * layer.xs, np.float32),
            )
        else:
            layer.fill(lens, rgb("dfe8ee"), opacity=0.03)
            glint = np.array([(-0.55, 0.3), (0.1, -0.75), (0.35, -0.75), (-0.3, 0.45)]) * (rx, ry) + (x, y)
            layer.fill(glint, rgb("ffffff"), soft=0.01, opacity=0.07)
        layer.stroke(close(lens), width, frame, opacity=0.95)
    (lx, y, lr), (rx_, _, rr) = lenses
    bridge = curve(np.array([(lx + lr, y - 0.03), ((lx + lr + rx_ - rr) / 2, y - 0.065), (rx_ - rr, y - 0.03)]))
    layer.stroke(bridge, width, frame)
    for side, (x, y0, r) in zip((-1, 1), lenses, strict=True):
        ear = head.at((side * 0.99, -0.03))[0]
        if (ear[0] - x) * side > r:
            layer.stroke(np.array([(x + side * r, y0 - 0.05), ear]), width * 1.1, frame, opacity=0.9)


def _fabric(layer: Layer, head: Head, outline: Points, colour: Colour, rng: np.random.Generator) -> None:
    folds = (
        1
        + 0.06 * grain_patch(rng, layer.alpha.shape, 0.10 * layer.unit)
        + 0.02 * grain_patch(rng, layer.alpha.shape, 0.7)
    )
    form = form_shade(layer, head.look, 0, 0.1, 1.05, 1.7)
    layer.fill(outline, colour, soft=0.006, shade=np.asarray(folds * form * 1.1, np.float32))


def _dome(head: Head, low: float, high: float, wide: float) -> Points:
    """Return the outline of a hat that ends at a line across the forehead."""
    w = head.half_width + wide
    back = -0.08 * math.sin(head.turn)
    outer = np.array(
        [(w, low + 0.12), (w * 1.01, low - 0.25), (w * 0.78, high + 0.18), (w * 0.4, high + 0.03), (0, high)]
    )
    top = shift(mirror(outer), back, 0)
    rim = head.at([(-0.97, low + 0.12), (-0.6, low + 0.02), (0, low), (0.6, low + 0.02), (0.97, low + 0.12)])
    return np.concatenate([curve(top), curve(rim)])


def _shadow_below(layer: Layer, outline: Points, depth: float) -> None:
    layer.fill(shift(outline, 0, depth), _INK, soft=0.05, opacity=0.38, inside=True)


def _baseball(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    dome = _dome(head, -0.50, -1.16, 0.07)
    _shadow_below(layer, dome, 0.16)
    _fabric(layer, head, dome, head.look.hat_colour, rng)
    peak = head.at(
        sketch("-0.74,-0.5 -0.35,-0.58 0.35,-0.58 0.74,-0.5 0.62,-0.36 0.3,-0.31 -0.3,-0.31 -0.62,-0.36"),
        out=0.26,
    )
    _fabric(layer, head, smooth(peak), head.look.hat_colour * np.float32(0.78), rng)
    seam = curve(head.at([(0, -0.55), (0.0, -0.8), (0.0, -1.05)], out=0.08))
    layer.stroke(seam, 0.014, head.look.hat_colour * np.float32(0.6), opacity=0.6, inside=True)


def _beanie(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    dome = _dome(head, -0.50, -1.24, 0.09)
    _shadow_below(layer, dome, 0.06)
    _fabric(layer, head, dome, head.look.hat_colour, rng)
    ribs = [head.at([(u, -0.78), (u, -0.48)], out=0.05) for u in np.linspace(-0.9, 0.9, 17)]
    layer.stroke(ribs, 0.02, head.look.hat_colour * np.float32(0.65), soft=0.006, opacity=0.55, inside=True)
    edge = curve(head.at(sketch("-0.98,-0.66 -0.5,-0.77 0,-0.79 0.5,-0.77 0.98,-0.66"), out=0.05))
    layer.stroke(edge, 0.03, head.look.hat_colour * np.float32(0.6), soft=0.012, opacity=0.7, inside=True)


def _headscarf(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    back = -0.06 * math.sin(head.turn)
    outer = sketch("0,-1.16 0.5,-1.06 0.78,-0.66 0.86,-0.05 0.82,0.55 0.78,1 0.95,1.45 0.5,1.72 0,1.78")
    ring = smooth(shift(mirror(outer), back, 0))
    face = smooth(head.at(mirror(sketch("0,-0.66 0.55,-0.54 0.88,-0.15 0.93,0.25 0.8,0.68 0.45,0.95 0,1.03"))))
    # One closed path that runs round the outside, then back round the face, leaves the face free.
    path = np.concatenate([close(ring), close(face)[::-1]])
    layer.stroke(close(face), 0.10, rgb("1a0f0a"), soft=0.04, opacity=0.4, inside=True)
    _fabric(layer, head, path, head.look.hat_colour, rng)
    layer.stroke(
        close(face) * 1.012,
        0.022,
        head.look.hat_colour * np.float32(1.12),
        soft=0.006,
        opacity=0.6,
    )
    for side, bend in ((-1, 0.2), (1, 0.1)):
        fold = curve(
            np.array([(side * 0.62 + back, 0.75), (side * 0.3 + back, 1.15 + bend), (-side * 0.3 + back, 1.45)])
        )
        layer.stroke(fold, 0.04, head.look.hat_colour * np.float32(0.6), soft=0.025, opacity=0.6, inside=True)


def _hood(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    back = -0.10 * math.sin(head.turn)
    outer = sketch("0.86,1.35 0.96,0.7 1,0.05 0.92,-0.6 0.6,-1.08 0,-1.24")
    inner = sketch("0.42,1.45 0.74,0.85 0.8,0.1 0.76,-0.45 0.46,-0.84 0,-0.93")
    outer, inner = (curve(shift(mirror(half), back, 0)) for half in (outer, inner))
    ring = np.concatenate([outer, inner[::-1]])
    layer.stroke(inner, 0.12, rgb("140d0a"), soft=0.04, opacity=0.5, inside=True)
    _fabric(layer, head, ring, head.look.cloth * np.float32(0.95), rng)


def _helmet(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    colour = (rgb("e8b320"), rgb("e9ecee"), rgb("d8632a"), rgb("2d6fb0"))[int(rng.integers(4))]
    dome = _dome(head, -0.46, -1.22, 0.13)
    _shadow_below(layer, dome, 0.10)
    layer.fill(dome, colour, shade=form_shade(layer, head.look, 0, -0.5, 0.95, 0.95))
    rim = curve(head.at(sketch("-1,-0.36 -0.6,-0.48 0,-0.51 0.6,-0.48 1,-0.36"), out=0.15) * (1.08, 1))
    layer.stroke(rim, 0.07, colour * np.float32(0.85))
    layer.blob(0.25 * np.sign(head.look.light[0]), -0.95, 0.16, 0.08, rgb("ffffff"), 0.6)


def _band(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    wide = rng.uniform(0.10, 0.16)
    line = curve(head.at(sketch("-0.99,-0.38 -0.6,-0.58 0,-0.66 0.6,-0.58 0.99,-0.38"), out=0.03) * (1.03, 1))
    layer.stroke(line, wide, head.look.hat_colour)
    layer.stroke(
        shift(line, 0, wide * 0.4), 0.03, head.look.hat_colour * np.float32(0.6), soft=0.015, opacity=0.6, inside=True
    )


_HATS = {
    "cap": _baseball,
    "beanie": _beanie,
    "headscarf": _headscarf,
    "hood": _hood,
    "helmet": _helmet,
    "band": _band,
}
