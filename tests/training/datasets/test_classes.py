from pathlib import Path

import pytest

from training.datasets.classes import table
from training.errors import CatalogueError


@pytest.mark.parametrize(
    ("spelling", "meaning"),
    [
        ("with_mask", "with_mask"),
        ("without_mask", "without_mask"),
        ("mask_weared_incorrect", "mask_weared_incorrect"),
        ("incorrect_mask", "mask_weared_incorrect"),
        ("mask_worn_incorrectly", "mask_weared_incorrect"),
        ("no_mask", "without_mask"),
        ("mask", "with_mask"),
    ],
)
def test_spellings_of_public_sets_are_known(spelling: str, meaning: str) -> None:
    assert table(())[spelling] == meaning


def test_what_face_means_must_be_told() -> None:
    assert "face" not in table(())


def test_what_is_given_goes_before_the_file_and_both_before_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text(
        "# of the second set\nMask = -   # drawn on the mask alone\n\nface=without_mask\nNo Helmet=-\n", "utf-8-sig"
    )
    classes = table(["FACE=with_mask"], file)
    assert (classes["mask"], classes["face"], classes["no_helmet"]) == ("-", "with_mask", "-")
    assert classes["no_mask"] == "without_mask"


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("face", "'face' is not OLD=NEW, such as"),
        ("=with_mask", "is not OLD=NEW"),
        ("face=whithout_mask", "'whithout_mask' is no class of ours; did you mean without_mask"),
        ("face=xyz", "known are with_mask, without_mask, mask_weared_incorrect"),
        ("face=", "no class of ours"),
    ],
)
def test_a_pair_that_is_none_is_refused(pair: str, says: str) -> None:
    with pytest.raises(CatalogueError, match=says):
        table([pair])


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "t").write_bytes(content)
    with pytest.raises(CatalogueError, match=r"the table of classes .*/t cannot be read"):
        table((), tmp_path / "t")
