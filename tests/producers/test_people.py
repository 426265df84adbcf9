from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from maskwatch.messages import CLASSES, Label
from producers.drawing.face import Head
from producers.drawing.look import Look, random_look
from producers.drawing.mask import MaskKind
from producers.people import Sprite, draw_person

FACE = 60.0


def person(seed: int, label: Label = "without_mask", masks: MaskKind = "mixed", *, face: float = FACE) -> Sprite:
    return draw_person(np.random.default_rng(seed), face, label, masks, reach=2.0)


def part(
    sprite: Sprite, rows: tuple[float, float], columns: tuple[float, float] = (0.3, 0.7), *, of: Sprite | None = None
) -> NDArray[np.float64]:
    """Cut a part out of the face; rows and columns in 0..1 of its box, or of another's."""
    x1, y1, x2, y2 = (of or sprite).face
    top, bottom = (round(y1 + share * (y2 - y1)) for share in rows)
    left, right = (round(x1 + share * (x2 - x1)) for share in columns)
    return sprite.image[top:bottom, left:right].astype(np.float64)


def change(bare: Sprite, masked: Sprite, rows: tuple[float, float]) -> float:
    """Return how much a part of the face changes with the mask, in grey levels."""
    return float(np.abs(part(bare, rows) - part(masked, rows, of=bare)).mean())


def upright_faces(count: int) -> list[int]:
    """Return seeds of people who look at us, so that places on the face are where one expects them."""
    looks = ((seed, random_look(np.random.default_rng(seed))) for seed in range(1000))
    plain = (seed for seed, look in looks if is_plain(look))
    return [next(plain) for _ in range(count)]


def is_plain(look: Look) -> bool:
    return abs(look.yaw) < 8 and abs(look.tilt) < 3 and look.beard == "none" and look.hat == "none"


def test_the_same_state_draws_the_same_person() -> None:
    assert np.array_equal(person(3, "with_mask").image, person(3, "with_mask").image)
    assert person(3).image.shape != person(4).image.shape or not np.array_equal(person(3).image, person(4).image)


@pytest.mark.parametrize("seed", upright_faces(4))
def test_a_mask_changes_nothing_about_the_person(seed: int) -> None:
    bare, masked = person(seed), person(seed, "with_mask")

    assert change(bare, masked, (0.0, 0.2)) < 2


@pytest.mark.parametrize("seed", upright_faces(4))
@pytest.mark.parametrize("kind", ["mixed", "surgical", "cloth", "patterned"])
def test_a_mask_worn_well_covers_nose_and_mouth(seed: int, kind: MaskKind) -> None:
    bare, masked = person(seed), person(seed, "with_mask", kind)

    for rows in ((0.45, 0.57), (0.65, 0.78)):
        assert change(bare, masked, rows) > 10


@pytest.mark.parametrize("seed", upright_faces(6))
def test_a_mask_worn_wrongly_leaves_the_nose_free(seed: int) -> None:
    bare, wrong, well = (person(seed, label) for label in ("without_mask", "mask_weared_incorrect", "with_mask"))

    nose, chin = (0.40, 0.53), (0.86, 0.97)
    assert change(bare, wrong, nose) < 3
    assert change(bare, well, nose) > 10
    assert change(bare, wrong, chin) > 10


def test_both_ways_to_wear_it_wrongly_occur() -> None:
    mouth = (0.66, 0.74)
    changes = [change(person(seed), person(seed, "mask_weared_incorrect"), mouth) for seed in upright_faces(10)]

    assert min(changes) < 3  # on the chin: the mouth is free
    assert max(changes) > 10  # under the nose


@pytest.mark.parametrize("face", [14.0, 60.0, 300.0])
def test_faces_come_out_as_high_as_asked_for(face: float) -> None:
    for seed in range(4):
        sprite = person(seed, face=face)
        x1, y1, x2, y2 = sprite.face

        assert y2 - y1 == pytest.approx(face, rel=0.12)
        assert 0.5 < (x2 - x1) / (y2 - y1) < 1.1
        assert 0 <= x1 < sprite.middle < x2 <= sprite.image.shape[1]
        assert 0 <= y1 < y2 <= sprite.image.shape[0]


def test_skin_lies_in_the_box_and_nothing_above_and_beside_the_person() -> None:
    for seed in range(8):
        sprite = person(seed)

        assert part(sprite, (0.1, 0.9), (0.15, 0.85))[..., 3].mean() > 250
        assert sprite.image[0, 0, 3] == 0
        assert sprite.image[..., :3][sprite.image[..., 3] == 0].max() <= 2  # premultiplied


def test_reach_says_how_far_down_a_person_is_drawn() -> None:
    shoulders, knees = (draw_person(np.random.default_rng(1), 40, "with_mask", reach=r) for r in (2.0, 10.0))

    assert knees.image.shape[0] > 2.5 * shoulders.image.shape[0]
    assert knees.image[-1, round(knees.middle - 12), 3] == 255


def test_people_differ() -> None:
    looks = [random_look(np.random.default_rng(seed)) for seed in range(300)]

    assert {look.age for look in looks} == {"child", "adult", "elder"}
    assert len({look.hair for look in looks}) == 13
    assert {look.hat for look in looks} == {"none", "cap", "beanie", "headscarf", "hood", "helmet", "band"}
    assert {look.glasses for look in looks} == {"none", "thin", "thick", "sun"}
    assert len({look.beard for look in looks}) == 5
    assert len({look.clothes for look in looks}) == 7
    brightness = [float(look.skin.mean()) for look in looks]
    assert min(brightness) < 60
    assert max(brightness) > 195
    assert max(look.yaw for look in looks) > 25
    assert min(look.yaw for look in looks) < -25


def test_whatever_people_look_like_they_can_be_drawn() -> None:
    for seed in range(60):
        sprite = draw_person(np.random.default_rng(5000 + seed), 20, CLASSES[seed % 3], reach=11)

        assert sprite.label == CLASSES[seed % 3]
        assert sprite.image[..., 3].max() == 255


def test_a_turned_head_shows_its_face_on_the_side_it_turns_to() -> None:
    look = random_look(np.random.default_rng(1))

    left, right = (Head(replace(look, yaw=yaw)).box() for yaw in (-30.0, 30.0))

    assert (left[0] + left[2]) / 2 < -0.05
    assert (right[0] + right[2]) / 2 > 0.05
