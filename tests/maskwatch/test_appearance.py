import numpy as np
import pytest
import simplejpeg

from maskwatch.appearance import appearance
from maskwatch.pictures import Unpacked, fit, unpack

SHAPE = (640, 384)


def noisy(size: tuple[int, int]) -> np.ndarray:
    """A picture with something in every block."""
    rng = np.random.default_rng(1)
    slope = np.linspace(40, 200, size[0])[np.newaxis, :, np.newaxis] + rng.normal(0, 6, (size[1], size[0], 3))
    return np.clip(slope, 0, 255).astype(np.uint8)


def blockiness(size: tuple[int, int], quality: int) -> float | None:
    unpacked = unpack(simplejpeg.encode_jpeg(noisy(size), quality, "RGB"), SHAPE, 10**8)
    pixels, affine = fit(unpacked, SHAPE)
    return appearance(affine.inside(pixels, unpacked.size), unpacked).blockiness


@pytest.mark.parametrize("size", [(400, 300), (1280, 720), (1920, 1080)])
def test_a_stronger_compression_is_blockier_at_whatever_scale_it_was_decoded(size: tuple[int, int]) -> None:
    by_quality = [blockiness(size, quality) for quality in (95, 50, 12)]
    assert all(value is not None for value in by_quality)
    fine, medium, coarse = (value or 0.0 for value in by_quality)
    assert fine == pytest.approx(1, abs=0.1)
    assert fine + 0.1 < medium < coarse


@pytest.mark.parametrize(
    ("width", "height", "block"), [(4000, 2000, 2), (640, 384, 8), (1280, 720, 4), (1920, 1080, 3)]
)
def test_blocks_are_as_large_as_the_scale_says(width: int, height: int, block: int) -> None:
    grey = np.full((height, width, 3), 90, np.uint8)
    assert unpack(simplejpeg.encode_jpeg(grey, 90, "RGB"), SHAPE, 10**8).block == block


def test_a_picture_smaller_than_a_block_has_none() -> None:
    small = noisy((6, 6))
    assert appearance(small, Unpacked(small, (6, 6), 8)).blockiness is None
