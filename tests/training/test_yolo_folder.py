import hashlib
from pathlib import Path

import pytest

from maskwatch.messages import MarkedFace
from training.datasets.manifest import Entry, Manifest
from training.datasets.split import Part
from training.errors import ManifestError
from training.yolo_folder import file_stem, write_yolo_folder


def entry(path: Path, part: Part) -> Entry:
    path.write_bytes(path.name.encode())
    digest = hashlib.sha256(path.name.encode()).hexdigest()
    return Entry(digest, str(path), "s", 100, 50, digest, part, (MarkedFace("without_mask", (0.1, 0.2, 0.3, 0.6)),))


def test_pictures_are_linked_and_boxes_become_centres_and_sizes(tmp_path: Path) -> None:
    entries = (entry(tmp_path / "a.jpg", "train"), entry(tmp_path / "b.png", "val"))
    a, b = (file_stem(one) for one in entries)
    for _ in range(2):  # a second time changes nothing
        data = write_yolo_folder(Manifest(entries), tmp_path / "yolo")
    link = tmp_path / "yolo" / "images" / "train" / f"{a}.jpg"
    assert link.resolve() == (tmp_path / "a.jpg").resolve()
    label = tmp_path / "yolo" / "labels" / "train" / f"{a}.txt"
    assert label.read_text() == "1 0.200000 0.400000 0.200000 0.400000\n"
    assert (tmp_path / "yolo" / "images" / "val" / f"{b}.png").exists()
    assert "  2: mask_weared_incorrect" in data.read_text()


def test_a_training_needs_train_and_val(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no picture in val"):
        write_yolo_folder(Manifest((entry(tmp_path / "a.jpg", "train"),)), tmp_path / "yolo")


def test_a_picture_that_was_changed_since_it_was_imported_is_not_trained_on(tmp_path: Path) -> None:
    data = Manifest((entry(tmp_path / "a.jpg", "train"), entry(tmp_path / "b.png", "val")))
    (tmp_path / "b.png").write_bytes(b"another")
    with pytest.raises(ManifestError, match=r"b\.png is not the picture that was imported"):
        write_yolo_folder(data, tmp_path / "yolo")
