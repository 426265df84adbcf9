import struct

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskwatch.errors import PictureError
from maskwatch.pictures import Affine, decode, jpeg_size, letterbox

LIMIT = 50_000_000


def picture(width: int, height: int, grey: int = 90) -> NDArray[np.uint8]:
    image = np.full((height, width, 3), grey, np.uint8)
    image[height // 4 : height // 2, width // 4 : width // 2] = (200, 30, 30)
    return image


def jpeg(image: NDArray[np.uint8]) -> bytes:
    encoded: bytes = simplejpeg.encode_jpeg(image, 90, "RGB")
    return encoded


def claims(data: bytes, width: int, height: int) -> bytes:
    """Change what a JPEG's header says about its size."""
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


sides = st.integers(1, 5000)


@given(sides, sides, st.sampled_from([(640, 384), (640, 640), (96, 64)]), st.data())
def test_a_box_survives_the_letterbox(width: int, height: int, shape: tuple[int, int], data: st.DataObject) -> None:
    affine = letterbox((width, height), shape)
    x1, y1 = data.draw(st.floats(0, 0.9)), data.draw(st.floats(0, 0.9))
    box = (x1, y1, data.draw(st.floats(x1, 1)), data.draw(st.floats(y1, 1)))
    inside = tuple(
        side * affine.scale * extent + offset
        for side, extent, offset in zip(box, (width, height) * 2, (affine.dx, affine.dy) * 2, strict=True)
    )
    back = affine.inverse((inside[0], inside[1], inside[2], inside[3]), (width, height))
    assert back == pytest.approx(box, abs=1e-6)


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (640, 384), (100, 100), (1, 1), (3000, 20), (333, 777)])
@pytest.mark.parametrize("shape", [(640, 384), (640, 640)])
def test_any_size_is_fitted_and_lies_where_the_affine_says(size: tuple[int, int], shape: tuple[int, int]) -> None:
    pixels, found, affine = decode(jpeg(picture(*size)), shape, LIMIT)
    assert pixels.shape == (shape[1], shape[0], 3)
    assert found == size
    beyond = pixels[
        int(shape[1] * 0.5 + size[1] * affine.scale * 0.2), int(shape[0] * 0.5 + size[0] * affine.scale * 0.2)
    ]
    assert np.abs(beyond.astype(int) - 90).max() < 12 or min(size) < 30
    left, top = int(affine.dx), int(affine.dy)
    if left:
        assert (pixels[:, : left - 1] == 114).all()
    if top:
        assert (pixels[: top - 1] == 114).all()


def test_reduced_decoding_sees_the_same_as_full_decoding() -> None:
    rng = np.random.default_rng(1)
    image = cv2.GaussianBlur(rng.integers(0, 255, (720, 1280, 3)).astype(np.uint8), (0, 0), 6)
    image = cv2.normalize(image, np.empty_like(image), 0, 255, cv2.NORM_MINMAX)
    pixels, _, affine = decode(jpeg(np.ascontiguousarray(image)), (640, 384), LIMIT)
    expected = cv2.resize(image, (640, 360), interpolation=cv2.INTER_AREA).astype(int)
    top = int(affine.dy)
    assert np.abs(pixels[top : top + 360].astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (b"", "empty"),
        (b"GIF89a" * 50, "not a JPEG"),
        (jpeg(picture(640, 480))[:-200], "truncated or corrupt"),
        (jpeg(picture(640, 480))[:120], "not a JPEG|truncated"),
        (claims(jpeg(picture(64, 48)), 10_000, 10_000), "10000x10000 is more than 50000000 pixels"),
        (claims(jpeg(picture(64, 48)), 4000, 3000), "truncated or corrupt"),
    ],
)
def test_what_is_no_whole_picture_is_refused_with_the_reason(broken: bytes, says: str) -> None:
    with pytest.raises(PictureError, match=says):
        decode(broken, (640, 384), LIMIT)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=64))
def test_damage_is_refused_or_decoded_but_never_crashes(place: int, damage: bytes) -> None:
    data = jpeg(picture(160, 120))
    hurt = data[:place] + damage + data[place + len(damage) :]
    try:
        pixels, _, _ = decode(hurt, (96, 64), 10**6)
    except PictureError:
        return
    assert pixels.shape == (64, 96, 3)


def test_no_pixel_of_another_picture_is_left(  # the leak that bars OpenCV 4.10 and 4.11
) -> None:
    decode(jpeg(picture(1280, 720, 255)), (640, 384), LIMIT)
    pixels, _, affine = decode(jpeg(np.zeros((100, 640, 3), np.uint8)), (640, 384), LIMIT)
    top = int(affine.dy)
    assert pixels[top : top + 100].max() < 8
    assert (pixels[: top - 1] == 114).all()
    assert (pixels[top + 101 :] == 114).all()


def test_size_is_read_from_the_header_alone() -> None:
    assert jpeg_size(jpeg(picture(321, 123)), LIMIT) == (321, 123)


@pytest.mark.parametrize(("size", "shape"), [((0, 1), (2, 2)), ((1, 1), (2, -1))])
def test_sides_must_be_positive(size: tuple[int, int], shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="sides must be positive"):
        letterbox(size, shape)


def test_boxes_are_clipped_to_the_picture() -> None:
    assert Affine(1, 0, 0).inverse((-5, -5, 200, 50), (100, 100)) == (0, 0, 1, 0.5)
