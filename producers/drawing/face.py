"""Paint a face: the head's form and shading, ears, eyes, brows, nose, mouth, beard and the marks of age."""

import math

import numpy as np
from numpy.typing import ArrayLike

from producers.drawing.brush import (
    Colour,
    Floats,
    Layer,
    Points,
    curve,
    ellipse,
    grain_patch,
    mirror,
    mix,
    rgb,
    shift,
    sketch,
    smooth,
)
from producers.drawing.look import Look

BROW_LINE = -0.35
"""Where a face's box begins: a little above the brows, as people draw it on photographs."""
_WHITE = rgb("ffffff")
_INK = rgb("1a1210")


class Head:
    """A head in space: it takes places on the face to the picture.

    Places are (u, v): u runs from ear (-1) to ear (+1), v from the crown (-1) over the eyes (0) to the chin (+1).
    """

    def __init__(self, look: Look) -> None:
        self.look = look
        self.half_width = look.half_width
        self.turn = math.radians(look.yaw)

    def at(self, places: ArrayLike, *, out: float = 0.0) -> Points:
        """Project places of the face; `out` is how far they stand off it, in head units."""
        given = np.atleast_2d(np.asarray(places, np.float64))
        u, v = given[:, 0], given[:, 1]
        angle = np.clip(np.arcsin(np.clip(u, -1, 1)) + self.turn, -1.55, 1.55)
        x = self.half_width * np.sin(angle) - (1 - _depth(v)) * self.half_width * math.sin(self.turn)
        return np.stack([x + out * math.sin(self.turn), v + self.look.pitch * np.cos(v * 1.2)], axis=1)

    def facing(self, u: float) -> float:
        """Return how much a place at u faces the viewer: 1 fully, 0 edge-on."""
        return max(0.12, math.cos(math.asin(max(-1.0, min(1.0, u))) + self.turn))

    def outline(self) -> Points:
        """Return the head's outline."""
        square = self.look.jaw
        right = np.array(
            [
                (0.0, -0.98), (0.46, -0.925), (0.82, -0.70), (0.975, -0.36), (1.0, -0.05), (0.985, 0.22),
                (0.90 + 0.05 * square, 0.50), (0.74 + 0.12 * square, 0.72), (0.50 + 0.16 * square, 0.90),
                (0.24 + 0.10 * square, 0.985), (0.0, 1.0),
            ]
        )  # fmt: skip
        points = mirror(right)
        points[:, 0] *= self.half_width
        ahead = np.interp(points[:, 1], [-1, -0.3, 0, 0.6, 1.0], [-0.14, -0.08, 0.0, 0.42, 0.72])
        points[:, 0] += self.half_width * math.sin(self.turn) * ahead
        return smooth(points)

    def box(self) -> tuple[float, float, float, float]:
        """Return the face's box before the head is tilted: brow to below the chin, ear to ear."""
        outline = self.outline()
        cheeks = outline[(outline[:, 1] > -0.2) & (outline[:, 1] < 0.6)][:, 0]  # noqa: PLR2004
        ears = self.at([(-0.95, 0.1), (0.95, 0.1)])[:, 0]
        lift = self.look.pitch
        return max(cheeks.min(), ears[0]), BROW_LINE + lift, min(cheeks.max(), ears[1]), 1.03


def _depth(v: Floats | Points) -> Points:
    return np.interp(v, [-1.0, -0.6, 0.5, 1.0, 1.3], [0.6, 1.0, 1.0, 0.80, 0.62])


def form_shade(layer: Layer, look: Look, x: float, y: float, rx: float, ry: float) -> Floats:  # noqa: PLR0913, PLR0917
    """Return how light falls on an ellipsoid, for every pixel of a layer: 0.5 in its shadow, 1.1 towards the light."""
    nx, ny = (layer.xs - x) / np.float32(rx), (layer.ys - y) / np.float32(ry)
    nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0.03, 1))
    lx, ly = look.light
    lz = math.sqrt(max(0.05, 1 - lx * lx - ly * ly))
    return np.asarray(np.clip(0.62 + 0.46 * (nx * lx + ny * ly + nz * lz), 0.42, 1.15), np.float32)


