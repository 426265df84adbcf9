import numpy as np
import pytest

from producers.backdrop import COVER_BOTTOM, COVER_TOP, KINDS, fade, paint_backdrop

SIZE = (320, 180)


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_a_place_fills_the_frame_and_covers_legs(kind: int) -> None:
    place = paint_backdrop(np.random.default_rng(1), SIZE, kind)

    assert place.image.shape == (180, 320, 3)
    assert place.image.std() > 10
    assert place.cover.height == round(COVER_BOTTOM * 180) - round(COVER_TOP * 180)
    assert place.cover.width == 320
    hidden = 255 - place.cover.beneath[..., 0].astype(int)
    assert hidden[0].mean() < 128  # its top has a shape
    assert hidden[place.cover.height // 2 : -2].min() > 250  # below, nothing shows through


def test_no_two_places_are_alike() -> None:
    kinds = [paint_backdrop(np.random.default_rng(1), SIZE, kind).image for kind in range(len(KINDS))]
    again = paint_backdrop(np.random.default_rng(2), SIZE, 0).image

    for other in [*kinds[1:], again]:
        assert np.abs(kinds[0].astype(int) - other).mean() > 10
    assert np.array_equal(kinds[0], paint_backdrop(np.random.default_rng(1), SIZE, 0).image)


def test_the_cover_is_cut_from_the_picture() -> None:
    place = paint_backdrop(np.random.default_rng(3), SIZE, 1)
    row = place.cover.height // 2

    drawn, cut = place.image[round(COVER_TOP * 180) + row].astype(int), place.cover.image[row].astype(int)

    assert np.abs(drawn - cut).max() <= 2


def test_one_place_fades_into_the_next() -> None:
    one, other = (paint_backdrop(np.random.default_rng(1), SIZE, kind) for kind in (0, 3))

    half = fade(one, other, 0.5)

    assert np.abs(half.image.astype(int) - (one.image.astype(int) + other.image) / 2).max() <= 1
    beneath = (one.cover.beneath.astype(int) + other.cover.beneath) / 2
    assert np.abs(half.cover.beneath.astype(int) - beneath).max() <= 1
