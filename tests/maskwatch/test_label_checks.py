import math
from pathlib import Path

import msgspec
import pytest

from maskwatch.errors import SettingsError
from maskwatch.label_checks import MOST_FACES, complaint, frozen_test
from maskwatch.label_settings import FROZEN
from maskwatch.messages import Box, MarkedFace

SIZE = (200, 100)


def face(*box: float, label: str = "with_mask") -> MarkedFace:
    return msgspec.convert({"label": label, "box": box}, MarkedFace)


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ((0.1, 0.1, 0.2, 0.3), ""),
        ((0.0, 0.0, 1.0, 1.0), ""),
        ((-1e-9, 0.0, 0.5, 0.5), ""),
        ((0.1, 0.1, 0.115, 0.13), ""),
        ((0.1, 0.1, 0.114, 0.3), "face 1: 2.8x20.0 pixels, where a side has 3 at least"),
        ((0.1, 0.1, 0.3, 0.12), "face 1: 40.0x2.0 pixels, where a side has 3 at least"),
        ((0.3, 0.1, 0.2, 0.3), "face 1: its right or lower side lies before its left or upper one"),
        ((0.3, 0.1, 0.3, 0.3), "face 1: its right or lower side lies before its left or upper one"),
        ((0.9, 0.1, 1.01, 0.3), "face 1: it lies outside of the picture"),
        ((-0.01, 0.1, 0.2, 0.3), "face 1: it lies outside of the picture"),
        ((math.nan, 0.1, 0.2, 0.3), "face 1: a side is no number"),
    ],
)
def test_a_box_lies_in_the_picture_and_has_a_size(box: Box, says: str) -> None:
    assert complaint([face(*box)], SIZE, 3) == says


def test_a_face_is_marked_once() -> None:
    one, same, beside = (
        face(0.1, 0.1, 0.3, 0.5),
        face(0.1, 0.1, 0.3, 0.51, label="without_mask"),
        face(0.2, 0.1, 0.4, 0.5),
    )
    assert complaint([one, beside, same], SIZE, 3) == "faces 1 and 3 are one face, marked twice"
    assert complaint([one, beside], SIZE, 3) == ""


def test_no_face_is_an_answer_and_a_crowd_has_a_bound() -> None:
    assert complaint([], SIZE, 3) == ""
    grid = [face(x / 20, y / 20, x / 20 + 0.04, y / 20 + 0.04) for x in range(20) for y in range(20)]
    assert complaint(grid[:MOST_FACES], SIZE, 3) == ""
    assert complaint(grid, SIZE, 3) == "400 faces, where a picture has 300 at most"


def test_the_manifest_that_comes_with_the_model_freezes_its_test_part() -> None:
    entries = msgspec.json.decode(FROZEN.read_bytes())["entries"]
    frozen = frozen_test(FROZEN)
    test = [entry for entry in entries if entry["part"] == "test"]
    assert test
    assert all(frozen.near(entry["fingerprint"]) for entry in test)
    # Look-alikes of it were put on its side: nothing that is trained on is refused.
    assert not any(frozen.near(entry["fingerprint"]) for entry in entries if entry["part"] == "train")


def test_without_a_manifest_nothing_is_frozen_and_one_that_is_none_is_named(tmp_path: Path) -> None:
    assert not frozen_test(None).near("00" * 8)
    (tmp_path / "other.json").write_text('{"entries": 3}')
    for name in ("other.json", "missing.json"):
        with pytest.raises(SettingsError, match=rf"labels\.frozen: .*{name} is no manifest"):
            frozen_test(tmp_path / name)
