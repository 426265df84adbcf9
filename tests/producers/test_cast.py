from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskwatch.errors import SourceError
from maskwatch.messages import MarkedFace, SceneKnobs
from producers.cast import PhotoTroupe
from producers.scene import Scene

SIZE = (640, 360)
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
GREEN, RED = (40, 200, 40), (40, 40, 220)

Face = tuple[str, tuple[int, int, int, int]]


def photograph(folder: Path, stem: str, faces: Sequence[Face], colour: tuple[int, int, int] = GREEN) -> None:
    """Write a grey picture with a coloured square for each face, annotated at twice its size."""
    for part in ("images", "annotations"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    image = np.full((150, 200, 3), 128, np.uint8)
    for _, (x1, y1, x2, y2) in faces:
        image[y1:y2, x1:x2] = colour
    cv2.imwrite(str(folder / "images" / f"{stem}.png"), image)
    boxes = "".join(
        f"<object><name>{name}</name><bndbox>"
        f"<xmin>{2 * x1}</xmin><ymin>{2 * y1}</ymin><xmax>{2 * x2}</xmax><ymax>{2 * y2}</ymax></bndbox></object>"
        for name, (x1, y1, x2, y2) in faces
    )
    (folder / "annotations" / f"{stem}.xml").write_text(
        f"<annotation><filename>gone.png</filename><size><width>400</width><height>300</height></size>{boxes}</annotation>"
    )


def play(folder: Path, read: Callable[[Scene, list[float]], None]) -> None:
    """Let a scene with this cast run."""
    now = [0.0]
    scene = Scene(SIZE, 3, folder, clock=lambda: now[0])
    try:
        read(scene, now)
    finally:
        scene.close()


def middle(image: np.ndarray, face: MarkedFace) -> list[int]:
    x1, y1, x2, y2 = face.box
    row, column = round((y1 + y2) / 2 * SIZE[1]), round((x1 + x2) / 2 * SIZE[0])
    return [int(v) for v in image[min(row, SIZE[1] - 1), min(column, SIZE[0] - 1)]]


def test_the_truth_follows_the_photographs(tmp_path: Path) -> None:
    photograph(tmp_path, "one", [("with_mask", (60, 40, 100, 90))], GREEN)
    photograph(tmp_path, "two", [("without_mask", (20, 20, 60, 70)), ("without_mask", (120, 60, 160, 110))], RED)

    def read(scene: Scene, now: list[float]) -> None:
        seen = set()
        for now[0] in np.arange(0, 40, 1.0):
            shot = scene.read()
            for face in shot.truth or ():
                seen.add(face.label)
                expected = GREEN if face.label == "with_mask" else RED
                if face.box[0] > 0.02 and face.box[2] < 0.98:
                    assert middle(shot.image, face) == pytest.approx(expected, abs=25)
        assert seen == {"with_mask", "without_mask"}

    play(tmp_path, read)


def test_faces_are_large_enough_and_cards_small_enough(tmp_path: Path) -> None:
    photograph(tmp_path, "far", [("with_mask", (60, 40, 74, 58)), ("with_mask", (150, 40, 164, 58))])
    photograph(tmp_path, "near", [("with_mask", (40, 10, 150, 140))])
    troupe = PhotoTroupe(tmp_path, SIZE)

    for seed in range(12):
        performer = troupe.enter(np.random.default_rng(seed), "mixed", [])

        assert performer.cutout.height <= 0.6 * SIZE[1]
        assert performer.cutout.faces
        for _, (x1, y1, x2, y2) in performer.cutout.faces:
            assert y2 - y1 >= 32
            assert 0 <= x1 < x2 <= performer.cutout.width + 1
            assert 0 <= y1 < y2 <= performer.cutout.height + 1


def test_a_face_wider_than_any_part_shows_the_whole_photograph(tmp_path: Path) -> None:
    photograph(tmp_path, "wide", [("with_mask", (0, 70, 200, 80))])

    performer = PhotoTroupe(tmp_path, SIZE).enter(np.random.default_rng(1), "mixed", [])

    assert len(performer.cutout.faces) == 1


def test_corners_are_round_and_soft(tmp_path: Path) -> None:
    photograph(tmp_path, "one", [("with_mask", (60, 40, 100, 90))])

    cutout = PhotoTroupe(tmp_path, SIZE).enter(np.random.default_rng(1), "mixed", []).cutout

    assert cutout.beneath[0, 0, 0] > 250
    assert cutout.beneath[cutout.height // 2, cutout.width // 2, 0] == 0


def test_without_masks_only_bare_photographs_stay(tmp_path: Path) -> None:
    photograph(tmp_path, "masked", [("mask_weared_incorrect", (60, 40, 100, 90)), ("without_mask", (120, 40, 160, 90))])
    photograph(tmp_path, "bare", [("without_mask", (60, 40, 100, 90))], RED)

    def read(scene: Scene, now: list[float]) -> None:
        labels = set()
        for now[0] in np.arange(0, 20, 1.0):
            labels |= {face.label for face in scene.read().truth or ()}
        assert "mask_weared_incorrect" in labels
        scene.turn(SceneKnobs(masks="none"))
        for now[0] in np.arange(20, 40, 1.0):
            assert {face.label for face in scene.read().truth or ()} <= {"without_mask"}
        scene.turn(SceneKnobs(masks="cloth"))
        for now[0] in np.arange(40, 60, 1.0):
            labels |= {face.label for face in scene.read().truth or ()}

    play(tmp_path, read)


def test_where_all_wear_masks_they_stay_without_masks_too(tmp_path: Path) -> None:
    photograph(tmp_path, "masked", [("with_mask", (60, 40, 100, 90))])

    def read(scene: Scene, now: list[float]) -> None:
        scene.read()
        scene.turn(SceneKnobs(masks="none"))
        assert {face.label for face in scene.read().truth or ()} == {"with_mask"}

    play(tmp_path, read)


def test_what_is_missing_from_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no Pascal VOC folder, images/ is missing: expected images/ beside"):
        Scene(SIZE, cast=tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(SourceError, match="annotations/ is missing"):
        Scene(SIZE, cast=tmp_path)
    (tmp_path / "annotations").mkdir()
    with pytest.raises(SourceError, match="no picture with a marked face"):
        Scene(SIZE, cast=tmp_path)


def test_pictures_without_a_known_face_or_an_annotation_are_left_out(tmp_path: Path) -> None:
    photograph(tmp_path, "hat", [("with_hat", (60, 40, 100, 90))])
    photograph(tmp_path, "flat", [("with_mask", (60, 40, 60, 90))])
    photograph(tmp_path, "lone", [("with_mask", (60, 40, 100, 90))])
    (tmp_path / "annotations" / "lone.xml").rename(tmp_path / "annotations" / "other.xml")

    with pytest.raises(SourceError, match="no picture with a marked face"):
        PhotoTroupe(tmp_path, SIZE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<annotation>", "cannot be read"),
        ("<annotation><size><width>wide</width></size></annotation>", "cannot be read"),
        ("<annotation/>", "does not give its picture's <size>"),
    ],
)
def test_an_annotation_that_cannot_be_read_is_named(tmp_path: Path, text: str, expected: str) -> None:
    photograph(tmp_path, "one", [("with_mask", (60, 40, 100, 90))])
    (tmp_path / "annotations" / "one.xml").write_text(text)

    with pytest.raises(SourceError, match=f"one.xml.*{expected}"):
        PhotoTroupe(tmp_path, SIZE)


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    photograph(tmp_path, "one", [("with_mask", (60, 40, 100, 90))])
    (tmp_path / "images" / "one.png").write_bytes(b"not a picture")

    def read(scene: Scene, now: list[float]) -> None:
        with pytest.raises(SourceError, match=r"one\.png of the cast cannot be decoded"):
            scene.read()

    play(tmp_path, read)


@pytest.mark.parametrize("name", ["facemask-voc", "portraits"])
def test_real_photographs_walk_through_the_scene(name: str) -> None:
    folder = DATA / name
    if not folder.exists():
        pytest.skip(f"{folder} is absent: any Pascal VOC folder of masked faces serves")

    def read(scene: Scene, now: list[float]) -> None:
        faces = []
        for now[0] in np.arange(0, 30, 2.0):
            faces += list(scene.read().truth or ())
        heights = np.array([(face.box[3] - face.box[1]) * SIZE[1] for face in faces])
        assert len(faces) > 15
        assert np.mean(heights >= 31) > 0.7
        assert {"with_mask", "without_mask"} <= {face.label for face in faces}

    play(folder, read)