def paint_head(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    """Paint the bare head: form, ears, features, marks of age, beard."""
    look = head.look
    shadow = look.skin * np.array([0.42, 0.47, 0.60], np.float32)
    _ears(layer, head, shadow)
    centre = head.half_width * math.sin(head.turn) * 0.12
    shade = form_shade(layer, look, centre, 0.0, head.half_width * 1.06, 1.13)
    layer.fill(head.outline(), look.skin, shade=shade)
    _flesh(layer, head, shadow, rng)
    if look.beard != "none":
        _beard(layer, head, rng)
    _nose(layer, head, shadow)
    _mouth(layer, head, shadow)
    for side in (-1, 1):
        _eye(layer, head, side, shadow)
        _brow(layer, head, side, rng)
    _age(layer, head, shadow)


def _ears(layer: Layer, head: Head, shadow: Colour) -> None:
    look = head.look
    for side in (-1, 1):
        if side * look.yaw > 12:  # noqa: PLR2004  # hidden behind the head
            continue
        x = head.at((side * 0.97, 0.05))[0, 0] + side * 0.03
        lobe = smooth(sketch("0,-0.14 0.09,-0.2 0.15,-0.1 0.12,0.1 0.05,0.24 -0.02,0.22") * (side, 1) + (x, 0.08))
        layer.fill(lobe, mix(look.skin, rgb("c05840"), 0.10) * np.float32(0.86))
        inner = smooth(np.array([(0.03, -0.10), (0.10, -0.10), (0.08, 0.06), (0.03, 0.14)]) * (side, 1) + (x, 0.08))
        layer.fill(inner, shadow, soft=0.02, opacity=0.55, inside=True)


def _flesh(layer: Layer, head: Head, shadow: Colour, rng: np.random.Generator) -> None:
    look = head.look
    blush = mix(look.skin, rgb("c8412f"), 0.45)
    for side in (-1, 1):
        ((x, y),) = head.at((side * 0.55, 0.36))
        layer.blob(x, y, 0.17 * head.facing(side * 0.55), 0.14, blush, 0.32 if look.soft else 0.22)
        ((x, y),) = head.at((side * 0.42, -0.03))
        layer.blob(x, y, 0.17 * head.facing(side * 0.42), 0.09, shadow, 0.34)
        ((x, y),) = head.at((side * 0.5, 0.20))
        layer.blob(x, y, 0.13 * head.facing(side * 0.5), 0.06, mix(look.skin, _WHITE, 0.5), 0.22)
        ((x, y),) = head.at((side * 0.93, 0.55))
        layer.blob(x, y, 0.12, 0.35, shadow, 0.30)
    ((x, y),) = head.at((0.0, -0.45))
    layer.blob(x + 0.12 * look.light[0], y, 0.22, 0.13, mix(look.skin, _WHITE, 0.6), 0.20)
    ((x, y),) = head.at((0.0, 0.86))
    layer.blob(x, y, 0.11, 0.06, mix(look.skin, _WHITE, 0.5), 0.15)
    layer.blob(x, y - 0.11, 0.14, 0.04, shadow, 0.28)
    spots = 1 + 0.028 * grain_patch(rng, layer.alpha.shape, 9.0) + 0.020 * grain_patch(rng, layer.alpha.shape, 0.8)
    layer.shine(spots)
    if look.freckles:
        for u, v in rng.normal((0, 0.25), (0.42, 0.11), (26, 2)):
            ((x, y),) = head.at((float(np.clip(u, -0.9, 0.9)), v))
            layer.blob(x, y, 0.013, 0.012, rgb("8a4a28"), 0.5)


def _nose(layer: Layer, head: Head, shadow: Colour) -> None:
    look = head.look
    size = look.nose
    light = mix(look.skin, _WHITE, 0.55)
    dark_side = -1 if look.light[0] > 0 else 1
    tip = head.at((0.0, 0.36), out=0.13)[0]
    bridge = head.at((0.0, -0.06), out=0.03)[0]
    ridge = np.array([bridge, (bridge + tip) / 2 + (0.01 * dark_side, 0.0), tip])
    side = curve(ridge + np.array([(0.06, 0), (0.075, 0), (0.10, 0.02)]) * (dark_side * size, 1))
    layer.stroke(side, 0.085, shadow, soft=0.035, opacity=0.58, inside=True)
    layer.stroke(curve(ridge), 0.05, light, soft=0.03, opacity=0.34, inside=True)
    layer.blob(tip[0], tip[1] + 0.115, 0.13 * size, 0.045, shadow, 0.72)
    layer.blob(tip[0], tip[1] - 0.005, 0.065 * size, 0.055, light, 0.55)
    for wing in (-1, 1):
        reach = 0.15 * size * (1 - 0.5 * max(0.0, wing * math.sin(head.turn)))
        rim = sketch("0.92,-0.07 1.05,0 0.95,0.065 0.62,0.075") * (wing * reach, 1) + tip
        layer.stroke(curve(rim), 0.024, shadow * np.float32(0.8), soft=0.008, opacity=0.75, inside=True)
        layer.fill(
            ellipse(tip[0] + wing * reach * 0.5, tip[1] + 0.082, 0.036 * size, 0.020), _INK, soft=0.008, opacity=0.72,
            inside=True,
        )  # fmt: skip


def _mouth(layer: Layer, head: Head, shadow: Colour) -> None:
    look = head.look
    centre = head.at((0.0, 0.635), out=0.05)[0]
    half = 0.225 * (0.85 if look.age == "child" else 1.0) * (1 + 0.14 * max(0.0, look.smile)) * head.facing(0.0)
    lift = 0.055 * look.smile
    gap = 0.10 * look.open_mouth
    painted = look.lips is not look.skin
    lip = look.lips if painted else mix(look.skin, rgb("a03a34"), 0.42) * np.float32(0.88)
    full = 1.0 if look.soft else 0.72
    left, right = (-half, -lift), (half, -lift)
    bow = sketch("-0.5,-0.035 -0.22,-0.062 0,-0.045 0.22,-0.062 0.5,-0.035") * (half, full)
    upper = curve([left, *bow, right])
    line = curve([left, (-half * 0.5, 0.012), (0, 0.008 + 0.3 * lift), (half * 0.5, 0.012), right])
    parting = np.array([0, gap]) * (1 - (line[:, :1] / half) ** 2)
    lower_line = line + parting
    lower = curve([left, *(sketch("-0.55,0.075 0,0.105 0.55,0.075") * (half, full) + (0, gap)), right])
    if gap > 0.01:  # noqa: PLR2004
        inside = np.concatenate([line, lower_line[::-1]]) + centre
        layer.fill(inside, rgb("4a1414"), inside=True)
        teeth = np.concatenate([line, (line + parting / 2)[::-1]]) + centre
        layer.fill(teeth, rgb("f1ece2"), soft=0.006, opacity=0.95, inside=True, clip=inside)
    layer.fill(
        np.concatenate([upper, line[::-1]]) + centre, lip * np.float32(0.82), soft=0.010, opacity=0.92, inside=True
    )
    layer.fill(np.concatenate([lower_line, lower[::-1]]) + centre, lip, soft=0.012, opacity=0.88, inside=True)
    layer.blob(centre[0], centre[1] + gap + 0.055 * full, half * 0.35, 0.016, mix(lip, _WHITE, 0.6), 0.5)
    layer.stroke(line + centre, 0.016, shadow * np.float32(0.45), soft=0.004, opacity=0.85, inside=True)
    for side in (-1, 1):
        layer.blob(centre[0] + side * half * 1.03, centre[1] - lift, 0.022, 0.022, shadow, 0.55)


def _eye(layer: Layer, head: Head, side: int, shadow: Colour) -> None:
    look = head.look
    u = side * 0.43
    x, y = head.at((u, 0.0))[0]
    wide = 0.142 * head.facing(u) * (1.1 if look.age == "child" else 1.0)
    tall = 0.062 * look.open_eyes * (1.15 if look.age == "child" else 1.0)
    place = np.array([x, y])
    scale = np.array([wide * side, tall])
    upper = curve(sketch("-1,0.35 -0.55,-0.65 0.1,-1 0.65,-0.7 1,0") * scale + place)
    lower = curve(sketch("1,0 0.5,0.62 -0.2,0.85 -0.75,0.6 -1,0.35") * scale + place)
    white = np.concatenate([upper, lower[1:-1]])
    layer.fill(white, mix(rgb("ece7e2"), look.skin, 0.22), soft=0.006, inside=True)
    gaze = 0.5 * look.gaze + 0.5 * math.sin(head.turn)
    ix, iy, radius = x + gaze * wide * 0.42, y - 0.006, 0.074
    squeeze = head.facing(u)
    layer.fill(
        ellipse(ix, iy, radius * squeeze, radius), look.iris * np.float32(0.55), soft=0.004, inside=True, clip=white
    )
    layer.fill(
        ellipse(ix, iy + 0.008, radius * 0.78 * squeeze, radius * 0.76),
        mix(look.iris, _WHITE, 0.12),
        soft=0.012,
        inside=True,
        clip=white,
    )
    layer.fill(ellipse(ix, iy, radius * 0.42 * squeeze, radius * 0.44), rgb("0c0808"), inside=True, clip=white)
    # The lid throws a shadow on the ball.
    layer.stroke(shift(upper, 0, 0.016), 0.030, shadow * np.float32(0.6), soft=0.010, opacity=0.5, inside=True)
    layer.fill(ellipse(ix + 0.022, iy - 0.022, 0.015, 0.015), _WHITE, opacity=0.95, inside=True, clip=white)
    layer.stroke(upper, 0.034 if look.soft else 0.024, _INK, soft=0.004, opacity=0.88, inside=True)
    if look.soft and look.age != "child":
        tail = np.array([upper[-1], upper[-1] + (side * 0.045, -0.03)])
        layer.stroke(tail, 0.022, _INK, soft=0.004, opacity=0.8, inside=True)
    layer.stroke(lower, 0.012, shadow * np.float32(0.7), soft=0.005, opacity=0.6, inside=True)
    layer.stroke(shift(upper, 0, -0.036), 0.015, shadow, soft=0.008, opacity=0.7, inside=True)
    layer.fill(
        ellipse(x - side * wide * 0.93, y + 0.3 * tall, 0.013, 0.012),
        rgb("c77f72"),
        soft=0.004,
        opacity=0.7,
        inside=True,
    )


def _brow(layer: Layer, head: Head, side: int, rng: np.random.Generator) -> None:
    look = head.look
    inner = -0.145 + 0.04 * -look.brows * (1 if look.brows > 0 else -1)
    inner += 0.02 * look.brows
    arch = 0.045 if look.soft else 0.025
    spine = head.at(
        [
            (side * u, v)
            for u, v in ((0.17, inner), (0.42, inner - arch - 0.02), (0.62, inner - arch), (0.78, inner + 0.035))
        ],
        out=0.02,
    )
    thick = (0.042 if look.soft else 0.060) * (0.8 if look.age == "child" else 1.0)
    bow = curve(spine, steps=6)
    taper = np.interp(np.linspace(0, 1, len(bow)), [0, 0.3, 1], [0.75, 1.0, 0.25])[:, None] * thick / 2
    colour = look.hair_colour * np.float32(0.75)
    layer.fill(
        np.concatenate([bow - (0, 1) * taper, (bow + (0, 1) * taper)[::-1]]),
        colour,
        soft=0.010,
        opacity=0.82,
        inside=True,
    )
    roots = bow + (0, 0.7) * taper
    tips = roots + (0, -2.0) * taper + rng.normal((side * 0.05, 0), 0.005, roots.shape)
    strands = [np.stack(pair) for pair in zip(roots, tips, strict=True)]
    layer.stroke(strands, 0.010, colour * np.float32(0.7), opacity=0.6, inside=True)


def _beard(layer: Layer, head: Head, rng: np.random.Generator) -> None:
    look = head.look
    colour = look.hair_colour * np.float32(0.9)
    stubble = look.beard == "stubble"
    moustache = smooth(head.at(mirror(sketch("0,0.49 0.24,0.52 0.36,0.64 0.2,0.59 0,0.575")), out=0.06))
    chin = smooth(head.at(mirror(sketch("0,0.76 0.3,0.7 0.33,0.88 0.2,1.03 0,1.06")), out=0.03))
    full = smooth(
        head.at(
            mirror(sketch("0,0.76 0.3,0.74 0.38,0.62 0.62,0.5 0.93,0.38 0.99,0.12 1,0.5 0.82,0.83 0.45,1.04 0,1.1"))
        )
    )
    parts = {"moustache": [moustache], "goatee": [moustache, chin]}.get(look.beard, [moustache, full])
    texture = 1 + 0.07 * grain_patch(rng, layer.alpha.shape, 0.8) + 0.07 * grain_patch(rng, layer.alpha.shape, 2.0)
    for part in parts:
        layer.fill(
            part,
            colour,
            soft=0.035 if stubble else 0.022,
            opacity=0.38 if stubble else 0.93,
            shade=texture,
            inside=stubble,
        )


def _age(layer: Layer, head: Head, shadow: Colour) -> None:
    look = head.look
    depth = {"child": 0.0, "adult": 0.22, "elder": 0.62}[look.age]
    if not depth:
        return
    for side in (-1, 1):
        fold = curve(head.at([(side * 0.24, 0.40), (side * 0.36, 0.52), (side * 0.43, 0.68)], out=0.03))
        layer.stroke(fold, 0.022, shadow, soft=0.012, opacity=depth + 0.12 * max(0.0, look.smile), inside=True)
        bag = curve(head.at([(side * 0.26, 0.10), (side * 0.42, 0.135), (side * 0.60, 0.09)]))
        layer.stroke(bag, 0.020, shadow, soft=0.012, opacity=depth * 0.8, inside=True)
        if look.age == "elder":
            feet = [head.at([(side * 0.68, 0.0), (side * 0.82, v)]) for v in (-0.07, 0.0, 0.07)]
            layer.stroke(feet, 0.010, shadow, soft=0.005, opacity=0.55, inside=True)
            jowl = curve(head.at([(side * 0.45, 0.76), (side * 0.52, 0.90)]))
            layer.stroke(jowl, 0.03, shadow, soft=0.02, opacity=0.4, inside=True)
    if look.age == "elder" or look.brows > 0.5:  # noqa: PLR2004
        for v in (-0.36, -0.44, -0.52):
            line = curve(head.at([(-0.5, v + 0.02), (-0.2, v), (0.2, v), (0.5, v + 0.02)]))
            layer.stroke(line, 0.012, shadow, soft=0.008, opacity=0.45, inside=True)
