from pathlib import Path

import cv2
import numpy as np
import pytest

from training.catalogue import read_voc
from training.errors import CatalogueError

BOX = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    return tmp_path


def add(folder: Path, stem: str, *boxes: str, size: tuple[int, int] = (100, 50)) -> None:
    cv2.imwrite(str(folder / "images" / f"{stem}.jpg"), np.full((50, 100, 3), 90, np.uint8))
    # The public set's annotations name files that are no more: pictures are matched by stem.
    (folder / "annotations" / f"{stem}.xml").write_text(
        f"<annotation><filename>{stem}.png</filename><size><width>{size[0]}</width><height>{size[1]}</height></size>"
        f"{''.join(boxes)}</annotation>"
    )


def test_faces_are_read_in_0_to_1_of_the_picture(folder: Path) -> None:
    add(folder, "a", BOX.format("with_mask", 10, 10, 30, 20), BOX.format("without_mask", 50, 0, 100, 50))
    add(folder, "b", size=(200, 100))
    pictures, refused = read_voc(folder)
    assert refused == []
    assert [(p.path.name, p.width, p.height, p.source) for p in pictures] == [
        ("a.jpg", 100, 50, folder.name),
        ("b.jpg", 100, 50, folder.name),
    ]
    assert [(face.label, face.box) for face in pictures[0].faces] == [
        ("with_mask", (0.1, 0.2, 0.3, 0.4)),
        ("without_mask", (0.5, 0.0, 1.0, 1.0)),
    ]


def test_boxes_are_in_the_annotation_s_own_pixels(folder: Path) -> None:
    add(folder, "a", BOX.format("with_mask", 20, 20, 60, 40), size=(200, 100))
    assert read_voc(folder)[0][0].faces[0].box == (0.1, 0.2, 0.3, 0.4)


def test_nothing_is_dropped_in_silence(folder: Path) -> None:
    add(
        folder,
        "a",
        BOX.format("with_mask", 90, 40, 120, 60),  # reaches out: clipped
        BOX.format("with_mask", 120, 0, 140, 10),  # outside
        BOX.format("hat", 0, 0, 10, 10),
    )
    (folder / "annotations" / "lonely.xml").write_text("<annotation/>")
    (folder / "images" / "stranger.png").write_bytes(b"")
    add(folder, "broken")
    (folder / "images" / "broken.jpg").write_bytes(b"no picture")
    pictures, refused = read_voc(folder)
    assert [face.box for face in pictures[0].faces] == [(0.9, 0.8, 1.0, 1.0)]
    assert {(refusal.path.name, refusal.reason.split(" ")[0]) for refusal in refused} == {
        ("a.xml", "box"),
        ("a.xml", "unknown"),
        ("lonely.xml", "no"),
        ("stranger.png", "no"),
        ("broken.jpg", "cannot"),
    }


@pytest.mark.parametrize(
    ("text", "says"), [("<annotation>", "is not XML"), (BOX.format("with_mask", "x", 0, 1, 1), "not made of numbers")]
)
def test_an_annotation_that_cannot_be_read_is_named(folder: Path, text: str, says: str) -> None:
    add(folder, "a")
    (folder / "annotations" / "a.xml").write_text(f"<annotation>{text}</annotation>" if "object" in text else text)
    with pytest.raises(CatalogueError, match=says):
        read_voc(folder)


def test_a_folder_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="is not a Pascal VOC folder: images/ is missing"):
        read_voc(tmp_path)
