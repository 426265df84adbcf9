"""Paint neck, shoulders, arms and clothes, down to the knees."""

import cv2
import numpy as np

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
from producers.drawing.face import form_shade
from producers.drawing.look import Look

_SHOULDERS = {"child": 1.15, "adult": 1.52, "elder": 1.46}


def paint_body(layer: Layer, look: Look) -> None:
    """Paint everything below the head, as far down as the layer reaches."""
    rng = np.random.default_rng((look.seed, 1))
    wide = _SHOULDERS[look.age] * (0.92 if look.soft else 1.04)
    shade = _cloth_shade(layer, look, rng)
    _legs(layer, look, wide, shade)
    half = _neck_half(look)
    neck = mirror([(half, 0.5), (half, 1.1), (half * 1.1, 1.35), (0.3, 1.75)])
    layer.fill(smooth(neck), look.skin, shade=np.asarray(form_shade(layer, look, 0, 1.1, 0.42, 1.6) * 0.92, np.float32))
    layer.fill(
        sketch("-0.45,0.7 0.45,0.7 0.42,1.08 0,1.22 -0.42,1.08"),
        rgb("1c0f0a"),
        soft=0.06,
        opacity=0.42,
        inside=True,
    )
    _PARTS[look.clothes](layer, look, wide, shade)


def _neck_half(look: Look) -> float:
    return 0.33 if look.soft or look.age == "child" else 0.42


