from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from maskwatch.messages import FrameInfo, MarkedFace, SceneKnobs, frame_headers, read_frame_headers
from producers.scene import Scene
from producers.source import Shot, Source

SIZE = (640, 360)


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A scene with its clock."""

    def __init__(self, seed: int = 1, size: tuple[int, int] = SIZE, cast: Path | None = None) -> None:
        self.clock = Clock()
        self.scene = Scene(size, seed, cast, clock=self.clock)

    def after(self, seconds: float) -> Shot:
        self.clock.now += seconds
        return self.scene.read()


Open = Callable[..., Stage]


@pytest.fixture
def open_stage() -> Iterator[Open]:
    stages: list[Stage] = []

    def opened(seed: int = 1, size: tuple[int, int] = SIZE, cast: Path | None = None) -> Stage:
        stages.append(Stage(seed, size, cast))
        return stages[-1]

    yield opened
    for stage in stages:
        stage.scene.close()


def truth_of(shot: Shot) -> tuple[MarkedFace, ...]:
    assert shot.truth is not None
    return shot.truth


def labels(shot: Shot) -> set[str]:
    return {face.label for face in truth_of(shot)}


def difference(one: Shot, other: Shot) -> float:
    return float(np.abs(one.image.astype(int) - other.image).mean())


def test_a_scene_is_a_source_of_pictures_with_truth(open_stage: Open) -> None:
    source: Source = open_stage().scene

    shot = source.read()

    assert shot is not None
    assert shot.image.shape == (360, 640, 3)
    assert shot.image.dtype == np.uint8
    assert len(truth_of(shot)) >= 2
    for face in truth_of(shot):
        x1, y1, x2, y2 = face.box
        assert 0 <= x1 < x2 <= 1
        assert 0 <= y1 < y2 <= 1


def test_the_same_seed_and_times_give_the_same_pictures(open_stage: Open) -> None:
    one, same, other = open_stage(7), open_stage(7), open_stage(8)

    for seconds in (0, 0.1, 3, 8, 20):
        shot, again = one.after(seconds), same.after(seconds)
        assert np.array_equal(shot.image, again.image)
        assert shot.truth == again.truth
        assert difference(shot, other.after(seconds)) > 5


def test_people_move_smoothly(open_stage: Open) -> None:
    stage = open_stage()
    before, after = stage.after(0), stage.after(0.1)

    moves = [
        min(abs(face.box[0] - other.box[0]) for other in truth_of(after) if other.label == face.label)
        for face in truth_of(before)
    ]
    assert max(moves) < 0.03
    assert max(moves) > 0.001


def test_people_leave_and_others_come(open_stage: Open) -> None:
    stage = open_stage()
    stage.scene.turn(SceneKnobs(crowd=4))
    counts = [len(truth_of(stage.after(0.5))) for _ in range(80)]

    assert np.mean(counts) > 2
    assert max(counts) <= 5  # one may still be leaving
    assert len(stage.scene._walks) < 10


def test_a_minute_without_a_look_leaves_no_empty_picture(open_stage: Open) -> None:
    stage = open_stage()
    stage.after(0)

    assert len(truth_of(stage.after(60))) >= 2


def test_frames_a_second_apart_are_no_near_duplicates(open_stage: Open) -> None:
    stage = open_stage()
    pictures = [stage.after(1).image for _ in range(40)]
    hashes = [imagehash.phash(Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))) for picture in pictures]

    assert min(one - other for one, other in pairwise(hashes)) > 6


def test_every_class_and_many_sizes_occur(open_stage: Open) -> None:
    stage = open_stage()
    faces = [face for _ in range(30) for face in truth_of(stage.after(2))]
    heights = [(face.box[3] - face.box[1]) * 720 for face in faces if face.box[0] > 0.05 and face.box[2] < 0.95]

    assert {face.label for face in faces} == {"with_mask", "without_mask", "mask_weared_incorrect"}
    assert 25 < min(heights) < 50
    assert 130 < max(heights) < 300


def test_most_faces_can_be_seen_well(open_stage: Open) -> None:
    stage = open_stage()
    counts = [len(truth_of(stage.after(2))) for _ in range(30)]

    assert np.mean(counts) > 3  # of five, some of whom are entering or leaving


def test_faces_lie_in_their_boxes(open_stage: Open) -> None:
    stage = open_stage(size=(1280, 720))
    stage.scene.turn(SceneKnobs(crowd=0))
    empty = stage.after(0)
    stage.scene.turn(SceneKnobs(crowd=3))
    shot = stage.after(0)

    for face in truth_of(shot):
        x1, y1, x2, y2 = (round(v * s) for v, s in zip(face.box, (1280, 720, 1280, 720), strict=True))
        there = np.abs(shot.image[y1:y2, x1:x2].astype(int) - empty.image[y1:y2, x1:x2]).max(axis=2)
        assert (there > 8).mean() > 0.7


def test_the_place_changes_by_fading(open_stage: Open) -> None:
    stage = open_stage()
    stage.scene.turn(SceneKnobs(crowd=0))
    first, still, fading, second = (stage.after(seconds) for seconds in (0, 24, 1.6, 10))

    assert difference(first, still) == 0
    assert difference(first, second) > 10
    blend = np.minimum(first.image, second.image).astype(int) - 1 <= fading.image
    assert blend.all()
    assert 2 < difference(first, fading) < difference(first, second)


def test_a_picture_once_given_is_never_painted_on_again(open_stage: Open) -> None:
    stage = open_stage()
    shot = stage.after(0)
    kept = shot.image.copy()

    stage.after(0.5)

    assert np.array_equal(shot.image, kept)


def test_knobs_of_the_lens_change_the_very_next_picture(open_stage: Open) -> None:
    def detail(image: NDArray[np.uint8]) -> float:
        return float(cv2.Laplacian(image, cv2.CV_64F).std())

    stage = open_stage()
    plain = stage.after(0)
    shots = {}
    for name, knobs in {
        "dark": SceneKnobs(light=0.3),
        "blurred": SceneKnobs(blur=4),
        "noisy": SceneKnobs(noise=30),
        "orange": SceneKnobs(colour=1),
    }.items():
        stage.scene.turn(knobs)
        shots[name] = stage.after(0)

    assert shots["dark"].image.mean() == pytest.approx(0.3 * plain.image.mean(), rel=0.05)
    assert detail(shots["blurred"].image) < 0.3 * detail(plain.image)
    assert detail(shots["noisy"].image) > 2 * detail(plain.image)
    assert shots["orange"].image[..., 0].mean() < 0.7 * plain.image[..., 0].mean()
    assert all(shot.truth == plain.truth for shot in shots.values())


def test_the_crowd_follows_its_knob_at_once(open_stage: Open) -> None:
    stage = open_stage()
    counts = {}
    for crowd in (5, 14, 2, 0, 5):
        stage.scene.turn(SceneKnobs(crowd=crowd))
        counts[crowd] = len(truth_of(stage.after(0)))

    assert counts[0] == 0
    assert counts[2] <= 2
    assert 2 <= counts[5] <= 5
    assert 6 <= counts[14] <= 14


def test_masks_come_off_and_on_again_at_once(open_stage: Open) -> None:
    stage = open_stage()
    stage.scene.turn(SceneKnobs(crowd=6))
    masked = stage.after(0)
    stage.scene.turn(SceneKnobs(crowd=6, masks="none"))
    bare = stage.after(0)
    stage.scene.turn(SceneKnobs(crowd=6, masks="mixed"))
    again = stage.after(0)

    assert "with_mask" in labels(masked)
    assert labels(bare) == {"without_mask"}
    assert [face.label for face in truth_of(again)] == [face.label for face in truth_of(masked)]
    assert np.array_equal(again.image, masked.image)


def test_masks_of_another_kind_are_worn_by_those_in_the_picture_and_those_who_come(open_stage: Open) -> None:
    stage = open_stage()
    before = stage.after(0)
    stage.scene.turn(SceneKnobs(masks="patterned"))
    after = stage.after(0)

    assert labels(before) == labels(after)
    assert difference(before, after) > 0
    stage.after(30)
    assert {walk.performer.masks for walk in stage.scene._walks} == {"patterned"}


def test_nobody_with_a_mask_walks_in_while_masks_are_off(open_stage: Open) -> None:
    stage = open_stage()
    stage.after(0)
    stage.scene.turn(SceneKnobs(masks="none"))

    assert all(labels(stage.after(1)) <= {"without_mask"} for _ in range(30))


def test_what_is_known_of_a_frame_goes_into_its_headers(open_stage: Open) -> None:
    stage = open_stage(seed=3)
    known = 0
    for _ in range(20):  # people's paths differ, and with them the numbers that positions are made of
        truth = truth_of(stage.after(1))
        known += len(truth)
        info = FrameInfo("demo", "s1", 0, datetime(2026, 11, 1, tzinfo=UTC), *SIZE, truth)
        assert read_frame_headers(frame_headers(info)).truth == truth
    assert known > 20
