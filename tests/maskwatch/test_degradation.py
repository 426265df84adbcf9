"""Each named change does to a picture what its name says, more so the stronger it is, and the same each time."""

import itertools

import cv2
import numpy as np
import pytest

from maskwatch.degradation import CHANGES, STRENGTHS, Change, Strength, degrade, moved
from maskwatch.pictures import Pixels


def scene(width: int = 320, height: int = 180) -> Pixels:
    noise = np.random.default_rng(3).integers(60, 200, (height // 10, width // 10, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def sharpness(picture: Pixels) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


@pytest.mark.parametrize(("change", "strength"), list(itertools.product(CHANGES, STRENGTHS)))
def test_a_change_keeps_the_shape_and_the_original_and_comes_out_the_same(change: Change, strength: Strength) -> None:
    picture = scene()
    before = picture.copy()
    once, again = (degrade(picture, change, strength, seed=5) for _ in range(2))
    assert once.shape == picture.shape
    assert once.dtype == np.uint8
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("change", [change for change in CHANGES if change != "small"])
def test_stronger_is_further_from_the_picture(change: Change) -> None:
    picture = scene()
    apart = [float(np.abs(degrade(picture, change, level).astype(int) - picture).mean()) for level in STRENGTHS]
    assert 0 < apart[0] < apart[1] < apart[2]


def test_names_say_what_happens() -> None:
    picture = scene()
    assert degrade(picture, "dim", 1).mean() < picture.mean() * 0.6
    assert degrade(picture, "over_exposed", 1).mean() > picture.mean() * 1.3
    assert sharpness(degrade(picture, "defocused", 1)) < sharpness(picture)
    assert sharpness(degrade(picture, "motion_blurred", 1)) < sharpness(picture)
    assert sharpness(degrade(picture, "noisy", 1)) > sharpness(picture)
    cast = degrade(picture, "colour_cast", 2).mean(axis=(0, 1)) - picture.mean(axis=(0, 1))
    assert cast[0] > 10
    assert abs(cast[1]) < 1
    assert cast[2] < -10


def test_blur_grows_with_the_picture() -> None:
    small, large = scene(), np.asarray(cv2.resize(scene(), (1280, 720), interpolation=cv2.INTER_NEAREST), np.uint8)
    shrunk = cv2.resize(degrade(large, "defocused", 2), (320, 180), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - degrade(small, "defocused", 2)).mean() < 3


def test_what_is_smaller_lies_where_it_is_said_to() -> None:
    picture = np.zeros((200, 400, 3), np.uint8)
    picture[20:60, 40:120] = 255
    for strength in STRENGTHS:
        x1, y1, x2, y2 = moved((0.1, 0.1, 0.3, 0.3), "small", strength)
        found = np.argwhere(degrade(picture, "small", strength)[..., 0] > 180)
        (top, left), (bottom, right) = found.min(axis=0), found.max(axis=0) + 1
        np.testing.assert_allclose((left / 400, top / 200, right / 400, bottom / 200), (x1, y1, x2, y2), atol=0.006)
