import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from producers.zones import black_out
from tests.support.sources import picture

unit = st.floats(0, 1)


def test_without_zones_nothing_is_copied() -> None:
    image = picture()
    assert black_out(image, ()) is image


def test_a_zone_is_black_and_the_rest_and_the_original_stay() -> None:
    image = picture(100, 100)
    covered = black_out(image, [(0.1, 0.2, 0.3, 0.6)])
    assert not covered[20:60, 10:30].any()
    assert (image == 128).all()
    covered[20:60, 10:30] = 128
    assert (covered == 128).all()


def test_the_whole_picture_may_be_a_zone() -> None:
    assert not black_out(picture(), [(0, 0, 1, 1)]).any()


@given(x=st.tuples(unit, unit), y=st.tuples(unit, unit), sides=st.tuples(st.integers(1, 50), st.integers(1, 50)))
def test_no_pixel_that_a_zone_touches_is_seen(
    x: tuple[float, float], y: tuple[float, float], sides: tuple[int, int]
) -> None:
    (x1, x2), (y1, y2) = sorted(x), sorted(y)
    width, height = sides
    covered = black_out(picture(width, height), [(x1, y1, x2, y2)])
    for row, column in np.argwhere(covered.any(axis=2)):
        outside = column + 1 <= x1 * width or column >= x2 * width or row + 1 <= y1 * height or row >= y2 * height
        assert outside
