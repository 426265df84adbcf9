"""A picture's perceptual hash, by which look-alikes are found: the signs of its coarsest frequencies, 64 bits.

C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010. It is the hash that manifests
hold (`training.datasets.duplicates` makes it with ImageHash), worked out with what the base install has.
"""

from collections.abc import Iterable

import cv2
import numpy as np
from PIL import Image

from maskwatch.errors import PictureError

NEAR_DUPLICATE_BITS = 6
"""Pictures whose hashes differ in so many bits at most look alike; see `training.datasets.duplicates`."""

_SIDE, _KEPT = 32, 8
_WAVES = 2 * np.cos(np.pi * np.outer(np.arange(_KEPT), 2 * np.arange(_SIDE) + 1) / (2 * _SIDE))
"""The first cosines of a DCT of type II, not normalised: shape (8, 32)."""


def fingerprint(jpeg: bytes) -> str:
    """Return the perceptual hash of a picture as 16 hexadecimal digits.

    Parameters
    ----------
    jpeg
        JPEG, PNG or WebP.

    Raises
    ------
    PictureError
        If it cannot be decoded.

    Examples
    --------
    >>> blocks = np.kron(np.random.default_rng(1).integers(0, 256, (4, 4), np.uint8), np.ones((16, 16), np.uint8))
    >>> fingerprint(cv2.imencode(".png", blocks)[1].tobytes())
    'e446f00f0ff00fb9'
    """
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if pixels is None:
        raise PictureError("the picture cannot be decoded")
    grey = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)).convert("L")
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), np.float64)
    coarse = _WAVES @ small @ _WAVES.T
    return np.packbits(coarse > np.median(coarse)).tobytes().hex()


class LookAlikes:
    """Some pictures, known by their hashes, that others may look like.

    Parameters
    ----------
    fingerprints
        16 hexadecimal digits each.

    Examples
    --------
    >>> frozen = LookAlikes(["ffffffffffffffff", "0000000000000000"])
    >>> frozen.near("000000000000003f"), frozen.near("000000000000007f"), LookAlikes([]).near("00000000000000ff")
    (True, False, False)
    """

    def __init__(self, fingerprints: Iterable[str]) -> None:
        self._bits = np.array([int(digits, 16) for digits in fingerprints], np.uint64)

    def near(self, fingerprint: str) -> bool:
        """Tell whether one of them looks like the picture of this hash."""
        differing = np.bitwise_count(self._bits ^ np.uint64(int(fingerprint, 16)))
        return bool((differing <= NEAR_DUPLICATE_BITS).any())
