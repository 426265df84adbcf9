import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskwatch.errors import PictureError
from maskwatch.messages import LARGEST_JPEG
from maskwatch.settings import Settings
from producers.upload import LONGEST_SIDE, prepare

MODEL = Settings().detector.model
GOLDEN = (MODEL / "golden.jpg").read_bytes()
MOST_PIXELS = 10_000_000

Colour = tuple[int, ...]
"""RGB."""


def corners(width: int = 400, height: int = 200) -> Image.Image:
    """A picture that is red at the upper left, green at the upper right, blue below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :] = (0, 0, 255)
    return Image.fromarray(pixels)


def written(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def shown(jpeg: bytes) -> tuple[Colour, Colour]:
    """The colours near the upper left and the upper right corner."""
    picture = simplejpeg.decode_jpeg(jpeg, "RGB")
    height, width = picture.shape[:2]
    left, right = picture[height // 8, width // 8], picture[height // 8, width - width // 8]
    return tuple(int(v) for v in left), tuple(int(v) for v in right)


def is_near(colour: Colour, wanted: Colour) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(colour, wanted, strict=True))


def test_a_jpeg_that_fits_is_published_byte_for_byte() -> None:
    made = prepare(GOLDEN, MOST_PIXELS)
    assert made.data is GOLDEN
    assert (made.width, made.height) == Image.open(io.BytesIO(GOLDEN)).size


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_kinds_become_a_jpeg(kind: str) -> None:
    made = prepare(written(corners(), kind), MOST_PIXELS)
    assert (made.width, made.height) == (400, 200)
    left, right = shown(made.data)
    assert is_near(left, (255, 0, 0))
    assert is_near(right, (0, 255, 0))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "size", "left", "right"),
    [
        (3, (400, 200), (0, 0, 255), (0, 0, 255)),
        (6, (200, 400), (0, 0, 255), (255, 0, 0)),
        (8, (200, 400), (0, 255, 0), (0, 0, 255)),
    ],
)
def test_a_picture_is_turned_upright_and_its_metadata_stay_behind(
    kind: str, orientation: int, size: tuple[int, int], left: Colour, right: Colour
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a phone of somebody"
    made = prepare(written(corners(), kind, exif=exif), MOST_PIXELS)
    assert (made.width, made.height) == size
    assert is_near(shown(made.data)[0], left)
    assert is_near(shown(made.data)[1], right)
    assert b"somebody" not in made.data


def test_what_is_seen_through_is_white() -> None:
    picture = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    assert is_near(shown(prepare(written(picture, "PNG"), MOST_PIXELS).data)[0], (255, 255, 255))
    palette = corners(64, 64).convert("P")
    made = prepare(written(palette, "PNG", transparency=palette.getpixel((0, 0))), MOST_PIXELS)
    assert is_near(shown(made.data)[0], (255, 255, 255))


def test_grey_and_print_colours_are_taken() -> None:
    grey = written(corners().convert("L"), "JPEG")
    assert prepare(grey, MOST_PIXELS).data == grey
    printed = written(corners().convert("CMYK"), "JPEG", quality=95)
    assert is_near(shown(prepare(printed, MOST_PIXELS).data)[0], (255, 0, 0))
    assert prepare(written(corners().convert("1"), "PNG"), MOST_PIXELS).width == 400


def test_of_an_animation_the_first_picture_is_taken() -> None:
    data = written(corners(), "WEBP", save_all=True, append_images=[Image.new("RGB", (400, 200))], lossless=True)
    assert is_near(shown(prepare(data, MOST_PIXELS).data)[0], (255, 0, 0))


def test_what_is_too_large_for_a_record_is_scaled_down() -> None:
    noise = np.random.default_rng(1).integers(256, size=(2000, 3000, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    assert len(jpeg) > LARGEST_JPEG
    made = prepare(jpeg, MOST_PIXELS)
    assert len(made.data) <= LARGEST_JPEG
    assert made.width <= LONGEST_SIDE
    assert made.width / made.height == pytest.approx(1.5, abs=0.01)


def bomb(width: int, height: int) -> bytes:
    """A PNG that promises many pixels in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"a text that somebody took for a picture", "no JPEG, PNG or WebP"),
        (b"GIF89a" + bytes(100), "no JPEG, PNG or WebP"),
        (GOLDEN[: len(GOLDEN) // 2], "truncated or corrupt"),
        (written(corners(), "PNG")[:-40], "truncated or corrupt"),
        (written(corners(), "WEBP")[:-20], "truncated or corrupt"),
        (bomb(20_000, 2_000), "20000x2000 pixels are more than 10000000"),
        (bomb(60_000, 60_000), "more than 10000000 pixels"),
        (bomb(100, 100), "truncated or corrupt"),
        (b"\xff\xd8\xff\xe0", "no JPEG, PNG or WebP"),
    ],
    ids=["empty", "text", "gif", "cut-jpeg", "cut-png", "cut-webp", "large", "bomb", "hollow", "start"],
)
def test_what_is_no_picture_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(PictureError, match=why):
        prepare(data, MOST_PIXELS)


# Of metadata that make no sense Pillow warns, and reads on.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["JPEG", "PNG", "WEBP"]))
def test_damaged_pictures_are_taken_or_refused_and_nothing_else(data: st.DataObject, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = bytearray(written(corners(80, 60), kind, exif=exif))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=12)):
        whole[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        made = prepare(bytes(whole[:cut]), MOST_PIXELS)
    except PictureError:
        return
    assert simplejpeg.decode_jpeg(made.data).shape[:2] == (made.height, made.width)