def _cloth_shade(layer: Layer, look: Look, rng: np.random.Generator) -> Floats:
    """Return folds and roundness of the clothes, as factors."""
    shape = layer.alpha.shape
    # Folds hang: spots drawn out downwards.
    patch = grain_patch(rng, (shape[0] // 3 + 1, shape[1]), 0.11 * layer.unit)
    folds = 1 + 0.032 * cv2.resize(patch, shape[::-1]) + 0.008 * grain_patch(rng, shape, 0.8)
    side = 1 + 0.22 * look.light[0] * np.clip(layer.xs / 1.6, -1, 1) - 0.10 * np.clip(np.abs(layer.xs) - 0.5, 0, 1)
    lower = 1.04 - 0.03 * np.clip(layer.ys - 1.5, 0, 6)
    return np.asarray(np.clip(folds * side * lower, 0.4, 1.25), np.float32)


def _torso(wide: float) -> Points:
    neck = sketch("0.36,1.28 0.62,1.42")
    side = sketch("0.78,1.62 0.98,1.92 0.86,2.8 0.8,3.8 0.76,4.9 0.82,6 0.84,6.6") * (wide, 1)
    return mirror(curve(np.concatenate([neck, side])))


def _arm(wide: float, side: int) -> Points:
    outer = "0.84,1.78 0.95,1.84 1.06,2.3 1.16,3.6 1.1,4.8 1.04,5.6"
    inner = "0.86,5.6 0.84,4.7 0.8,3.6 0.78,2.6"
    return smooth(sketch(f"{outer} {inner}") * (side * wide, 1))


def _coat_of(layer: Layer, look: Look, wide: float, shade: Floats, colour: Colour) -> None:
    """Paint torso and sleeves in one colour, with hands."""
    for side in (-1, 1):
        hand = smooth(sketch("0.88,5.5 1.04,5.5 1.06,5.9 0.98,6.25 0.88,6.1") * (side * wide, 1))
        layer.fill(hand, look.skin * np.float32(0.9))
    torso = _torso(wide)
    layer.fill(torso, colour, shade=shade)
    for side in (-1, 1):
        arm = _arm(wide, side)
        lit = np.float32(1.0 + 0.10 * side * look.light[0])
        layer.fill(arm, colour * lit, shade=shade)
        inner = curve(np.array([(wide * 0.80, 2.3), (wide * 0.79, 3.4), (wide * 0.83, 5.0)]) * (side, 1))
        layer.stroke(inner, 0.07, colour * np.float32(0.42), soft=0.045, opacity=0.75, inside=True)
        crease = curve(np.array([(wide * 0.62, 2.15), (wide * 0.80, 2.32), (wide * 0.95, 2.2)]) * (side, 1))
        layer.stroke(crease, 0.04, colour * np.float32(0.6), soft=0.04, opacity=0.35, inside=True)


def _legs(layer: Layer, look: Look, wide: float, shade: Floats) -> None:
    hips = curve(sketch("0.8,5.8 0.84,6.6 0.74,8.6 0.62,10.5 0.6,13") * (wide, 1))
    layer.fill(mirror(hips), look.trousers, shade=shade)
    layer.stroke(
        np.array([(0.0, 6.9), (0.02, 13.0)]),
        0.16,
        look.trousers * np.float32(0.35),
        soft=0.07,
        opacity=0.85,
        inside=True,
    )


def _open_neck(look: Look, depth: float, half: float, *, pointed: bool) -> Points:
    neck = _neck_half(look)
    if pointed:
        return np.array([(-neck, 1.12), (-half, 1.36), (0, 1.38 + depth), (half, 1.36), (neck, 1.12)])
    low = [(-neck, 1.12), (-half, 1.36), (-half * 0.55, 1.38 + depth * 0.75), (0, 1.38 + depth)]
    return curve(np.array([*low, *((-x, y) for x, y in low[-2::-1])]))


def _bare_neck(layer: Layer, look: Look, opening: Points, rim: Colour) -> None:
    """Open a neckline: skin within, a rim around."""
    skin = np.asarray(form_shade(layer, look, 0, 1.3, 0.8, 1.0) * 0.95, np.float32)
    layer.fill(opening, look.skin, shade=skin)
    layer.fill(
        sketch("-0.45,0.5 0.45,0.5 0.42,1.02 0,1.3 -0.42,1.02"),
        rgb("1c0f0a"),
        soft=0.07,
        opacity=0.40,
        inside=True,
    )
    layer.stroke(opening, 0.075, rim, soft=0.006)
    layer.stroke(shift(opening, 0, -0.045), 0.03, rgb("1c0f0a"), soft=0.02, opacity=0.35, inside=True)


def _tee(layer: Layer, look: Look, wide: float, shade: Floats) -> None:
    _coat_of(layer, look, wide, shade, look.cloth)
    if look.seed % 3 == 0:
        second = mix(look.cloth, rgb("ffffff") if look.cloth.mean() < 110 else rgb("20242c"), 0.7)  # noqa: PLR2004
        for y in np.arange(1.75, 6.0, 0.44):
            hoop = curve(np.array([(-wide * 0.8, y), (0, y + 0.09), (wide * 0.8, y)]))
            layer.stroke(hoop, 0.15, second, opacity=0.85, inside=True)
    elif look.seed % 3 == 1:
        tint = mix(look.cloth, rgb("f4f1ea"), 0.75)
        layer.fill(
            smooth(sketch("-0.4,2.5 0.4,2.5 0.44,3.2 0,3.4 -0.44,3.2")),
            tint,
            soft=0.01,
            opacity=0.7,
            inside=True,
        )
    _bare_neck(layer, look, _open_neck(look, 0.22, 0.46, pointed=False), look.cloth * np.float32(0.86))


def _v_neck(layer: Layer, look: Look, wide: float, shade: Floats) -> None:
    _coat_of(layer, look, wide, shade, look.cloth)
    _bare_neck(layer, look, _open_neck(look, 0.66, 0.46, pointed=True), look.cloth * np.float32(0.82))


def _collar(layer: Layer, colour: Colour, spread: float) -> None:
    for side in (-1, 1):
        leaf = sketch("0.44,1.08 0.54,1.34 0.4,1.72 0.04,1.46 0.3,1.3") * (side * spread, 1)
        layer.fill(shift(leaf, 0.02, 0.05), rgb("10100f"), soft=0.04, opacity=0.4, inside=True)
        layer.fill(leaf, colour)
        layer.stroke(close(leaf), 0.016, colour * np.float32(0.72), opacity=0.8)


def _shirt(layer: Layer, look: Look, wide: float, shade: Floats) -> None:
    colour = mix(look.cloth, rgb("f3f4f5"), 0.45)
    _coat_of(layer, look, wide, shade, colour)
    if look.seed % 2:
        lines = [np.array([(x, 1.4), (x * 0.95, 6.4)]) for x in np.arange(-wide, wide, 0.24)]
        layer.stroke(lines, 0.035, look.cloth, opacity=0.5, inside=True)
    layer.fill(_open_neck(look, 0.22, 0.42, pointed=True), look.skin * np.float32(0.8), inside=True)
    layer.stroke(np.array([(0, 1.6), (0, 6.5)]), 0.03, colour * np.float32(0.7), opacity=0.8, inside=True)
    for y in np.arange(1.95, 6.0, 0.55):
        layer.blob(0.05, y, 0.03, 0.03, rgb("30302e"), 0.7)
    _collar(layer, colour * np.float32(1.03), 1.0)


def _suit(layer: Layer, look: Look, wide: float, shade: Floats) -> None:
    jacket = mix(look.cloth, rgb("1d222c"), 0.6)
    _coat_of(layer, look, wide, shade, jacket)
    shirt = sketch("-0.44,1.2 0,1.5 0.44,1.2 0.36,1.6 0,3.3 -0.36,1.6")
    layer.fill(shirt, rgb("eceef0"), shade=shade)
    if look.seed % 4:
        tie = sketch("-0.1,1.48 0.1,1.48 0.07,1.68 0.16,2.8 0,3.1 -0.16,2.8 -0.07,1.68")
        layer.fill(tie, mix(look.hat_colour, rgb("6e1f2c"), 0.4), shade=shade)
    _collar(layer, rgb("f2f3f4"), 0.9)
    for side in (-1, 1):
        lapel = sketch("0.46,1.26 0.74,1.62 0.66,1.95 0.76,2.05 0.02,3.4 0.34,1.7") * (side, 1)
        layer.fill(lapel, jacket * np.float32(1.16), shade=shade)
        layer.stroke(close(lapel), 0.018, jacket * np.float32(0.6), opacity=0.8)


def _hoodie(layer: Layer, look: Look, wide: float, shade: Floats) -> None:
    _coat_of(layer, look, wide, shade, look.cloth)
    roll = sketch("0.5,1 0.86,1.38 0.66,1.72 0.2,2.02 0,2.06")
    ring = mirror(curve(roll))
    layer.fill(shift(ring, 0, 0.06), rgb("0c0c0c"), soft=0.06, opacity=0.4, inside=True)
    layer.fill(ring, look.cloth * np.float32(0.92), shade=shade)
    layer.fill(
        smooth(sketch("-0.4,0.95 0.4,0.95 0.46,1.3 0.2,1.66 0,1.74 -0.2,1.66 -0.46,1.3")),
        look.skin * np.float32(0.72),
        soft=0.02,
    )
    for side in (-1, 1):
        layer.stroke(
            curve(np.array([(side * 0.2, 1.75), (side * 0.24, 2.3), (side * 0.2, 2.9)])),
            0.045,
            rgb("e6e3dc"),
        )


def _turtleneck(layer: Layer, look: Look, wide: float, shade: Floats) -> None:
    _coat_of(layer, look, wide, shade, look.cloth)
    roll = smooth(sketch("-0.4,1.02 0.4,1.02 0.47,1.3 0.44,1.52 0,1.62 -0.44,1.52 -0.47,1.3"))
    layer.fill(shift(roll, 0, 0.05), rgb("0c0c0c"), soft=0.05, opacity=0.4, inside=True)
    layer.fill(roll, look.cloth * np.float32(1.05), shade=shade)
    ribs = [np.array([(x, 1.08), (x * 1.08, 1.52)]) for x in np.linspace(-0.36, 0.36, 9)]
    layer.stroke(ribs, 0.02, look.cloth * np.float32(0.7), soft=0.008, opacity=0.5, inside=True)


def _overcoat(layer: Layer, look: Look, wide: float, shade: Floats) -> None:
    coat = mix(look.cloth, rgb("4a3f38"), 0.35)
    _coat_of(layer, look, wide * 1.05, shade, coat)
    scarf = look.hat_colour
    layer.stroke(
        np.array([(0.03, 1.9), (0.05, 6.6)]), 0.035, coat * np.float32(0.55), soft=0.01, opacity=0.9, inside=True
    )
    for side in (-1, 1):
        lapel = np.array([(0.40, 1.25), (0.86, 1.46), (0.92, 2.1), (0.10, 2.9)]) * (side, 1)
        layer.fill(lapel, coat * np.float32(1.14), shade=shade)
        layer.stroke(close(lapel), 0.02, coat * np.float32(0.55), opacity=0.8)
    wrap = smooth(sketch("-0.46,1 0.46,1 0.62,1.34 0.4,1.66 -0.4,1.66 -0.62,1.34"))
    layer.fill(shift(wrap, 0, 0.06), rgb("0c0c0c"), soft=0.05, opacity=0.4, inside=True)
    layer.fill(wrap, scarf, shade=shade)
    for y in (1.2, 1.42):
        fold = curve(np.array([(-0.5, y - 0.05), (0, y + 0.1), (0.5, y - 0.02)]))
        layer.stroke(fold, 0.04, scarf * np.float32(0.6), soft=0.02, opacity=0.6, inside=True)


_PARTS = {
    "tee": _tee,
    "v-neck": _v_neck,
    "shirt": _shirt,
    "suit": _suit,
    "hoodie": _hoodie,
    "turtleneck": _turtleneck,
    "coat": _overcoat,
}
