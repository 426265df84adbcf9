from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.annotations import MarkedObject
from training.datasets.classes import table
from training.datasets.contents import PIXELS_OF_THE_PICTURE, SHARES, Told
from training.datasets.judging import SMALLEST_SIDE, Judged, Shown, judge

SIZE = (100.0, 50.0)
SHOWN = Shown(100, 50)
CLASSES = table(["hat=-"])


def judged(
    *objects: tuple[str, tuple[float, float, float, float]], size: tuple[float, float] = SIZE, shown: Shown = SHOWN
) -> Judged:
    told = Told(Path("a.jpg"), Path("a.xml"), size, tuple(MarkedObject(*what) for what in objects))
    return judge(told, shown, CLASSES)


def boxes(result: Judged) -> list[tuple[float, ...]]:
    return [face.box for face in result.faces or ()]


@pytest.mark.parametrize(
    ("size", "box"),
    [
        (SIZE, (20, 10, 40, 30)),
        ((200.0, 100.0), (40, 20, 80, 60)),  # annotated before it was scaled
        (PIXELS_OF_THE_PICTURE, (20, 10, 40, 30)),
        (SHARES, (0.2, 0.2, 0.4, 0.6)),
    ],
)
def test_boxes_become_shares_of_the_picture(size: tuple[float, float], box: tuple[float, float, float, float]) -> None:
    result = judged(("Mask", box), size=size)
    assert result.faces is not None
    assert [(face.label, face.box) for face in result.faces] == [("with_mask", (0.2, 0.2, 0.4, 0.6))]
    assert (result.refused, result.repaired) == ([], [])


def test_a_picture_without_a_face_is_one() -> None:
    assert judged() == Judged((), [], [])


def test_what_can_be_put_right_is() -> None:
    result = judged(
        ("with_mask", (90, 40, 101, 51)),
        ("without_mask", (40, 30, 20, 10)),
        ("with_mask", (50, 10, 60, 20)),
        ("with_mask", (50, 10, 60, 20)),
    )
    assert boxes(result) == [(0.9, 0.8, 1.0, 1.0), (0.2, 0.2, 0.4, 0.6), (0.5, 0.2, 0.6, 0.4)]
    assert [repair.cause for repair in result.repaired] == [
        "a box was clipped to the picture",
        "a box had its corners swapped",
        "a face was marked twice",
    ]
    assert result.repaired[0].reason == "90, 40, 101, 51"
    assert result.refused == []


@pytest.mark.parametrize(
    "box", [(120, 0, 140, 10), (-30, -30, -10, -10), (10, 10, 11, 40), (10, 10, 10, 10), (99, 1, 130, 40)]
)
def test_boxes_that_show_nothing_are_left_out_by_themselves(box: tuple[float, float, float, float]) -> None:
    result = judged(("with_mask", box), ("with_mask", (20, 10, 40, 30)))
    assert boxes(result) == [(0.2, 0.2, 0.4, 0.6)]
    assert [refusal.cause for refusal in result.refused] == ["the box is outside or too small"]
    assert result.repaired == []


def test_a_class_that_was_told_to_be_left_out_costs_its_boxes_alone() -> None:
    result = judged(("Hat", (nan, 0, 1, 1)), ("with_mask", (20, 10, 40, 30)))
    assert len(boxes(result)) == 1
    assert [(refusal.cause, refusal.reason) for refusal in result.refused] == [
        ("the class is left out, as told", "a box of class 'Hat'")
    ]


