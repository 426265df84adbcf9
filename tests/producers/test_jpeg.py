import numpy as np
import simplejpeg

from maskwatch.messages import Camera
from producers.jpeg import Jpeg, to_jpeg
from producers.source import Image
from tests.support.sources import picture

NOISE = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)


def decoded(jpeg: Jpeg | None) -> Image:
    assert jpeg is not None
    pixels: Image = simplejpeg.decode_jpeg(jpeg.data, "BGR")
    assert pixels.shape == (jpeg.height, jpeg.width, 3)
    return pixels


def test_colours_and_size_stay() -> None:
    image = picture(64, 48)
    image[:, :32] = (255, 0, 0)
    pixels = decoded(to_jpeg(image, Camera(id="a", source="scene"))).astype(int)
    assert pixels.shape == (48, 64, 3)
    assert abs(pixels[24, 8] - (255, 0, 0)).max() < 8
    assert abs(pixels[24, 56] - 128).max() < 8


def test_a_large_picture_is_scaled_down_and_a_small_one_stays() -> None:
    camera = Camera(id="a", source="scene", longest_side=320)
    assert decoded(to_jpeg(picture(1280, 720), camera)).shape == (180, 320, 3)
    assert decoded(to_jpeg(picture(300, 640), camera)).shape == (320, 150, 3)
    assert decoded(to_jpeg(picture(100, 50), camera)).shape == (50, 100, 3)
    assert decoded(to_jpeg(picture(4000, 2), camera)).shape == (1, 320, 3)


def test_quality_is_kept() -> None:
    sizes = [
        len(to_jpeg(NOISE, Camera(id="a", source="scene", quality=quality)).data)  # type: ignore[union-attr]
        for quality in (20, 80)
    ]
    assert sizes[0] < sizes[1] / 2


def test_zones_are_black_at_any_scale() -> None:
    camera = Camera(id="a", source="scene", longest_side=400, zones=((0.25, 0.25, 0.75, 0.75),))
    pixels = decoded(to_jpeg(np.full((600, 800, 3), 255, np.uint8), camera))
    inner = pixels[80:220, 104:296]
    assert inner.max() < 8
    assert pixels[:70].min() > 240


def test_nothing_of_what_lies_in_a_zone_leaves_the_machine() -> None:
    camera = Camera(id="a", source="scene", longest_side=333, zones=((0.2, 0.3, 0.7, 0.9),))
    other = NOISE.copy()
    other[180:540, 160:560] = 255
    assert to_jpeg(NOISE, camera, limit=30_000) != to_jpeg(other, Camera(id="a", source="scene"), limit=30_000)
    # The pixels scaled together over the zone's edge are black too, so both pictures are the same.
    assert to_jpeg(NOISE, camera, limit=30_000) == to_jpeg(other, camera, limit=30_000)


def test_what_is_too_large_loses_quality_first_then_size() -> None:
    camera = Camera(id="a", source="scene", quality=95)
    whole = to_jpeg(NOISE, camera)
    coarser = to_jpeg(NOISE, camera, limit=250_000)
    smaller = to_jpeg(NOISE, camera, limit=40_000)
    assert whole is not None
    assert coarser is not None
    assert smaller is not None
    assert (coarser.width, coarser.height) == (800, 600)
    assert len(coarser.data) <= 250_000 < len(whole.data)
    assert smaller.width < 800
    assert len(smaller.data) <= 40_000
    assert round(smaller.width * 0.75) == smaller.height


def test_what_fits_at_no_size_is_given_up() -> None:
    assert to_jpeg(NOISE, Camera(id="a", source="scene"), limit=1000) is None


def test_pixels_that_do_not_lie_side_by_side_are_taken_too() -> None:
    wide = np.zeros((48, 128, 3), np.uint8)
    assert decoded(to_jpeg(wide[:, ::2], Camera(id="a", source="scene"))).shape == (48, 64, 3)
    flipped = wide[::-1]
    assert decoded(to_jpeg(flipped, Camera(id="a", source="scene"))).shape == (48, 128, 3)
