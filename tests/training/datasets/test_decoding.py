import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from maskwatch.errors import PictureError
from tests.support.annotated import picture
from training.datasets import decoding
from training.datasets.decoding import look_at, upright
from training.datasets.judging import Shown


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_picture_is_measured_as_it_is_shown(tmp_path: Path, suffix: str) -> None:
    shown, sha256 = look_at(picture(tmp_path / f"a{suffix}"))
    assert shown == Shown(100, 50)
    assert len(sha256) == 64
    turned, other = look_at(picture(tmp_path / f"b{suffix}", orientation=8))
    assert turned == Shown(50, 100, 8)
    assert other != sha256


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "1"])
def test_pictures_of_all_kinds_of_pixels_are_read(tmp_path: Path, mode: str) -> None:
    Image.fromarray(np.zeros((4, 6), np.uint8)).convert(mode).save(tmp_path / "a.png")
    assert look_at(tmp_path / "a.png")[0] == Shown(6, 4)


def test_a_grey_jpeg_is_read(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((16, 24), np.uint8)).save(tmp_path / "a.jpg")
    assert look_at(tmp_path / "a.jpg")[0] == Shown(24, 16)


def test_metadata_that_make_no_sense_cost_nothing(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.jpg", orientation=3)
    content = file.read_bytes()
    place = content.index(b"MM\x00*")
    file.write_bytes(content[:place] + b"MM\x00*\xff\xff\xff\xff" + content[place + 8 :])
    assert look_at(file)[0] == Shown(100, 50)
    assert look_at(picture(tmp_path / "b.jpg", orientation=9))[0] == Shown(100, 50)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_how_a_picture_is_turned_is_said_by_exif_alone(tmp_path: Path, suffix: str) -> None:
    # As OpenCV, which training and workers read with, and browsers have it.
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    file = picture(tmp_path / f"a{suffix}")
    with Image.open(file) as image:
        if suffix == ".png":
            info = PngInfo()
            info.add_itxt("XML:com.adobe.xmp", xmp.decode())
            image.save(file, pnginfo=info)
        else:
            image.save(file, xmp=xmp)
    with Image.open(file) as image:
        assert image.getexif()[274] == 6
        assert upright(image).size == (100, 50)
    shown, _ = look_at(file)
    assert shown == Shown(100, 50)
    pixels = cv2.imread(str(file))
    assert pixels is not None
    assert pixels.shape == (shown.height, shown.width, 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: content[: len(content) // 2], "cut off or corrupt"),
        (lambda content: b"", "it is empty"),
        (lambda content: b"<html>404</html>", "it is no picture"),
    ],
)
def test_a_picture_that_is_not_whole_is_refused(tmp_path: Path, name: str, damage: object, says: str) -> None:
    file = picture(tmp_path / name, size=(640, 480))
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    with pytest.raises(PictureError, match=says):
        look_at(file)


def test_a_jpeg_that_is_corrupt_in_the_middle_is_refused(tmp_path: Path) -> None:
    # Pillow and OpenCV show it with a grey half.
    file = picture(tmp_path / "a.jpg", size=(640, 480))
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = b"\xff\xd9" * 20
    file.write_bytes(content)
    with pytest.raises(PictureError, match="cut off or corrupt"):
        look_at(file)


def test_a_picture_of_another_kind_is_none(tmp_path: Path) -> None:
    image = io.BytesIO()
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(image, "GIF")
    (tmp_path / "a.jpg").write_bytes(image.getvalue())
    with pytest.raises(PictureError, match="it is no picture"):
        look_at(tmp_path / "a.jpg")


@pytest.mark.parametrize("limit", [3000, 2000])
def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", limit
    )  # 5000 pixels: Pillow warns from the limit on, and raises from twice
    with pytest.raises(PictureError, match=f"more than {limit} pixels"):
        look_at(picture(tmp_path / "a.jpg"))


def test_a_file_that_is_too_large_or_gone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_BYTES", 100)
    with pytest.raises(PictureError, match="more than 100 bytes"):
        look_at(picture(tmp_path / "a.jpg"))
    with pytest.raises(PictureError, match="No such file"):
        look_at(tmp_path / "gone.jpg")
