from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from maskwatch.messages import Box, MarkedFace
from maskwatch.pictures import PADDING
from training.datasets.manifest import Entry, spread
from training.errors import EvaluationError
from training.evaluation.views import ANGLES, CANVAS, SIDES, as_jpeg, changed, pasted, plain, turned

GREEN = (0, 200, 0)
FACE: Box = (0.25, 0.25, 0.5, 0.75)


def entry(tmp_path: Path, *boxes: Box, size: tuple[int, int] = (200, 100)) -> Entry:
    """Write a black picture whose faces are green."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        pixels[round(y1 * size[1]) : round(y2 * size[1]), round(x1 * size[0]) : round(x2 * size[0])] = GREEN
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), pixels)
    faces = tuple(MarkedFace("with_mask", box) for box in boxes)
    return Entry("0" * 64, str(path), "photographs", *size, "0", "test", faces)


def pixels_of(jpeg: bytes) -> NDArray[np.uint8]:
    return np.asarray(simplejpeg.decode_jpeg(jpeg, "RGB"), np.uint8)


def greens(jpeg: bytes) -> tuple[float, float, float, float]:
    """Return what is green, in 0..1."""
    pixels = pixels_of(jpeg)
    rows, columns = np.nonzero((pixels[..., 1] > 150) & (pixels[..., 0] < 60))
    height, width = pixels.shape[:2]
    return columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height


def test_a_jpeg_is_shown_byte_for_byte_and_anything_else_is_encoded(tmp_path: Path) -> None:
    png = entry(tmp_path, FACE)
    jpeg = plain().render(png)
    assert greens(jpeg) == pytest.approx(FACE, abs=0.02)
    (tmp_path / "picture.jpg").write_bytes(jpeg)
    assert as_jpeg(tmp_path / "picture.jpg") == jpeg


def test_a_picture_that_exif_turns_is_shown_as_it_was_annotated(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "upright.jpg"
    Image.new("RGB", (200, 100)).save(path, exif=exif)
    assert pixels_of(as_jpeg(path)).shape[:2] == (200, 100)


def test_what_cannot_be_shown_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"nothing\.jpg cannot be read"):
        as_jpeg(tmp_path / "nothing.jpg")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(EvaluationError, match=r"bad\.png cannot be read"):
        as_jpeg(tmp_path / "bad.png")


def test_a_change_keeps_the_size_and_says_where_faces_went(tmp_path: Path) -> None:
    one = entry(tmp_path, FACE)
    for view in (changed("jpeg", 1), changed("small", 2)):
        shown = view.place(one)
        assert shown is not None
        jpeg = view.render(one)
        height, width = pixels_of(jpeg).shape[:2]
        assert (width, height) == (shown.width, shown.height) == (200, 100)
        assert greens(jpeg) == pytest.approx(shown.faces[0].box, abs=0.02)


@pytest.mark.parametrize("side", SIDES)
def test_the_largest_face_is_as_large_as_is_asked_for(tmp_path: Path, side: int) -> None:
    one = entry(tmp_path, FACE, size=(800, 400))  # the face is 200 px wide and high
    view = pasted(side)
    shown = view.place(one)
    assert shown is not None
    assert (shown.width, shown.height) == CANVAS
    x1, y1, x2, y2 = shown.faces[0].box
    assert ((x2 - x1) * CANVAS[0], (y2 - y1) * CANVAS[1]) == pytest.approx((side, side), abs=1)
    assert greens(view.render(one)) == pytest.approx((x1, y1, x2, y2), abs=0.004)


def test_faces_that_are_cut_off_are_painted_over_and_do_not_count(tmp_path: Path) -> None:
    # At 690 px a face the picture is 2760 px wide: the second face lies half outside of the canvas.
    one = entry(tmp_path, (0.0, 0.25, 0.25, 0.75), (0.40, 0.3, 0.55, 0.6), size=(800, 400))
    view = pasted(690)
    shown = view.place(one)
    assert shown is not None
    assert len(shown.faces) == 1
    pixels = pixels_of(view.render(one))
    beside = pixels[:, 700:]
    assert not ((beside[..., 1] > 150) & (beside[..., 0] < 60)).any()
    assert (np.abs(beside.astype(int) - PADDING).max(axis=2) < 8).mean() > 0.1


@pytest.mark.parametrize("angle", ANGLES)
def test_turned_faces_lie_where_the_turned_picture_shows_them(tmp_path: Path, angle: int) -> None:
    one = entry(tmp_path, size=(800, 400))
    pixels = np.zeros((400, 800, 3), np.uint8)
    cv2.ellipse(pixels, (300, 200), (100, 150), 0, 0, 360, GREEN, -1)  # as a face fills its box
    cv2.imwrite(one.path, pixels)
    face = MarkedFace("with_mask", (0.25, 0.125, 0.5, 0.875))
    for sha256 in ("0" * 64, "1" * 64):  # either way
        upright = msgspec.structs.replace(one, sha256=sha256, faces=(face,))
        shown = turned(angle).place(upright)
        assert shown is not None
        jpeg = turned(angle).render(upright)
        height, width = pixels_of(jpeg).shape[:2]
        assert (width, height) == (shown.width, shown.height)
        assert greens(jpeg) == pytest.approx(shown.faces[0].box, abs=0.005)


def test_pictures_without_a_face_and_much_too_small_ones_are_left_out(tmp_path: Path) -> None:
    assert pasted(96).place(entry(tmp_path)) is None
    tiny = entry(tmp_path, FACE)  # 50 px: 4 times that is 200
    assert pasted(192).place(tiny) is not None
    assert pasted(384).place(tiny) is None
    with pytest.raises(ValueError, match="cannot be shown face 384 px"):
        pasted(384).render(tiny)


def test_pictures_are_taken_evenly_over_all(tmp_path: Path) -> None:
    entries = [msgspec.structs.replace(entry(tmp_path, FACE), group=str(number)) for number in range(10)]
    assert [one.group for one in spread(entries, 4)] == ["0", "2", "5", "7"]
    assert spread(entries[:3], 4) == entries[:3]
    assert spread([], 4) == []
