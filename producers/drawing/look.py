"""What a drawn person looks like: everything random about them that is not a mask."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from producers.drawing.brush import Colour, mix, rgb

Age = Literal["child", "adult", "elder"]
Hair = Literal[
    "bald",
    "fringe of age",
    "buzz",
    "short",
    "parted",
    "quiff",
    "curls",
    "afro",
    "bob",
    "long",
    "bangs",
    "bun",
    "ponytail",
]
Hat = Literal["none", "cap", "beanie", "headscarf", "hood", "helmet", "band"]
Glasses = Literal["none", "thin", "thick", "sun"]
Beard = Literal["none", "stubble", "moustache", "goatee", "full"]
Clothes = Literal["tee", "v-neck", "shirt", "suit", "hoodie", "turtleneck", "coat"]

SKINS = tuple(
    rgb(code)
    for code in (
        "f6d7c3",
        "efc9b0",
        "e8b998",
        "dfa87f",
        "d0976c",
        "c08258",
        "a86c45",
        "8d5836",
        "7a4b2f",
        "623c26",
        "523220",
    )
)
_HAIRS = tuple(
    rgb(c) for c in ("15120f", "1e1713", "2c1e16", "3f2a1c", "5a3a22", "7a5230", "a87a48", "c9a367", "8a3b1c")
)
_DARK_HAIRS = 4
_DARK_SKIN = 5
"""From this skin on, hair is dark."""
_IRISES = tuple(rgb(c) for c in ("2e1c12", "3b2416", "4f3420", "5d6b3a", "55738c", "6f8fa3", "6b5a34"))
_LIPS = tuple(rgb(c) for c in ("b5333f", "c2485a", "a02c3c", "8c2f48", "d0646a"))
CLOTH_COLOURS = tuple(
    rgb(code)
    for code in (
        "20242c", "2f3b52", "3d4b5c", "5b6470", "8c949e", "cfd4da", "eef0f1", "7a2e35", "a8433f", "c9764a", "d9b45f",
        "4d6b45", "2f5d56", "3a7a94", "6c5a8c", "b7a48e", "6a4f3b", "283a2e", "c58fa0", "93b7c9",
    )
)  # fmt: skip

_SOFT_STYLES: tuple[Hair, ...] = ("bob", "long", "bangs", "bun", "ponytail", "long", "curls", "afro", "parted", "short")
_PLAIN_STYLES: tuple[Hair, ...] = (
    "short",
    "parted",
    "quiff",
    "buzz",
    "short",
    "bald",
    "fringe of age",
    "curls",
    "afro",
)


@dataclass(frozen=True)
class Look:
    """One person. Angles are in degrees, lengths in head units, the rest 0..1 or -1..1 where nothing is said."""

    seed: int
    """Of the strokes: hair, texture, folds."""
    age: Age
    soft: bool
    """Whether features are soft rather than rugged."""
    skin: Colour
    hair_colour: Colour
    hair: Hair
    hair_volume: float
    hat: Hat
    hat_colour: Colour
    glasses: Glasses
    beard: Beard
    clothes: Clothes
    cloth: Colour
    trousers: Colour
    iris: Colour
    lips: Colour
    half_width: float
    """Of the head."""
    jaw: float
    """0 pointed, 1 square."""
    yaw: float
    """Positive turns to the right of the picture."""
    pitch: float
    tilt: float
    gaze: float
    open_eyes: float
    brows: float
    """Negative frowns, positive wonders."""
    smile: float
    open_mouth: float
    nose: float
    """Size, around 1."""
    freckles: bool
    light: tuple[float, float]
    """Where the light comes from: right and down are positive."""


def random_look(rng: np.random.Generator) -> Look:
    """Invent a person."""
    age: Age = rng.choice(["child", "adult", "elder"], p=[0.12, 0.64, 0.24])
    soft = bool(rng.random() < 0.5)  # noqa: PLR2004
    skin_index = int(rng.integers(len(SKINS)))
    skin = mix(SKINS[skin_index], SKINS[min(skin_index + 1, len(SKINS) - 1)], rng.random())
    skin = np.clip(skin * rng.normal(1, (0.03, 0.02, 0.02)), 20, 250).astype(np.float32)
    hairs = _HAIRS[:_DARK_HAIRS] if skin_index >= _DARK_SKIN else _HAIRS
    hair_colour = hairs[rng.integers(len(hairs))] * np.float32(rng.uniform(0.85, 1.2))
    if age == "elder":
        hair_colour = mix(hair_colour, rgb("d8d6d2"), rng.uniform(0.45, 1.0))
    styles = _SOFT_STYLES if soft or age == "child" else _PLAIN_STYLES
    hair: Hair = styles[rng.integers(len(styles))]
    if age == "child" and hair in {"bald", "fringe of age"}:
        hair = "short"
    beard: Beard = "none"
    if not soft and age != "child":
        beard = rng.choice(["none", "stubble", "moustache", "goatee", "full"], p=[0.46, 0.2, 0.08, 0.08, 0.18])
    hats = ["none", "cap", "beanie", "headscarf", "hood", "helmet", "band"]
    hat: Hat = rng.choice(hats, p=[0.68, 0.08, 0.07, 0.09 if soft else 0.0, 0.03, 0.02, 0.03 if soft else 0.12])
    clothes: list[Clothes] = ["tee", "v-neck", "shirt", "suit", "hoodie", "turtleneck", "coat"]
    rugged = 0.0 if soft or age == "child" else 1.0
    return Look(
        seed=int(rng.integers(2**31)),
        age=age,
        soft=soft,
        skin=skin,
        hair_colour=np.clip(hair_colour, 10, 245).astype(np.float32),
        hair=hair,
        hair_volume=rng.uniform(0.6, 1.3),
        hat=hat,
        hat_colour=CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))],
        glasses=rng.choice(["none", "thin", "thick", "sun"], p=[0.68, 0.16, 0.11, 0.05]),
        beard=beard,
        clothes="hoodie" if hat == "hood" else clothes[rng.integers(len(clothes))],
        cloth=CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))] * np.float32(rng.uniform(0.85, 1.1)),
        trousers=CLOTH_COLOURS[rng.choice([0, 1, 2, 3, 15, 16, 17])],
        iris=_IRISES[rng.integers(3 if skin_index >= _DARK_SKIN else len(_IRISES))],
        lips=_LIPS[rng.integers(len(_LIPS))] if soft and age != "child" and rng.random() < 0.6 else skin,  # noqa: PLR2004
        half_width=rng.uniform(0.66, 0.73) if age == "child" else rng.uniform(0.61, 0.70),
        jaw=float(np.clip(rng.normal(0.3 + 0.4 * rugged, 0.2), 0, 1)),
        yaw=float(np.clip(rng.normal(0, 16), -36, 36)),
        pitch=float(rng.normal(0, 0.04)),
        tilt=float(np.clip(rng.normal(0, 5), -14, 14)),
        gaze=float(np.clip(rng.normal(0, 0.4), -1, 1)),
        open_eyes=float(np.clip(rng.normal(1.0, 0.2), 0.25, 1.35)),
        brows=float(np.clip(rng.normal(0, 0.45), -1, 1)),
        smile=float(np.clip(rng.normal(0.25, 0.4), -0.6, 1)),
        open_mouth=float(np.clip(rng.normal(-0.25, 0.5), 0, 1)),
        nose=float(rng.uniform(0.8, 1.2) * (0.8 if age == "child" else 1.0)),
        freckles=bool(skin_index < 3 and rng.random() < 0.25),  # noqa: PLR2004
        light=(rng.uniform(-0.65, 0.65), rng.uniform(-0.7, -0.25)),
    )
