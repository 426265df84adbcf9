"""The brush that everything drawn is painted with.

A :class:`Layer` is a picture with transparency whose coordinates are head units: the skull's centre is (0, 0) and the
chin lies at (0, 1), so that a shape is written once and drawn at any size. Shapes are smoothed outlines; colours are
BGR in 0..255. Everything is blended in premultiplied float, which keeps soft edges free of dark fringes.
"""

import math
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Points = NDArray[np.float64]
"""Shape (n, 2), in head units."""
Colour = Floats
"""Shape (3,), BGR in 0..255."""

_SUBPIXEL_BITS = 4
_TILE = 512


def rgb(code: str) -> Colour:
    """Read a colour from six hex digits.

    Examples
    --------
    >>> rgb("ff8000").tolist()
    [0.0, 128.0, 255.0]
    """
    return np.array([int(code[i : i + 2], 16) for i in (4, 2, 0)], np.float32)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Blend two colours; `share` is the other's."""
    return one * np.float32(1 - share) + other * np.float32(share)


def sketch(text: str) -> Points:
    """Read points, written as in an SVG.

    Examples
    --------
    >>> sketch("0,1 0.5,-2").tolist()
    [[0.0, 1.0], [0.5, -2.0]]
    """
    return np.array([[float(number) for number in pair.split(",")] for pair in text.split()])


def shift(points: Points, x: float, y: float) -> Points:
    """Move points."""
    return np.asarray(np.add(points, (x, y)), np.float64)


def close(points: Points) -> Points:
    """Lead an outline back to where it began, so that it can be drawn as a line."""
    return np.concatenate([points, points[:1]])


def smooth(points: ArrayLike, steps: int = 8) -> Points:
    """Round an outline off: a closed Catmull-Rom curve through points.

    Parameters
    ----------
    points
        Shape (n, 2), n at least 3; the last is followed by the first.
    steps
        Points of the curve for each given one.
    """
    knots = np.asarray(points, np.float64)
    return _spline(np.concatenate([knots[-1:], knots, knots[:2]]), steps)


def curve(points: ArrayLike, steps: int = 8) -> Points:
    """Run a Catmull-Rom curve through points, from the first to the last; see `smooth`."""
    knots = np.asarray(points, np.float64)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    return np.concatenate([_spline(padded, steps), knots[-1:]])


def _spline(padded: Points, steps: int) -> Points:
    p0, p1, p2, p3 = (padded[i : len(padded) - 3 + i, None, :] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    line = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return np.asarray(line.reshape(-1, 2), np.float64)


def ellipse(x: float, y: float, rx: float, ry: float, steps: int = 28) -> Points:
    """Give the outline of an ellipse."""
    t = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], axis=1)


def mirror(points: ArrayLike) -> Points:
    """Complete an outline given by its right half; points on the axis are not doubled."""
    right = np.asarray(points, np.float64)
    left = right[::-1] * (-1, 1)
    return np.concatenate([right, left[left[:, 0] != 0]])


@cache
def grain(blur: int) -> Floats:
    """Give a tile of noise with mean 0 and deviation 1 that repeats without a seam; larger `blur`, larger spots."""
    noise = np.random.default_rng(7).standard_normal((_TILE, _TILE)).astype(np.float32)
    if blur:
        pad = int(4 * blur) + 1
        wrapped = cv2.copyMakeBorder(noise, pad, pad, pad, pad, cv2.BORDER_WRAP)
        noise = np.asarray(cv2.GaussianBlur(wrapped, (0, 0), blur), np.float32)[pad:-pad, pad:-pad]
    return np.asarray(noise / noise.std(), np.float32)


