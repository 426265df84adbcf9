import codecs
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.annotated import coco, picture
from training.datasets import coco as module
from training.datasets.coco import read, recognise
from training.datasets.contents import Contents, files_below
from training.errors import CatalogueError

IMAGE = {"id": 7, "file_name": "a.png", "width": 100, "height": 50}
BOX = {"id": 1, "image_id": 7, "category_id": 2, "bbox": [10, 10, 20, 10]}


def contents(folder: Path) -> Contents:
    return read(folder, files_below(folder))


def refusals(folder: Path) -> list[tuple[str, str]]:
    return [(refusal.path.name, refusal.cause) for refusal in contents(folder).refused]


@pytest.mark.parametrize(
    ("image", "file", "name"),
    [
        ("images/a.jpg", "annotations/instances.json", "a.png"),
        ("images/a.jpg", "coco.json", "C:\\photos\\a.png"),
        ("images/a.jpg", "coco.json", "/home/someone/a.jpg"),
        ("train/a.jpg", "train/_annotations.coco.json", "a.jpg"),
    ],
)
def test_pictures_are_found_by_stem(tmp_path: Path, image: str, file: str, name: str) -> None:
    picture(tmp_path / image)
    coco(tmp_path / file, [IMAGE | {"file_name": name}], [BOX])
    (told,) = contents(tmp_path).told
    assert (told.path, told.size) == (tmp_path / image, (100, 50))
    assert told.objects == (("without_mask", (10, 10, 30, 20)),)
    assert refusals(tmp_path) == []
    assert recognise(tmp_path, files_below(tmp_path))


@pytest.mark.parametrize(
    "places",
    [
        [
            ("images/train/a.jpg", "annotations/instances_train.json"),
            ("images/val/a.jpg", "annotations/instances_val.json"),
        ],
        [("train/a.jpg", "train/_annotations.coco.json"), ("valid/a.jpg", "valid/_annotations.coco.json")],
    ],
)
def test_the_part_tells_which_of_several_is_meant(tmp_path: Path, places: list[tuple[str, str]]) -> None:
    for seed, (image, file) in enumerate(places):
        picture(tmp_path / image, seed)
        coco(tmp_path / file, [IMAGE], [BOX] * seed)
    assert {(told.path, told.annotation) for told in contents(tmp_path).told} == {
        (tmp_path / image, tmp_path / file) for image, file in places
    }
    assert refusals(tmp_path) == []


def test_without_a_part_none_of_several_is_guessed(tmp_path: Path) -> None:
    for name in ("x/a.jpg", "y/a.jpg"):
        picture(tmp_path / name)
    coco(tmp_path / "coco.json", [IMAGE])
    assert refusals(tmp_path) == [("coco.json", "the annotation has no picture")]
    assert contents(tmp_path).refused[0].reason == "several pictures may be a.png"


def test_a_picture_that_is_listed_without_boxes_has_no_face(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    coco(tmp_path / "coco.json", [{"id": "seven", "file_name": "a.jpg"}])
    (told,) = contents(tmp_path).told
    assert (told.objects, told.size) == ((), (0, 0))


@pytest.mark.parametrize(
    ("annotation", "cause", "says"),
    [
        ({"bbox": None}, "a box cannot be read", "coco.json: bbox None is not x, y, width and height"),
        ({"bbox": [1, 2, 3]}, "a box cannot be read", "is not x, y, width and height"),
        ({"bbox": ["1", 2, 3, 4]}, "a box cannot be read", "is not x, y, width and height"),
        ({"bbox": [1, 2, -3, 4]}, "a box cannot be read", "has a negative side"),
        ({"iscrowd": 1}, "a crowd is marked as one", "iscrowd"),
    ],
)
@pytest.mark.parametrize("more", [[], ["another.json", "sound.json"]])
def test_a_picture_comes_with_all_its_faces_or_not_at_all(
    tmp_path: Path, annotation: dict[str, Any], cause: str, says: str, more: list[str]
) -> None:
    picture(tmp_path / "a.jpg")
    coco(tmp_path / "coco.json", [IMAGE], [BOX, BOX | annotation])
    for name in more:
        coco(tmp_path / name, [IMAGE], [BOX])
    (refusal,) = contents(tmp_path).refused
    assert (refusal.path.name, refusal.cause) == ("a.jpg", cause)
    assert says in refusal.reason
    assert contents(tmp_path).told == []


def test_a_category_that_is_not_listed_is_called_by_its_number(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    boxes = [BOX | {"category_id": what} for what in (9, None, [1])]
    coco(tmp_path / "coco.json", [IMAGE], boxes)
    assert [name for name, _ in contents(tmp_path).told[0].objects] == ["9", "None", "[1]"]


def test_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    file = coco(tmp_path / "coco.json", [IMAGE], [BOX])
    file.write_bytes(codecs.BOM_UTF8 + file.read_bytes())
    assert [len(told.objects) for told in contents(tmp_path).told] == [1]
    assert refusals(tmp_path) == []


def test_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "stranger")):
        picture(tmp_path / f"{name}.jpg", number)
    coco(
        tmp_path / "1.json",
        [IMAGE, IMAGE, {"id": 8, "file_name": "gone.jpg"}, {"id": 9}],
        [BOX, {"image_id": 99}, {"bbox": [1, 2, 3, 4]}],
    )
    (tmp_path / "3.json").write_text('{"images": [], "annotations": [')
    (tmp_path / "4.json").write_text('{"images": {}, "annotations": {}}')
    (tmp_path / "5.json").write_text("[]")  # of another kind
    assert len(contents(tmp_path).told) == 1
    assert sorted(refusals(tmp_path)) == sorted([
        ("1.json", "the annotation cannot be read"),  # the image without a name
        ("1.json", "the annotation cannot be read"),  # the box without an image
        ("1.json", "the annotation has no picture"),  # image 99
        ("1.json", "the annotation has no picture"),  # gone.jpg
        ("1.json", "the picture is told of twice"),
        ("3.json", "the annotation cannot be read"),
        ("4.json", "the annotation cannot be read"),
        ("stranger.jpg", "the picture has no annotation"),
    ])  # fmt: skip
    reasons = " ".join(refusal.reason for refusal in contents(tmp_path).refused)
    assert "image 3: Object missing required field `file_name`" in reasons
    assert "1 boxes are of image 99, which is not listed" in reasons


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coco(tmp_path / "coco.json", [])
    monkeypatch.setattr(module, "LARGEST_JSON", 10)
    with pytest.raises(CatalogueError, match=r"coco\.json is larger than 10 bytes"):
        contents(tmp_path)


def test_other_json_is_no_coco(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"name": "set"}))
    assert not recognise(tmp_path, files_below(tmp_path))
