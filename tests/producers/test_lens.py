import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from maskwatch.messages import SceneKnobs
from producers.lens import look_through


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    """A grey picture with a white edge."""
    image = np.full((60, 80, 3), 100, np.uint8)
    image[:, 40:] = 180
    return image


def taken(picture: NDArray[np.uint8], knobs: SceneKnobs, seed: int = 1) -> NDArray[np.uint8]:
    return look_through(picture.copy(), knobs, np.random.default_rng(seed))


def test_knobs_at_rest_change_nothing(picture: NDArray[np.uint8]) -> None:
    assert np.array_equal(taken(picture, SceneKnobs()), picture)


def test_light_is_a_factor_and_overexposes(picture: NDArray[np.uint8]) -> None:
    assert taken(picture, SceneKnobs(light=0.3))[0, 0].tolist() == [30, 30, 30]
    assert taken(picture, SceneKnobs(light=2.0))[0, 79].tolist() == [255, 255, 255]


def test_colour_goes_from_blue_to_orange(picture: NDArray[np.uint8]) -> None:
    blue, _, red = taken(picture, SceneKnobs(colour=1))[0, 0]
    assert red > blue
    blue, _, red = taken(picture, SceneKnobs(colour=-1))[0, 0]
    assert blue > red


def test_blur_softens_edges(picture: NDArray[np.uint8]) -> None:
    sharp, soft = (cv2.Laplacian(taken(picture, SceneKnobs(blur=b)), cv2.CV_64F).max() for b in (0, 3))

    assert soft < sharp / 5


def test_noise_has_the_deviation_asked_for_and_never_repeats(picture: NDArray[np.uint8]) -> None:
    one, other = (taken(picture, SceneKnobs(noise=10), seed) for seed in (1, 2))

    assert (one[:, :40].astype(float) - 100).std() == pytest.approx(10, rel=0.1)
    assert one[:, :40].mean() == pytest.approx(100, abs=1)
    assert not np.array_equal(one, other)
