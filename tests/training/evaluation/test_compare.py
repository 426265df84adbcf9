import pytest

from maskwatch.messages import Box, DetectedFace, MarkedFace
from training.datasets.manifest import Entry
from training.errors import EvaluationError
from training.evaluation.compare import compare
from training.evaluation.scores import Matches, judge, matches

BOX: Box = (0.1, 0.1, 0.4, 0.5)
LOOSE: Box = (0.1, 0.1, 0.4, 0.41)
PICTURES = [
    Entry(f"{number:02}", "a.jpg", "photographs", 100, 100, "00", "test", (MarkedFace("with_mask", BOX),))
    for number in range(40)
]


def answered(*boxes: Box) -> Matches:
    """Answer the first pictures with these boxes, and the others not at all."""
    faces = [[DetectedFace("with_mask", 0.9, box)] for box in boxes] + [[] for _ in PICTURES[len(boxes) :]]
    return matches(judge(PICTURES, faces))


def test_what_finds_more_is_better_for_sure() -> None:
    found = compare(answered(*[BOX] * 40), answered(*[BOX] * 20))
    assert set(found) == {"mAP50", "mAP50-95", "AP50 with_mask"}
    assert found["mAP50"].p_better == 1
    assert (found["mAP50"].first, found["mAP50"].second) == pytest.approx((1, 51 / 101))
    assert found["mAP50"].gain.low > 0


def test_looser_boxes_are_worse_at_high_overlap_only() -> None:
    found = compare(answered(*[LOOSE] * 40), answered(*[BOX] * 40))
    assert found["mAP50"].gain.value == 0
    assert found["mAP50-95"].gain.value == pytest.approx(-0.4)
    assert found["mAP50-95"].p_better == 0


def test_the_same_answers_are_a_tie() -> None:
    found = compare(answered(BOX, BOX), answered(BOX, BOX))["mAP50"]
    assert (found.gain.low, found.gain.high, found.p_better) == (0, 0, 0.5)


def test_the_same_seed_gives_the_same_comparison() -> None:
    one, other = answered(*[BOX] * 25), answered(*[BOX] * 20, *[LOOSE] * 10)
    assert compare(one, other, seed=5) == compare(one, other, seed=5)
    assert compare(one, other, seed=5)["mAP50-95"].gain != compare(one, other, seed=6)["mAP50-95"].gain


def test_other_pictures_are_refused() -> None:
    fewer = matches(judge(PICTURES[:3], [[]] * 3))
    with pytest.raises(EvaluationError, match="only on the same pictures"):
        compare(answered(BOX), fewer)
