"""Scores against cases that were worked out by hand, and the bootstrap's arithmetic against pycocotools' own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.messages import CLASSES, Box, DetectedFace, Label, MarkedFace
from training.datasets.manifest import Entry
from training.errors import EvaluationError
from training.evaluation import bootstrap
from training.evaluation.scores import Matches, average_precision, judge, matches, precisions

LEFT: Box = (0.1, 0.1, 0.4, 0.5)
RIGHT: Box = (0.6, 0.1, 0.9, 0.5)


def entry(*faces: MarkedFace) -> Entry:
    return Entry("00", "a.jpg", "photographs", 100, 100, "00", "test", faces)


def masked(box: Box = LEFT, label: Label = "with_mask") -> MarkedFace:
    return MarkedFace(label, box)


def seen(box: Box = LEFT, label: Label = "with_mask", score: float = 0.9) -> DetectedFace:
    return DetectedFace(label, score, box)


def averages(entries: list[Entry], answers: list[list[DetectedFace]]) -> tuple[float, float]:
    found = bootstrap.resample(matches(judge(entries, answers)), np.ones((1, len(entries)), np.int64))
    return float(found.map50[0]), float(found.map50_95[0])


def test_perfect_answers_score_one_and_classes_that_are_not_there_are_left_out() -> None:
    assert averages([entry(masked())], [[seen()]]) == pytest.approx((1, 1))


def test_half_of_the_faces_found_scores_half() -> None:
    map50, _ = averages([entry(masked(LEFT), masked(RIGHT))], [[seen()]])
    assert map50 == pytest.approx(51 / 101)  # precision 1 at the recalls 0, 0.01 … 0.5


def test_a_false_face_that_is_surer_halves_precision() -> None:
    map50, _ = averages([entry(masked(LEFT))], [[seen(RIGHT, score=0.95), seen(LEFT, score=0.9)]])
    assert map50 == pytest.approx(0.5)


@pytest.mark.parametrize("answers", [[], [seen(label="without_mask")]], ids=["nothing", "the wrong class"])
def test_no_or_wrong_answers_score_nothing(answers: list[DetectedFace]) -> None:
    assert averages([entry(masked())], [answers]) == (0, 0)


def test_a_loose_box_counts_at_half_but_not_at_high_overlap() -> None:
    loose = (0.1, 0.1, 0.4, 0.41)  # overlap 0.775
    map50, map50_95 = averages([entry(masked())], [[seen(loose)]])
    assert map50 == pytest.approx(1)
    assert map50_95 == pytest.approx(0.6)  # right at 0.5, 0.55 … 0.75


def test_a_set_without_a_face_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no picture of the set shows a face"):
        judge([entry()], [[]])


def random_set(seed: int, pictures: int, *, ties: bool = True) -> tuple[list[Entry], list[list[DetectedFace]]]:
    """Make pictures with faces, and answers of which some are loose, doubled, confused or false."""
    random = np.random.default_rng(seed)

    def box() -> Box:
        x, y = random.uniform(0, 0.8, 2)
        width, height = random.uniform(0.05, 0.2, 2)
        return (float(x), float(y), float(x + width), float(y + height))

    entries, answers = [], []
    for _ in range(pictures):
        faces = [MarkedFace(CLASSES[random.integers(3)], box()) for _ in range(random.integers(0, 6))]
        found = [
            DetectedFace(
                face.label if random.random() < 0.8 else CLASSES[random.integers(3)],
                round(float(random.uniform(0.01, 1)), 1 if ties else 9),
                tuple(side + float(random.normal(0, 0.01)) for side in face.box),  # type: ignore[arg-type]
            )
            for face in faces
            for _ in range(random.integers(0, 3))
        ]
        found += [
            DetectedFace(CLASSES[random.integers(3)], 0.3 if ties else float(random.random()), box())
            for _ in range(random.integers(0, 3))
        ]
        entries.append(entry(*faces))
        answers.append(sorted(found, key=lambda face: -face.score))
    return [*entries, entry(masked())], [*answers, [seen()]]


def coco(entries: list[Entry], answers: list[list[DetectedFace]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    curves = precisions(judge(entries, answers))[..., 0]
    # One curve after the other, or numpy would add in another order.
    return np.array([[np.mean(curves[overlap, :, index].copy()) for overlap in range(10)] for index in range(3)])


def ours(of: Matches, weights: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.stack([average_precision(one, np.array([weights]))[0] for one in of])


@given(seed=st.integers(0, 10**6), pictures=st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_with_every_weight_one_it_is_pycocotools_figure_exactly(seed: int, pictures: int) -> None:
    entries, answers = random_set(seed, pictures)
    of = matches(judge(entries, answers))
    np.testing.assert_array_equal(ours(of, [1] * len(entries)), coco(entries, answers))


@given(seed=st.integers(0, 10**6), drawn=st.lists(st.integers(0, 3), min_size=6, max_size=6))
@settings(max_examples=25, deadline=None)
def test_a_weight_is_a_picture_that_is_there_so_often(seed: int, drawn: list[int]) -> None:
    # Among answers of the same score, those of a picture that is there twice would stand in another order.
    entries, answers = random_set(seed, 6, ties=False)
    weights = [*drawn, 1]
    again = [number for number, weight in enumerate(weights) for _ in range(weight)]
    of = matches(judge(entries, answers))
    np.testing.assert_allclose(
        ours(of, weights), coco([entries[n] for n in again], [answers[n] for n in again]), rtol=1e-12
    )


def test_an_interval_holds_the_figure_and_narrows_with_pictures() -> None:
    def width(pictures: int) -> float:
        of = matches(judge(*random_set(3, pictures)))
        found = bootstrap.interval(bootstrap.resample(of, bootstrap.weights(pictures + 1)).map50)
        assert found.low <= found.value <= found.high
        return found.high - found.low

    assert width(200) < width(12) / 2


def test_an_interval_is_said_with_three_digits() -> None:
    assert str(bootstrap.Interval(0.5, 0.25, 0.75)) == "0.500 (0.250 to 0.750)"
