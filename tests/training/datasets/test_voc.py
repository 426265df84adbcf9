from pathlib import Path

import pytest

from tests.support.annotated import picture, voc, voc_object
from training.datasets.contents import Contents, files_below
from training.datasets.voc import read, recognise
from training.errors import CatalogueError

MASK = voc_object("with_mask", 10, 10, 30, 20)


def contents(folder: Path) -> Contents:
    return read(folder, files_below(folder))


def refusals(folder: Path) -> set[tuple[str, str]]:
    return {(refusal.path.name, refusal.cause) for refusal in contents(folder).refused}


@pytest.mark.parametrize(
    ("image", "annotation"),
    [
        ("images/a.jpg", "annotations/a.xml"),
        ("JPEGImages/a.jpg", "Annotations/a.xml"),
        ("a.PNG", "a.xml"),
        ("train/images/a.webp", "train/annotations/a.xml"),
    ],
)
def test_a_picture_is_found_by_stem_wherever_it_lies(tmp_path: Path, image: str, annotation: str) -> None:
    path, file = tmp_path / image, voc(tmp_path / annotation, MASK)
    picture(path.with_suffix(path.suffix.lower())).rename(path)
    (told,) = contents(tmp_path).told
    assert (told.path, told.annotation, told.size) == (path, file, (100, 50))
    assert told.objects == (("with_mask", (10, 10, 30, 20)),)
    assert refusals(tmp_path) == set()
    assert recognise(tmp_path, files_below(tmp_path))


def test_of_several_pictures_the_nearest_is_meant(tmp_path: Path) -> None:
    for part in ("train", "val"):
        picture(tmp_path / "images" / part / "1.jpg")
        voc(tmp_path / "annotations" / part / "1.xml")
    assert {(told.path.parent.name, told.annotation.parent.name) for told in contents(tmp_path).told} == {
        ("train", "train"),
        ("val", "val"),
    }
    assert refusals(tmp_path) == set()


def test_of_several_that_are_equally_near_none_is_guessed(tmp_path: Path) -> None:
    for name in ("images/1.jpg", "images/1.png"):
        picture(tmp_path / name)
    voc(tmp_path / "annotations" / "1.xml")
    (refusal,) = contents(tmp_path).refused
    assert refusal.reason == "several pictures have this stem: 1.jpg and 1.png"


def test_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "stranger.jpg")
    picture(tmp_path / "images" / "broken.jpg")
    voc(tmp_path / "annotations" / "lonely.xml")
    (tmp_path / "annotations" / "broken.xml").write_text("<annotation>")
    (tmp_path / "images" / "old.bmp").touch()
    (tmp_path / "images" / "clip.mp4").touch()
    for aside in (".DS_Store", "__MACOSX/._a.jpg", ".git/a.jpg", "README.md"):  # of no picture of the set
        (tmp_path / aside).parent.mkdir(exist_ok=True)
        (tmp_path / aside).touch()
    assert contents(tmp_path).told == []
    assert refusals(tmp_path) == {
        ("stranger.jpg", "the picture has no annotation"),
        ("lonely.xml", "the annotation has no picture"),
        ("broken.xml", "the annotation cannot be read"),
        ("old.bmp", "the file is of a kind that is not read"),
        ("clip.mp4", "the file is of a kind that is not read"),
    }


def test_links_are_followed_and_each_folder_is_read_once(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "a.jpg")
    voc(tmp_path / "set" / "annotations" / "a.xml")
    (tmp_path / "set" / "images").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "round").symlink_to(tmp_path / "set")
    (told,) = contents(tmp_path / "set").told
    assert told.path == tmp_path / "set" / "images" / "a.jpg"
    assert refusals(tmp_path / "set") == set()


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="gone cannot be listed: No such file or directory"):
        files_below(tmp_path / "gone")
