from pathlib import Path

import pytest

from maskwatch.errors import AnnotationError
from tests.support.annotated import labels, picture
from training.datasets.contents import Contents, files_below
from training.datasets.yolo import read, read_labels, recognise
from training.errors import CatalogueError

NAMES = "names: [with_mask, no-mask]\n"


def contents(folder: Path) -> Contents:
    return read(folder, files_below(folder))


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/a.jpg", "labels/a.txt"),
        ("images/train/a.jpg", "labels/train/a.txt"),
        ("train/images/a.jpg", "train/labels/a.txt"),
        ("a.jpg", "a.txt"),
    ],
)
def test_labels_are_found_in_every_customary_place(tmp_path: Path, image: str, label: str) -> None:
    picture(tmp_path / image)
    labels(tmp_path / label, "1 0.5 0.5 0.2 0.4", "")
    (tmp_path / "data.yaml").write_text(NAMES)
    (told,) = contents(tmp_path).told
    assert [name for name, _ in told.objects] == ["no-mask"]
    assert told.objects[0].box == pytest.approx((0.4, 0.3, 0.6, 0.7))
    assert contents(tmp_path).refused == []
    assert recognise(tmp_path, files_below(tmp_path))


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("data.yaml", "names: {0: bare, 1: masked}", "masked"),
        ("set.yml", "names:\n- bare\n- masked\n", "masked"),
        ("classes.txt", "bare\nmasked\n", "masked"),
        ("obj.names", "bare\nmasked", "masked"),
        ("data.yaml", "names: [bare]", "1"),  # beyond the list
        ("data.yaml", "names: {'0': 0, '1': 7}", "7"),
        ("other.yaml", "train: images", "1"),
    ],
)
def test_where_the_names_of_the_classes_stand(tmp_path: Path, file: str, text: str, name: str) -> None:
    picture(tmp_path / "images" / "a.jpg")
    labels(tmp_path / "labels" / "a.txt", "1 0.5 0.5 0.2 0.4")
    (tmp_path / file).write_text(text)
    assert contents(tmp_path).told[0].objects[0].name == name


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("data.yaml", "names: [a, b", "data.yaml is not YAML"),
        ("data.yaml", "made: 2020-13-45", "data.yaml is not YAML"),
        ("data.yaml", "names: {one: a}", "names must be a list, or a table by number"),
        ("data.yaml", "names: {null: a}", "names must be a list, or a table by number"),
        ("data.yaml", "names: with_mask", "names must be a list, or a table by number"),
        ("data.yaml", "names: [[a], [b]]", "names must be a list, or a table by number"),
        ("b.yaml", "names: [no_mask, with_mask]", "classes.txt and b.yaml name other classes: keep one"),
    ],
)
def test_names_that_cannot_be_read_are_said(tmp_path: Path, file: str, text: str, says: str) -> None:
    (tmp_path / "classes.txt").write_text("with_mask\nno_mask\n")
    (tmp_path / file).write_text(text)
    with pytest.raises(CatalogueError, match=says):
        contents(tmp_path)


def test_a_byte_order_mark_is_no_part_of_a_class(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfmasked\r\n")
    picture(tmp_path / "a.jpg")
    labels(tmp_path / "a.txt", "0 0.5 0.5 0.2 0.4")
    assert contents(tmp_path).told[0].objects[0].name == "masked"


@pytest.mark.parametrize("text", ["a: {{ x }}\n: :\n", "made: 2020-13-45"])
def test_yaml_of_another_kind_is_no_reason_to_take_a_folder_for_yolo(tmp_path: Path, text: str) -> None:
    (tmp_path / "docker.yml").write_text(text)
    assert not recognise(tmp_path, files_below(tmp_path))


def test_an_empty_file_says_that_no_face_is_on_it_and_a_missing_one_says_nothing(tmp_path: Path) -> None:
    for name in ("empty", "missing"):
        picture(tmp_path / "images" / f"{name}.jpg")
    labels(tmp_path / "labels" / "empty.txt")
    read_ = contents(tmp_path)
    assert [(told.path.stem, told.objects) for told in read_.told] == [("empty", ())]
    (refusal,) = read_.refused
    assert (refusal.path.name, refusal.cause) == ("missing.jpg", "the picture has no annotation")
    assert "an empty one says that no face is on it" in refusal.reason


def test_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "bad.jpg")
    labels(tmp_path / "labels" / "bad.txt", "0 0.5 0.5 0.2")
    labels(tmp_path / "labels" / "lonely.txt")
    for no_label in ("README.roboflow.txt", "train.txt"):
        (tmp_path / no_label).write_text("images/a.jpg\n")
    assert {(refusal.path.name, refusal.cause) for refusal in contents(tmp_path).refused} == {
        ("bad.txt", "the annotation cannot be read"),
        ("lonely.txt", "the annotation has no picture"),
    }


def test_pictures_that_lie_elsewhere_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "images" / "b.jpg")
    folder = tmp_path / "set"
    picture(folder / "images" / "a.jpg")
    labels(folder / "labels" / "a.txt")
    (folder / "data.yaml").write_text(f"{NAMES}path: ..\ntrain: set/images\nval: [elsewhere/images, nowhere]\ntest:\n")
    (refusal,) = contents(folder).refused
    assert refusal.cause == "the pictures lie elsewhere"
    assert f"val names {tmp_path / 'elsewhere' / 'images'}, which is not under the folder" in refusal.reason


def test_an_outline_becomes_a_box(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    labels(tmp_path / "labels" / "a.txt", "0 0.1 0.2 0.5 0.1 0.3 0.6", "0 0.5 0.5 0.2 0.4")
    read_ = contents(tmp_path)
    assert read_.told[0].objects[0].box == (0.1, 0.1, 0.5, 0.6)
    assert [(repair.cause, repair.reason) for repair in read_.repaired] == [("an outline became a box", "1 outlines")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"0 0.5 0.5 0.2", "line 1 has 4 columns"),
        (b"\n0 0.5 0.5 0.2 0.2 0.9", "line 2 has 6 columns; .*with its score, is no truth"),
        (b"0 0.5 0.5 0.2 0.2 0.9 0.1 0.1", "line 1 has 8 columns"),
        (b"mask 0.5 0.5 0.2 0.2", "line 1 is not made of numbers"),
        (b"0.5 0.5 0.5 0.2 0.2", "begins with 0.5, which is no class number"),
        (b"-1 0.5 0.5 0.2 0.2", "begins with -1"),
        (b"nan 0.5 0.5 0.2 0.2", "begins with nan"),
        (b"inf 0.5 0.5 0.2 0.2", "begins with inf"),
        (b"0 50 50 20 20", "not in 0..1 of the picture: are these pixels"),
        (b"0 inf 0.5 0.2 0.2", "not in 0..1"),
        (b"\xff\xd8\xff\xe0", "it is not text"),
    ],
)
def test_lines_that_are_no_boxes_are_said(text: bytes, says: str) -> None:
    with pytest.raises(AnnotationError, match=says):
        read_labels(text, {})


def test_a_byte_order_mark_and_windows_lines_are_no_matter() -> None:
    objects, _ = read_labels(b"\xef\xbb\xbf0 0.5 0.5 0.2 0.2\r\n1 0.5 0.5 0.2 0.2\r\n", {0: "mask"})
    assert [name for name, _ in objects] == ["mask", "1"]
