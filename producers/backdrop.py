"""Paint the places that drawn people walk through: a street, a hall, an office, a park.

A backdrop is as large as the frame. Between `COVER_TOP` and `COVER_BOTTOM` lies something that hides the legs of those
far away (a wall, a counter, desks, a hedge): its shape is the backdrop's `cover`.
"""

from typing import NamedTuple

import cv2
import numpy as np

from producers.cutout import Cutout, cut_out
from producers.drawing.brush import Colour, Floats, grain_patch, mix, rgb
from producers.drawing.look import CLOTH_COLOURS
from producers.source import Image

COVER_TOP, COVER_BOTTOM = 0.46, 0.66
"""In 0..1 of the frame's height."""
_SOME_COLUMNS = 0.5
_WALLS = tuple(
    rgb(c) for c in ("d9d2c5", "c3b8a6", "b4aea9", "a99a8a", "8f8a86", "b98d78", "cfd6da", "a7b3b8", "d6c7a8")
)


class Backdrop(NamedTuple):
    """A place."""

    image: Image
    cover: Cutout
    """The thing in the middle, to lay at `COVER_TOP`."""


class _Board:
    """What is painted on; places are in 0..1 of its width and height."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.paint: Floats = np.zeros((height, width, 3), np.float32)
        self.mask = np.zeros((height, width), np.uint8)
        """Where the cover is, 0..255."""

    def shape(  # colour, its end, opacity, what for
        self,
        points: list[tuple[float, float]],
        top: Colour,
        bottom: Colour | None = None,
        *,
        opacity: float = 1.0,
        cover: bool = False,
    ) -> None:
        """Fill a polygon, its colour running from top to bottom."""
        places = np.array(points, np.float64) * (self.width, self.height)
        y1, y2 = max(0, int(places[:, 1].min())), min(self.height, int(places[:, 1].max()) + 2)
        if y1 >= y2:
            return
        stencil = np.zeros((y2 - y1, self.width), np.uint8)
        cv2.fillPoly(stencil, [np.round((places - (0, y1)) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        share = np.linspace(0, 1, y2 - y1, dtype=np.float32)[:, None, None]
        ink = top * (1 - share) + (top if bottom is None else bottom) * share
        amount = stencil[..., None].astype(np.float32) * np.float32(opacity / 255)
        self.paint[y1:y2] += (ink - self.paint[y1:y2]) * amount
        if cover:
            self.mask[y1:y2] = np.maximum(self.mask[y1:y2], stencil)

    def box(  # noqa: PLR0913, PLR0917  # a rectangle has four sides
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        top: Colour,
        bottom: Colour | None = None,
        *,
        opacity: float = 1.0,
        cover: bool = False,
    ) -> None:
        """Fill a rectangle."""
        self.shape([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], top, bottom, opacity=opacity, cover=cover)

    def round(  # noqa: PLR0913
        self, x: float, y: float, rx: float, ry: float, colour: Colour, *, opacity: float = 1.0, cover: bool = False
    ) -> None:
        """Fill an ellipse; `rx` and `ry` are both in 0..1 of the height."""
        t = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        across = rx * self.height / self.width
        points = [(x + across * float(np.cos(a)), y + ry * float(np.sin(a))) for a in t]
        self.shape(points, colour, opacity=opacity, cover=cover)

    def blur(self, deviation: float) -> None:
        """Put everything so far out of focus; `deviation` is in 0..1 of the width."""
        self.paint = np.asarray(cv2.GaussianBlur(self.paint, (0, 0), deviation * self.width), np.float32)

    def light(self, rng: np.random.Generator) -> None:
        """Let light fall unevenly, as it does, in a tint of the hour."""
        xs = np.linspace(-1, 1, self.width, dtype=np.float32)[None, :]
        ys = np.linspace(-1, 1, self.height, dtype=np.float32)[:, None]
        x, y = rng.uniform(-0.8, 0.8), rng.uniform(-0.9, -0.2)
        fall = 0.86 + 0.26 * np.exp(-((xs - np.float32(x)) ** 2 + (ys - np.float32(y)) ** 2) / 0.9)
        tint = mix(
            rgb("ffffff"), rgb(("ffe2bd", "d6e6ff", "fff3e2", "eef2ff")[int(rng.integers(4))]), 0.7
        ) / np.float32(255)
        mottle = 1 + 0.012 * grain_patch(rng, (self.height, self.width), 5.0)
        self.paint *= (fall * mottle * np.float32(rng.uniform(0.92, 1.08)))[..., None] * tint


def _floor(board: _Board, rng: np.random.Generator, colours: tuple[Colour, Colour], joints: int) -> None:
    """Lay a floor, its colours near and far, with joints that run to the middle."""
    near, far = colours
    joint = near * np.float32(0.8)
    board.box(0, 0.42, 1, 1.02, far, near)
    for i in range(-joints, 2 * joints):
        x = (i + 0.5) / joints - 0.5
        foot = 0.5 + x * 2.4
        board.shape([(0.5 + x * 0.5, 0.42), (foot, 1.02), (foot + 0.006, 1.02)], joint, opacity=0.5)
    for depth in (0.70, 0.78, 0.88):
        board.box(0, depth, 1, depth + 0.005, joint, opacity=0.4)
    board.box(0, 0.66, 1, 0.72, rgb("101010"), far, opacity=rng.uniform(0.1, 0.25))


def _window(board: _Board, rng: np.random.Generator, place: tuple[float, float], wide: float) -> None:
    (x, y), tall = place, 0.085
    glass = mix(rgb("5b6c7c"), rgb("ffe6b0"), float(rng.choice([0.0, 0.15, 0.7], p=[0.55, 0.3, 0.15])))
    board.box(x - 0.004, y - 0.006, x + wide + 0.004, y + tall + 0.010, rgb("e6e1d8"), opacity=0.8)
    board.box(x, y, x + wide, y + tall, glass * np.float32(1.15), glass * np.float32(0.7))
    board.box(x + wide * 0.47, y, x + wide * 0.53, y + tall, rgb("e6e1d8"), opacity=0.7)


def _street(board: _Board, rng: np.random.Generator) -> None:
    sky = mix(rgb("8fb7dc"), rgb("c9cdd2"), rng.random())
    board.box(0, 0, 1, 0.5, sky, mix(sky, rgb("ffffff"), 0.55))
    x = -0.05
    while x < 1:
        wide, top = rng.uniform(0.14, 0.28), rng.uniform(-0.12, 0.10)
        wall = _WALLS[rng.integers(len(_WALLS))] * np.float32(rng.uniform(0.75, 1.0))
        board.box(x, top, x + wide, 0.5, wall, wall * np.float32(0.82))
        board.box(x, top, x + wide, top + 0.015, wall * np.float32(0.65))
        columns = int(rng.integers(2, 5))
        for column in range(columns):
            for y in np.arange(top + 0.04, 0.22, 0.125):
                _window(board, rng, (x + wide * (column + 0.25) / columns, y), wide * 0.5 / columns)
        awning = CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))]
        board.box(
            x + 0.012,
            0.31,
            x + wide - 0.012,
            0.5,
            mix(rgb("ffd9a0"), rgb("40505c"), rng.random()),
            rgb("2c3238"),
        )
        board.shape(
            [(x + 0.01, 0.265), (x + wide - 0.01, 0.265), (x + wide, 0.325), (x, 0.325)],
            awning,
            awning * np.float32(0.75),
        )
        x += wide
    for _ in range(int(rng.integers(1, 4))):
        _tree(board, rng, rng.uniform(0, 1), 0.16, 0.5)
    _floor(board, rng, (rgb("8d8a86") * np.float32(rng.uniform(0.75, 1.1)), rgb("a5a29d")), 7)


def _tree(board: _Board, rng: np.random.Generator, x: float, y: float, foot: float) -> None:
    bark, leaf = rgb("4b3a2c"), mix(rgb("3f6b35"), rgb("a68a3a"), rng.beta(1.2, 3))
    board.shape([(x - 0.008, y), (x + 0.008, y), (x + 0.012, foot), (x - 0.012, foot)], bark, bark * np.float32(0.7))
    for i in range(26):
        dx, dy = rng.normal(0, 0.06), rng.normal(0, 0.06)
        glow = np.float32(0.62 + 0.018 * i - 1.2 * dy)
        size = rng.uniform(0.03, 0.06)
        board.round(x + dx, y + dy, size * 1.3, size, leaf * glow, opacity=0.85)


def _hall(board: _Board, rng: np.random.Generator) -> None:
    wall = mix(_WALLS[rng.integers(len(_WALLS))], rgb("e8e6e2"), 0.5)
    board.box(0, 0, 1, 0.5, wall, wall * np.float32(0.85))
    board.box(0, 0, 1, 0.07, wall * np.float32(0.55), wall * np.float32(0.75))
    for x in np.arange(0.03, 1, 0.14):
        board.box(x, 0.02, x + 0.07, 0.036, rgb("fffbe8"))
    panes = int(rng.integers(4, 8))
    outside = mix(rgb("cfe3f2"), rgb("f3d9b0"), rng.random())
    for i in range(panes):
        x = i / panes + 0.02
        board.box(x, 0.11, x + 1 / panes - 0.03, 0.37, outside, mix(outside, rgb("8aa08a"), 0.5))
        board.box(x, 0.22, x + 1 / panes - 0.03, 0.228, wall * np.float32(0.6))
    for i in range(panes + 1):
        if rng.random() < _SOME_COLUMNS:
            column = wall * np.float32(0.92)
            board.box(i / panes - 0.022, 0.07, i / panes + 0.022, 0.5, column, column * np.float32(0.75))
            board.box(i / panes + 0.008, 0.07, i / panes + 0.022, 0.5, rgb("000000"), opacity=0.18)
    for _ in range(int(rng.integers(1, 4))):
        x, sign = rng.uniform(0.05, 0.8), CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))]
        board.box(x, 0.085, x + 0.14, 0.135, sign)
        board.box(x + 0.02, 0.10, x + 0.09, 0.118, rgb("ffffff"), opacity=0.85)
    _floor(board, rng, (mix(wall, rgb("8a8378"), 0.6), mix(wall, rgb("cfc9c0"), 0.5)), 9)
    for i in range(panes):
        board.box(
            i / panes + 0.02, 0.66, (i + 1) / panes - 0.01, 0.95, outside, mix(wall, rgb("8a8378"), 0.6), opacity=0.22
        )


def _view(board: _Board, rng: np.random.Generator, x: float, wide: float) -> None:
    """Open a window on a city, its blind more or less down."""
    board.box(x, 0.05, x + wide - 0.02, 0.36, rgb("d4e4f0"), rgb("a9bccb"))
    for _ in range(7):
        tower = x + rng.uniform(0, wide - 0.06)
        board.box(tower, rng.uniform(0.15, 0.30), tower + 0.035, 0.36, rgb("8d9dab"), rgb("7c8a96"))
    for y in np.arange(0.06, 0.06 + rng.uniform(0, 0.18), 0.018):
        board.box(x, y, x + wide - 0.02, y + 0.008, rgb("f3f1ec"))
    board.box(x + wide / 2 - 0.014, 0.05, x + wide / 2 - 0.008, 0.36, rgb("f0efec"))


def _shelf(board: _Board, rng: np.random.Generator, x: float, wide: float) -> None:
    """Put up a shelf of books."""
    wood = rgb("8a6a4c") * np.float32(rng.uniform(0.6, 1.2))
    right = x + wide - 0.03
    board.box(x, 0.06, right, 0.5, wood * np.float32(0.5))
    for y in (0.17, 0.28, 0.39, 0.5):
        place = x + 0.006
        while place < right - 0.02:
            thick = rng.uniform(0.006, 0.016)
            colour = CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))]
            board.box(place, y - rng.uniform(0.06, 0.09), place + thick, y, colour)
            place += thick + 0.001
        board.box(x, y, right, y + 0.012, wood)


def _poster(board: _Board, rng: np.random.Generator, x: float, wide: float) -> None:
    """Hang a picture."""
    colour = CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))]
    board.box(x + 0.02, 0.10, x + wide - 0.04, 0.30, rgb("f6f4ef"))
    board.box(x + 0.03, 0.115, x + wide - 0.05, 0.285, mix(colour, rgb("ffffff"), 0.3), colour)


def _plant(board: _Board, rng: np.random.Generator, x: float, wide: float) -> None:
    """Put up a pot plant."""
    middle = x + wide / 2
    for _ in range(18):
        leaf = rgb("3f7a45") * np.float32(rng.uniform(0.6, 1.3))
        board.round(middle + rng.normal(0, 0.025), 0.27 + rng.normal(0, 0.06), 0.03, 0.05, leaf, opacity=0.9)
    board.box(middle - 0.02, 0.36, middle + 0.02, 0.46, rgb("d8cfc2"), rgb("9a8f82"))


def _office(board: _Board, rng: np.random.Generator) -> None:
    wall = _WALLS[rng.integers(len(_WALLS))]
    board.box(0, 0, 1, 0.5, mix(wall, rgb("ffffff"), 0.3), wall * np.float32(0.9))
    x = rng.uniform(-0.1, 0.1)
    while x < 1:
        wide = rng.uniform(0.14, 0.26)
        (_view, _shelf, _poster, _plant)[rng.integers(4)](board, rng, x, wide)
        x += wide
    _floor(board, rng, (rgb("7d7f83") * np.float32(rng.uniform(0.7, 1.1)), rgb("96989c")), 6)


def _park(board: _Board, rng: np.random.Generator) -> None:
    sky = mix(rgb("86b4e0"), rgb("e0c7a8"), rng.beta(1, 2))
    board.box(0, 0, 1, 0.5, sky, mix(sky, rgb("ffffff"), 0.6))
    for _ in range(int(rng.integers(2, 6))):
        x, y = rng.uniform(0, 1), rng.uniform(0.02, 0.14)
        for _ in range(7):
            board.round(x + rng.normal(0, 0.05), y + rng.normal(0, 0.012), 0.06, 0.022, rgb("ffffff"), opacity=0.35)
    far = mix(rgb("6f8f78"), sky, 0.4)
    hills = [(x, float(0.26 + rng.normal(0, 0.018))) for x in np.linspace(0, 1, 9)]
    board.shape([(0, 0.5), *hills, (1, 0.5)], far, mix(far, rgb("5f8a4a"), 0.5))
    for _ in range(int(rng.integers(7, 12))):
        _tree(board, rng, rng.uniform(-0.05, 1.05), rng.uniform(0.14, 0.26), 0.48)
    grass = rgb("6d9a4a") * np.float32(rng.uniform(0.75, 1.05))
    board.box(0, 0.42, 1, 1.02, grass * np.float32(0.9), grass * np.float32(0.75))
    sand = rgb("c7b48f") * np.float32(rng.uniform(0.8, 1.0))
    board.shape([(-0.1, 0.70), (1.1, 0.68), (1.1, 1.02), (-0.1, 1.02)], sand, sand * np.float32(0.85), opacity=0.9)


def _wall(board: _Board, rng: np.random.Generator) -> None:
    """Put a low wall with a coping in the middle."""
    stone = _WALLS[rng.integers(len(_WALLS))] * np.float32(rng.uniform(0.55, 0.9))
    top = 0.495
    board.box(-0.01, top, 1.01, COVER_BOTTOM, stone, stone * np.float32(0.72), cover=True)
    for row, y in enumerate(np.arange(top + 0.02, COVER_BOTTOM, 0.04)):
        board.box(0, y, 1, y + 0.003, stone * np.float32(0.6), opacity=0.6)
        for x in np.arange(0.03 * (row % 2), 1, 0.06):
            board.box(
                x,
                y,
                x + 0.002,
                min(y + 0.04, COVER_BOTTOM),
                stone * np.float32(0.6),
                opacity=0.6,
            )
    board.box(-0.01, top - 0.012, 1.01, top + 0.014, mix(stone, rgb("ffffff"), 0.35), stone, cover=True)


def _counter(board: _Board, rng: np.random.Generator) -> None:
    """Put a long counter of panels in the middle."""
    panel = mix(CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))], rgb("8d8275"), 0.6)
    board.box(-0.01, 0.50, 1.01, COVER_BOTTOM, panel * np.float32(1.05), panel * np.float32(0.65), cover=True)
    for x in np.arange(0.0, 1.0, rng.uniform(0.07, 0.13)):
        board.box(x, 0.515, x + 0.003, COVER_BOTTOM, panel * np.float32(0.5), opacity=0.8)
        board.box(x + 0.003, 0.515, x + 0.006, COVER_BOTTOM, panel * np.float32(1.3), opacity=0.5)
    board.box(-0.01, 0.488, 1.01, 0.512, rgb("e4e0d8"), rgb("a9a49b"), cover=True)


def _desks(board: _Board, rng: np.random.Generator) -> None:
    """Put a row of desks with screens in the middle."""
    _counter(board, rng)
    x = rng.uniform(0.02, 0.12)
    while x < 0.95:  # noqa: PLR2004
        wide = rng.uniform(0.05, 0.075)
        board.box(x + wide * 0.42, 0.475, x + wide * 0.58, 0.495, rgb("33363b"), cover=True)
        board.box(x, COVER_TOP + 0.004, x + wide, 0.482, rgb("2a2d33"), rgb("1c1e22"), cover=True)
        x += wide + rng.uniform(0.08, 0.22)


def _hedge(board: _Board, rng: np.random.Generator) -> None:
    """Put a hedge in the middle."""
    leaf = mix(rgb("3c6a30"), rgb("6f7d35"), rng.random()) * np.float32(rng.uniform(0.8, 1.05))
    board.box(-0.01, 0.50, 1.01, COVER_BOTTOM, leaf * np.float32(0.9), leaf * np.float32(0.45), cover=True)
    for _ in range(520):
        x, y = rng.uniform(0, 1), rng.uniform(0.485, 0.64)
        glow = np.float32(1.25 - 3.2 * (y - 0.485) + rng.normal(0, 0.12))
        size = rng.uniform(0.010, 0.020)
        board.round(x, y, size, size * 0.8, leaf * max(np.float32(0.35), glow), opacity=0.8, cover=True)


KINDS = ((_street, _wall), (_hall, _counter), (_office, _desks), (_park, _hedge))
"""What stands behind the people far away, and what before them."""


def paint_backdrop(rng: np.random.Generator, size: tuple[int, int], kind: int | None = None) -> Backdrop:
    """Paint a place that nobody has seen before.

    Parameters
    ----------
    rng
        Decides everything.
    size
        Width and height in pixels.
    kind
        Which of `KINDS`; any without it.
    """
    width, height = size
    # Out of focus anyway: half the pixels look the same and take a quarter of the time.
    board = _Board(max(16, width // 2), max(16, height // 2))
    behind, before = KINDS[int(rng.integers(len(KINDS))) if kind is None else kind % len(KINDS)]
    behind(board, rng)
    board.blur(rng.uniform(0.003, 0.007))
    before(board, rng)
    board.light(rng)
    image = cv2.resize(np.clip(board.paint, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    grained = image.astype(np.float32) + 2.0 * grain_patch(rng, (height, width), 0.0)[..., None]
    mask = cv2.resize(board.mask, size, interpolation=cv2.INTER_LINEAR)
    rows = slice(round(COVER_TOP * height), round(COVER_BOTTOM * height))
    picture = np.clip(grained, 0, 255).astype(np.uint8)
    hides = mask[rows].astype(np.float32)[..., None]
    cover = np.dstack([picture[rows] * (hides / 255), hides])
    return Backdrop(picture, cut_out(np.round(cover).astype(np.uint8), ()))


def fade(before: Backdrop, after: Backdrop, share: float) -> Backdrop:
    """Blend two places of the same size; `share` is the later one's."""

    def blend(one: Image, other: Image) -> Image:
        return np.asarray(cv2.addWeighted(one, 1 - share, other, share, 0), np.uint8)

    cover = Cutout(blend(before.cover.image, after.cover.image), blend(before.cover.beneath, after.cover.beneath), ())
    return Backdrop(blend(before.image, after.image), cover)
