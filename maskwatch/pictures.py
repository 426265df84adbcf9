"""Bytes to pixels: decode JPEGs safely, at no more detail than is needed, and fit them into a model's input.

Header first: a picture that promises more pixels than we accept is refused before any of them is decoded. A truncated
or corrupt picture is refused whole, never shown half. Every decode has a buffer of its own, so that no pixel of one
picture can end up in another.
"""

from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from maskwatch.errors import PictureError
from maskwatch.messages import Box

Pixels = NDArray[np.uint8]
"""Shape (height, width, 3), RGB."""

JPEG_BLOCK = 8
"""Side of the blocks of which a JPEG is made, in pixels."""

PADDING = 114
"""Grey level around a letterboxed picture: what the detectors of the YOLO family are trained with."""


class Affine(NamedTuple):
    """Where a picture lies in a model's input: `scale`, then an offset in input pixels."""

    scale: float
    dx: float
    dy: float

    def inverse(self, box: tuple[float, float, float, float], size: tuple[int, int]) -> Box:
        """Take a box from input pixels back to 0..1 of the picture, clipped to it.

        Parameters
        ----------
        box
            x1, y1, x2, y2 in input pixels.
        size
            Width and height of the picture in pixels.

        Examples
        --------
        >>> Affine(scale=0.5, dx=0.0, dy=12.0).inverse((0, 12, 320, 192), (1280, 720))
        (0.0, 0.0, 0.5, 0.5)
        """
        width, height = size
        x1, x2 = ((x - self.dx) / (self.scale * width) for x in box[0::2])
        y1, y2 = ((y - self.dy) / (self.scale * height) for y in box[1::2])
        return (_unit(x1), _unit(y1), _unit(x2), _unit(y2))

    def inside(self, pixels: Pixels, size: tuple[int, int]) -> Pixels:
        """Return the part of a model's input that is the picture, without its padding.

        Parameters
        ----------
        pixels
            The input, shape (height, width, 3).
        size
            Width and height of the picture in its own pixels.
        """
        width, height = _fitted(size, self)
        left, top = int(self.dx), int(self.dy)
        return pixels[top : top + height, left : left + width]


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))


def letterbox(size: tuple[int, int], shape: tuple[int, int]) -> Affine:
    """Map a picture into a fixed input, keeping its aspect ratio, in the middle.

    Parameters
    ----------
    size
        Width and height of the picture in pixels, both at least 1.
    shape
        Width and height of the model's input in pixels.

    Returns
    -------
    Affine
        Scale and offset in input pixels; `inverse` takes boxes back to 0..1 of the picture.

    Raises
    ------
    ValueError
        If a side is not positive; the message quotes both sizes.

    Examples
    --------
    >>> letterbox((1280, 720), (640, 384))
    Affine(scale=0.5, dx=0.0, dy=12.0)
    """
    if min(*size, *shape) < 1:
        raise ValueError(f"sides must be positive: picture {size}, input {shape}")
    scale = min(shape[0] / size[0], shape[1] / size[1])
    dx, dy = (float(round((outer - inner * scale) / 2)) for outer, inner in zip(shape, size, strict=True))
    return Affine(scale, dx, dy)


def jpeg_size(jpeg: bytes, max_pixels: int) -> tuple[int, int]:
    """Read width and height from a JPEG's header.

    Raises
    ------
    PictureError
        If this is no JPEG, or it has more than `max_pixels` pixels.
    """
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError as error:
        raise PictureError("not a JPEG" if jpeg else "empty") from error
    if width * height > max_pixels:
        raise PictureError(f"{width}x{height} is more than {max_pixels} pixels")
    return width, height


class Unpacked(NamedTuple):
    """A JPEG's pixels at the scale at which they were decoded."""

    pixels: Pixels
    size: tuple[int, int]
    """Width and height of the whole picture in pixels."""
    block: int
    """Side of the JPEG's blocks at this scale, in pixels: 8 at full scale, 4 at half of it."""


def unpack(jpeg: bytes, shape: tuple[int, int], max_pixels: int) -> Unpacked:
    """Decode a JPEG, at reduced scale where that is enough.

    Parameters
    ----------
    jpeg
        The picture as it came over the wire.
    shape
        Width and height of the model's input in pixels.
    max_pixels
        Pictures of more pixels are refused before they are decoded.

    Raises
    ------
    PictureError
        If the bytes are no JPEG, are truncated or corrupt, or promise too many pixels.
    """
    size = jpeg_size(jpeg, max_pixels)
    width, height = _fitted(size, letterbox(size, shape))
    try:
        picture = simplejpeg.decode_jpeg(
            jpeg, "RGB", fastdct=True, fastupsample=True, min_width=width, min_height=height, min_factor=1
        )
    except ValueError as error:
        raise PictureError(f"truncated or corrupt JPEG: {error}") from error
    return Unpacked(picture, size, round(JPEG_BLOCK * max(picture.shape[:2]) / max(size)))


def fit(unpacked: Unpacked, shape: tuple[int, int]) -> tuple[Pixels, Affine]:
    """Lay a picture into a model's input.

    Parameters
    ----------
    unpacked
        The picture.
    shape
        Width and height of the model's input in pixels.

    Returns
    -------
    pixels, affine
        The input, shape (height, width, 3); where the picture lies in it.
    """
    affine = letterbox(unpacked.size, shape)
    width, height = _fitted(unpacked.size, affine)
    picture = unpacked.pixels
    if picture.shape[:2] != (height, width):
        shrinks = picture.shape[1] > width
        picture = np.asarray(
            cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR),
            np.uint8,
        )
    pixels = np.full((shape[1], shape[0], 3), PADDING, np.uint8)
    affine.inside(pixels, unpacked.size)[:] = picture
    return pixels, affine


def decode(jpeg: bytes, shape: tuple[int, int], max_pixels: int) -> tuple[Pixels, tuple[int, int], Affine]:
    """Decode a JPEG into a model's input: :func:`unpack`, then :func:`fit`.

    Returns
    -------
    pixels, size, affine
        The input, shape (height, width, 3); width and height of the whole picture; where it lies in the input.
    """
    unpacked = unpack(jpeg, shape, max_pixels)
    pixels, affine = fit(unpacked, shape)
    return pixels, unpacked.size, affine


def _fitted(size: tuple[int, int], affine: Affine) -> tuple[int, int]:
    width, height = (max(1, round(side * affine.scale)) for side in size)
    return width, height
