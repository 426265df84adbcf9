import numpy as np
import pytest

from training.evaluation.points import Point, best_score, calibration, points
from training.evaluation.scores import ClassMatches, Matches


def one_class(boxes: int, *answers: tuple[float, bool]) -> ClassMatches:
    scores = np.array([score for score, _ in answers], np.float64)
    right = np.array([[right for _, right in answers]] * 10, np.bool_).reshape(10, len(answers))
    return ClassMatches(np.array([boxes]), np.zeros(len(answers), np.int64), scores, right)


OF: Matches = (
    one_class(4, (0.95, True), (0.85, True), (0.55, False), (0.45, True), (0.15, False)),
    one_class(2, (0.75, True), (0.35, False)),
    one_class(0),
)


def test_precision_and_recall_are_counted_from_a_score() -> None:
    at = points(OF, 0.5)
    assert at.everything == Point(3 / 4, 3 / 6)
    assert at.classes == {
        "with_mask": Point(2 / 3, 2 / 4),
        "without_mask": Point(1, 1 / 2),
        "mask_weared_incorrect": Point(None, None),
    }


def test_the_best_score_is_that_of_the_last_answer_that_helps() -> None:
    assert best_score(OF) == 0.45  # 4 right of 5, of 6: F1 0.73
    assert best_score((one_class(1, (0.9, False)),)) == 1.0
    tied = (one_class(2, (0.9, True), (0.5, True), (0.5, False), (0.5, False)),)
    assert best_score(tied) == 0.9  # with 0.5 come all three


def test_calibration_holds_scores_against_the_share_that_is_right() -> None:
    found = calibration(OF)
    assert found.bins[9].answers == 1
    assert (found.bins[9].mean_score, found.bins[9].right) == (0.95, 1)
    assert found.bins[2].right is None
    gaps = [0.05, 0.15, 0.25, 0.55, 0.35, 0.55, 0.15]
    assert found.error == pytest.approx(sum(gaps) / 7)


def test_answers_that_are_little_thought_of_do_not_count_for_calibration() -> None:
    assert calibration((one_class(1, (0.05, False)),)).error is None
