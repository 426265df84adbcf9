from pathlib import Path

import pytest

from maskwatch.settings import PROJECT
from training.datasets.catalogue import Refusal
from training.datasets.twins import read_twins
from training.errors import CatalogueError

HIRES = PROJECT.parent / "shared" / "data" / "facemask-hires"


def test_a_folder_without_a_list_has_no_twins(tmp_path: Path) -> None:
    assert read_twins(tmp_path, {"a"}) == ({}, [])


@pytest.mark.parametrize("columns", ["file,twin_file", "twin_file,file"])
def test_which_column_names_this_folder_s_pictures_is_found(tmp_path: Path, columns: str) -> None:
    pair = ("a.jpg", "old/b.png") if columns.startswith("file") else ("old/b.png", "a.jpg")
    (tmp_path / "twins.csv").write_text(f"{columns},boxes\n{','.join(pair)},3\n")
    assert read_twins(tmp_path, {"a", "c"}) == ({"a": "b"}, [])


def test_a_picture_named_after_its_twin_is_found(tmp_path: Path) -> None:
    (tmp_path / "twins.csv").write_text("first_file,second_file\nstreet.jpg,0007.jpg\nyard.jpg,0008.jpg\n")
    twins, refused = read_twins(tmp_path, {"eden_street", "eden_yard", "other_yard"})
    assert twins == {"eden_street": "street"}
    assert [refusal.reason for refusal in refused] == [
        "yard.jpg, 0008.jpg"
    ]  # two were named after it: neither is guessed


def test_rows_that_name_no_picture_of_the_folder_are_told(tmp_path: Path) -> None:
    (tmp_path / "twins.csv").write_text("file,twin_file\na.jpg,b.jpg\nx.jpg,y.jpg\na.jpg\n")
    rows = ("x.jpg, y.jpg", "a.jpg, None")
    refused = [Refusal(tmp_path / "twins.csv", row, "the twin's picture is not here") for row in rows]
    assert read_twins(tmp_path, {"a"}) == ({"a": "b"}, refused)


def test_a_second_twin_is_told_and_the_same_one_again_is_not(tmp_path: Path) -> None:
    (tmp_path / "twins.csv").write_text("file,twin_file\na.jpg,b.jpg\na.png,b.png\na.jpg,c.jpg\n")
    reason = "a.jpg, c.jpg: a has a twin, b; name c as that one's"
    refused = [Refusal(tmp_path / "twins.csv", reason, "a picture has two twins")]
    assert read_twins(tmp_path, {"a"}) == ({"a": "b"}, refused)


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "twins.csv").write_bytes(b"file,twin_file\n\xff\xfe\n")
    with pytest.raises(CatalogueError, match=r"twins\.csv cannot be read"):
        read_twins(tmp_path, {"a"})


@pytest.mark.skipif(not HIRES.is_dir(), reason="needs ../shared/data/facemask-hires")
def test_every_larger_photograph_has_its_twin() -> None:
    stems = {path.stem for path in (HIRES / "images").iterdir()}
    twins, refused = read_twins(HIRES, stems)
    assert (len(twins), refused) == (len(stems), [])
    assert twins["eden_maksssksksss0"] == "maksssksksss0"
