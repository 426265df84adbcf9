from pathlib import Path

import cv2
import numpy as np
import pytest

from maskwatch.errors import SourceError
from maskwatch.messages import CLASSES
from producers.drawn import draw_picture, write_voc
from training.datasets.catalogue import Picture
from training.datasets.importing import read

COUNT = 24
SIZE = (320, 240)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawn") / "voc"
    write_voc(path, COUNT, 3, SIZE)
    return path


@pytest.fixture(scope="module")
def pictures(folder: Path) -> list[Picture]:
    catalogue = read([folder])
    assert (catalogue.refused, catalogue.repaired) == ((), ())
    return list(catalogue.pictures)


def test_it_is_a_pascal_voc_folder(pictures: list[Picture]) -> None:
    assert [picture.path.name for picture in pictures[:2]] == ["drawn-00001.jpg", "drawn-00002.jpg"]
    assert len(pictures) == COUNT
    assert {(picture.width, picture.height) for picture in pictures} == {SIZE}


def test_every_class_occurs(pictures: list[Picture]) -> None:
    assert {face.label for picture in pictures for face in picture.faces} == set(CLASSES)


def test_there_are_close_ups_and_crowds(pictures: list[Picture]) -> None:
    heights = [[(face.box[3] - face.box[1]) for face in picture.faces] for picture in pictures]

    assert sum(max(faces) > 0.3 for faces in heights) > COUNT / 6
    assert sum(len(faces) > 3 for faces in heights) > COUNT / 6
    assert min(min(faces) for faces in heights) < 0.1


def test_the_boxes_written_are_the_truth(folder: Path, pictures: list[Picture]) -> None:
    shot = draw_picture(np.random.default_rng((3, 1)), SIZE)

    truth = shot.truth or ()
    assert len(truth) == len(pictures[0].faces)
    for face, written in zip(truth, pictures[0].faces, strict=True):
        assert written.label == face.label
        assert np.abs(np.array(written.box) - face.box).max() < 0.001
    jpeg = cv2.imread(str(folder / "images" / "drawn-00001.jpg"))
    assert jpeg is not None
    assert np.abs(jpeg.astype(int) - shot.image).mean() < 8


def test_the_seed_decides() -> None:
    one, again, other = (draw_picture(np.random.default_rng(seed), (160, 120)) for seed in (1, 1, 2))

    assert np.array_equal(one.image, again.image)
    assert one.truth == again.truth
    assert not np.array_equal(one.image, other.image)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(SourceError, match="taken"):
        write_voc(tmp_path / "taken", 1, 1)
