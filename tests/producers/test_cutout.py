import numpy as np
import pytest
from numpy.typing import NDArray

from producers.cutout import Cutout, Placed, cut_out, lay, visible_faces

SIZE = (100, 80)


def card(width: int = 20, height: int = 20, level: int = 200, opacity: int = 255) -> Cutout:
    """A plain card that is one face."""
    image = np.full((height, width, 4), level * opacity // 255, np.uint8)
    image[..., 3] = opacity
    return cut_out(image, (("with_mask", (0.0, 0.0, float(width), float(height))),))


def frame() -> NDArray[np.uint8]:
    return np.full((SIZE[1], SIZE[0], 3), 100, np.uint8)


def test_a_cutout_is_laid_where_it_is_placed() -> None:
    picture = frame()

    lay(picture, Placed(card(), 30, 10))

    assert (picture[10:30, 30:50] == 200).all()
    picture[10:30, 30:50] = 100
    assert (picture == 100).all()


def test_what_is_half_transparent_lets_the_frame_through() -> None:
    picture = frame()

    lay(picture, Placed(card(opacity=128), 0, 0))

    assert picture[5, 5, 0] == pytest.approx(150, abs=1)


@pytest.mark.parametrize(("x", "y"), [(-10, 5), (90, 5), (5, -10), (5, 70), (-10, -10)])
def test_what_reaches_outside_is_cut_off(x: int, y: int) -> None:
    picture = frame()

    lay(picture, Placed(card(), x, y))

    assert (picture == 200).sum() == 3 * (10 * 20 if 5 in {x, y} else 10 * 10)


@pytest.mark.parametrize(("x", "y"), [(-20, 0), (100, 0), (0, -20), (0, 80)])
def test_what_lies_outside_changes_nothing(x: int, y: int) -> None:
    picture = frame()

    lay(picture, Placed(card(), x, y))

    assert (picture == 100).all()


def test_a_floor_cuts_the_feet_off() -> None:
    picture = frame()

    lay(picture, Placed(card(), 0, 10), floor=15)

    assert (picture[10:15, :20] == 200).all()
    assert (picture[15:] == 100).all()


def test_a_face_in_full_view_is_wholly_visible() -> None:
    ((face, share),) = visible_faces([Placed(card(), 30, 20)], SIZE)

    assert share == 1
    assert face.label == "with_mask"
    assert face.box == (0.3, 0.25, 0.5, 0.5)


def test_the_frame_s_edge_hides_and_clips() -> None:
    ((face, share),) = visible_faces([Placed(card(), -5, 20)], SIZE)

    assert share == pytest.approx(0.75)
    assert face.box == (0.0, 0.25, 0.15, 0.5)


def test_a_face_outside_is_not_found() -> None:
    assert visible_faces([Placed(card(), -20, 20), Placed(card(), 0, 80)], SIZE) == []


def test_those_in_front_hide_those_behind() -> None:
    behind, before = Placed(card(), 30, 20), Placed(card(), 40, 20)

    (_, far), (_, near) = visible_faces([behind, before], SIZE)

    assert far == pytest.approx(0.5, abs=0.1)
    assert near == 1


def test_two_in_front_hide_what_they_cover_together() -> None:
    behind, left, right = Placed(card(), 30, 20), Placed(card(), 20, 20), Placed(card(), 40, 20)

    shares = [share for _, share in visible_faces([behind, left, right], SIZE)]

    assert shares == [0, 1, 1]


def test_what_is_transparent_hides_nothing() -> None:
    glass = card(opacity=40)

    shares = [share for _, share in visible_faces([Placed(card(), 30, 20), Placed(glass, 30, 20)], SIZE)]

    assert shares == [1, 1]