def grain_patch(rng: np.random.Generator, shape: tuple[int, int], spot: float) -> Floats:
    """Cut a random patch of noise, of the given height and width; `spot` is the size of its spots in pixels."""
    # Few tiles are kept: the next power of two is near enough.
    tile = grain(0 if spot < 1 else min(64, 2 ** round(math.log2(spot))))
    rows = (np.arange(shape[0]) + rng.integers(_TILE)) % _TILE
    columns = (np.arange(shape[1]) + rng.integers(_TILE)) % _TILE
    return np.asarray(tile[rows][:, columns], np.float32)


class _Stencil(NamedTuple):
    """Where a shape lies on a layer, and how much each pixel is covered (0..1)."""

    area: tuple[slice, slice]
    cover: Floats


def _corner(area: tuple[slice, slice]) -> NDArray[np.int32]:
    return np.array([area[1].start, area[0].start], np.int32) << _SUBPIXEL_BITS


class Layer:
    """A picture with transparency, in head units.

    Parameters
    ----------
    unit
        Pixels of one head unit (half a head's height).
    left, top, right, bottom
        What it spans, in head units.
    """

    def __init__(self, unit: float, left: float, top: float, right: float, bottom: float) -> None:
        self.unit = unit
        self.left, self.top = left, top
        height, width = round((bottom - top) * unit), round((right - left) * unit)
        # Planes one after another: factors per pixel then run along whole rows, which is several times faster.
        self.planes = np.zeros((4, height, width), np.float32)
        """Premultiplied blue, green and red in 0..255, then opacity in 0..1."""

    @property
    def alpha(self) -> Floats:
        """Opacity, 0..1, shape (height, width)."""
        return np.asarray(self.planes[3], np.float32)

    @property
    def xs(self) -> Floats:
        """Columns in head units, shape (1, width)."""
        return ((np.arange(self.alpha.shape[1], dtype=np.float32) + 0.5) / self.unit + self.left)[None, :]

    @property
    def ys(self) -> Floats:
        """Rows in head units, shape (height, 1)."""
        return ((np.arange(self.alpha.shape[0], dtype=np.float32) + 0.5) / self.unit + self.top)[:, None]

    def fill(  # noqa: PLR0913  # a brush has many properties
        self,
        points: Points,
        colour: Colour,
        *,
        soft: float = 0.0,
        opacity: float = 1.0,
        shade: Floats | None = None,
        inside: bool = False,
        clip: Points | None = None,
    ) -> None:
        """Paint a shape.

        Parameters
        ----------
        points
            Its outline.
        colour
            Its colour, or (height, width, 3) of the whole layer.
        soft
            Width of its edge in head units (deviation of a Gaussian); 0 is crisp.
        opacity
            0..1.
        shade
            Factor on the colour for every pixel of the layer, shape (height, width).
        inside
            Paint only where the layer is painted already.
        clip
            Paint only inside this outline too.
        """
        stencil = self._clipped(self._stencil([points], soft, filled=True), clip)
        self._blend(stencil, colour, opacity, shade, inside=inside)

    def stroke(  # noqa: PLR0913
        self,
        points: Points | list[Points],
        width: float,
        colour: Colour,
        *,
        soft: float = 0.0,
        opacity: float = 1.0,
        inside: bool = False,
        clip: Points | None = None,
    ) -> None:
        """Draw one or several open lines, `width` head units wide; see `fill`."""
        lines = points if isinstance(points, list) else [points]
        thickness = width * self.unit
        stencil = self._stencil(lines, soft, filled=False, thickness=max(1, round(thickness)))
        stencil = self._clipped(stencil, clip)
        # A line thinner than a pixel is a fainter line of one pixel.
        self._blend(stencil, colour, opacity * min(1.0, thickness), None, inside=inside)

    def blob(  # noqa: PLR0913, PLR0917
        self, x: float, y: float, rx: float, ry: float, colour: Colour, opacity: float
    ) -> None:
        """Tint what is painted by a Gaussian spot of the given deviations."""
        x0, y0 = (x - self.left) * self.unit, (y - self.top) * self.unit
        area = self._area(
            x0 - 3 * rx * self.unit, y0 - 3 * ry * self.unit, x0 + 3 * rx * self.unit, y0 + 3 * ry * self.unit
        )
        if area is None:
            return
        across = np.exp(-0.5 * ((self.xs[0, area[1]] - x) / rx) ** 2)
        down = np.exp(-0.5 * ((self.ys[area[0], 0] - y) / ry) ** 2)
        cover = np.asarray(down[:, None] * across[None, :], np.float32)
        self._blend(_Stencil(area, cover), colour, opacity, None, inside=True)

    def shine(self, factor: Floats) -> None:
        """Multiply what is painted, per pixel."""
        self.planes[:3] *= factor

    def turned(self, degrees: float, x: float, y: float) -> "Layer":
        """Turn the picture about a point, clockwise, and give it back."""
        centre = ((x - self.left) * self.unit, (y - self.top) * self.unit)
        turn = cv2.getRotationMatrix2D(centre, -degrees, 1.0)
        size = (self.alpha.shape[1], self.alpha.shape[0])
        for plane in self.planes:
            plane[:] = cv2.warpAffine(plane, turn, size)
        return self

    def _pixels(self, points: Points) -> NDArray[np.int32]:
        origin = np.array([self.left, self.top])
        return np.asarray(np.round(((points - origin) * self.unit - 0.5) * (1 << _SUBPIXEL_BITS)), np.int32)

    def _area(self, x1: float, y1: float, x2: float, y2: float) -> tuple[slice, slice] | None:
        height, width = self.alpha.shape
        left, right = max(0, int(x1)), min(width, int(x2) + 2)
        top, bottom = max(0, int(y1)), min(height, int(y2) + 2)
        if left >= right or top >= bottom:
            return None
        return slice(top, bottom), slice(left, right)

    def _stencil(self, outlines: list[Points], soft: float, *, filled: bool, thickness: int = 1) -> _Stencil | None:
        pixels = [self._pixels(outline) for outline in outlines]
        every = np.concatenate(pixels) / (1 << _SUBPIXEL_BITS)
        margin = 3 * soft * self.unit + (0 if filled else thickness) + 1
        (x1, y1), (x2, y2) = every.min(axis=0) - margin, every.max(axis=0) + margin
        area = self._area(x1, y1, x2, y2)
        if area is None:
            return None
        moved = [outline - _corner(area) for outline in pixels]
        cover = np.zeros((area[0].stop - area[0].start, area[1].stop - area[1].start), np.uint8)
        if filled:
            cv2.fillPoly(cover, moved, 255, cv2.LINE_AA, _SUBPIXEL_BITS)
        else:
            cv2.polylines(cover, moved, False, 255, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)  # noqa: FBT003
        if soft * self.unit > 0.3:  # noqa: PLR2004  # less than that cannot be seen
            cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), soft * self.unit), np.uint8)
        return _Stencil(area, np.asarray(cover / np.float32(255), np.float32))

    def _clipped(self, stencil: _Stencil | None, clip: Points | None) -> _Stencil | None:
        if stencil is None or clip is None:
            return stencil
        bound = np.zeros(stencil.cover.shape, np.uint8)
        cv2.fillPoly(bound, [self._pixels(clip) - _corner(stencil.area)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
        return _Stencil(stencil.area, np.asarray(stencil.cover * (bound / np.float32(255)), np.float32))

    def _blend(
        self, stencil: _Stencil | None, colour: Floats, opacity: float, shade: Floats | None, *, inside: bool
    ) -> None:
        if stencil is None:
            return
        (rows, columns), cover = stencil
        cover = cover * np.float32(opacity)
        region = self.planes[:, rows, columns]
        ink = cover * region[3] if inside else cover
        region *= 1 - cover
        region[3] += ink
        if shade is not None:
            ink = ink * shade[rows, columns]
        for channel in range(3):
            region[channel] += ink * (colour[channel] if colour.ndim == 1 else colour[rows, columns, channel])