@pytest.mark.parametrize(
    ("objects", "size", "cause", "says"),
    [
        ([("helmet", (1, 1, 9, 9))], SIZE, "a class is not known", "--classes «helmet=with_mask», or «helmet=-»"),
        ([("", (1, 1, 9, 9))], SIZE, "a class is not known", "class ''"),
        ([("mask", (1, nan, 9, 9))], SIZE, "a box cannot be read", "no number: 1, nan, 9, 9"),
        ([("mask", (1, 1, inf, 9))], SIZE, "a box cannot be read", "no number"),
        ([("mask", (1, 1, 9, 9)), ("no_mask", (1, 1, 9, 9))], SIZE, "a face has two classes", "keep the right one"),
        ([], (50.0, 100.0), "the annotation is of another picture", "one of 50x100; this one is 100x50"),
        ([], (0.0, 100.0), "the annotation cannot be read", "size is 0x100"),
        ([], (nan, 100.0), "the annotation cannot be read", "size is nanx100"),
        ([], (-100.0, -50.0), "the annotation cannot be read", "size is -100x-50"),
    ],
)
def test_a_picture_comes_with_all_its_faces_or_not_at_all(
    objects: list[tuple[str, tuple[float, float, float, float]]], size: tuple[float, float], cause: str, says: str
) -> None:
    good = ("with_mask", (90.0, 40.0, 101.0, 51.0))
    result = judged(good, *objects, size=size)
    assert result.faces is None
    assert result.repaired == []  # of what is not used
    (refusal,) = result.refused
    assert refusal.cause == cause
    assert says in refusal.reason
    assert refusal.reason.startswith("a.jpg: ")


# What lies at the left top of a picture that is stored 100 wide and 50 high, and where it is shown.
@pytest.mark.parametrize(
    ("orientation", "shown_at"),
    [
        (5, (0.0, 0.0, 0.2, 0.1)),  # mirrored along the diagonal
        (6, (0.8, 0.0, 1.0, 0.1)),  # a quarter to the right
        (7, (0.8, 0.9, 1.0, 1.0)),
        (8, (0.0, 0.9, 0.2, 1.0)),  # a quarter to the left
    ],
)
def test_boxes_made_on_the_picture_as_it_is_stored_turn_with_it(
    orientation: int, shown_at: tuple[float, float, float, float]
) -> None:
    shown = Shown(50, 100, orientation)
    result = judged(("with_mask", (0, 0, 10, 10)), size=(100.0, 50.0), shown=shown)
    assert boxes(result) == [pytest.approx(shown_at)]
    assert [repair.cause for repair in result.repaired] == ["boxes were turned with the picture"]
    # Made on the picture as it is shown, they stay.
    assert boxes(judged(("with_mask", (0, 0, 10, 10)), size=(50.0, 100.0), shown=shown)) == [(0.0, 0.0, 0.2, 0.1)]


@pytest.mark.parametrize(
    ("shown", "size", "turned"),
    [
        (Shown(396, 400, 6), (400.0, 396.0), True),
        (Shown(396, 400, 6), (396.0, 400.0), False),
        (Shown(396, 400, 6), (200.0, 198.0), False),  # scaled: taken to be as it is shown
        (Shown(396, 400), (400.0, 396.0), False),
        (Shown(400, 400, 6), (400.0, 400.0), False),
    ],
)
def test_of_an_almost_square_picture_the_exact_size_tells(
    shown: Shown, size: tuple[float, float], *, turned: bool
) -> None:
    result = judged(("with_mask", (0, 0, 100, 100)), size=size, shown=shown)
    assert [repair.cause for repair in result.repaired] == ["boxes were turned with the picture"] * turned


_SIDE = st.floats(-300, 300) | st.sampled_from([nan, inf, -inf])


@given(
    st.lists(
        st.tuples(st.sampled_from(["mask", "no_mask", "hat", "what"]), st.tuples(_SIDE, _SIDE, _SIDE, _SIDE)),
        max_size=4,
    )
)
def test_whatever_is_told_each_face_is_a_face_and_nothing_is_lost(
    objects: list[tuple[str, tuple[float, float, float, float]]],
) -> None:
    faces, refused, repaired = judged(*objects)
    if faces is None:
        assert len(refused) == 1
        return
    twice = sum(repair.cause == "a face was marked twice" for repair in repaired)
    assert len(faces) + len(refused) + twice == len(objects)
    for face in faces:
        x1, y1, x2, y2 = face.box
        assert 0 <= x1 < x2 <= 1
        assert 0 <= y1 < y2 <= 1
        assert min((x2 - x1) * 100, (y2 - y1) * 50) > SMALLEST_SIDE - 0.2
