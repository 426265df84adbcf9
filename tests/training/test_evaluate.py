"""Scores against cases that were worked out by hand."""

import math
from pathlib import Path
from typing import Any

import pytest

from maskwatch.messages import CLASSES, MarkedFace
from training.errors import TrainingError
from training.evaluate import evaluate, score, table
from training.manifest import Entry


def entry(*faces: MarkedFace) -> Entry:
    return Entry("00", "a.jpg", "test", 100, 100, "00", "test", faces)


def answer(image: int, label: str, box: tuple[float, float, float, float], confidence: float) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {
        "image_id": image,
        "category_id": CLASSES.index(label),
        "bbox": [x1 * 100, y1 * 100, (x2 - x1) * 100, (y2 - y1) * 100],
        "score": confidence,
    }


LEFT, RIGHT = (0.1, 0.1, 0.4, 0.5), (0.6, 0.1, 0.9, 0.5)


def test_perfect_answers_score_one_and_absent_classes_are_nan() -> None:
    figures = score([entry(MarkedFace("with_mask", LEFT))], [answer(0, "with_mask", LEFT, 0.9)])
    assert (figures.map50, figures.map50_95) == pytest.approx((1, 1))
    assert figures.classes["with_mask"].boxes == 1
    assert math.isnan(figures.classes["without_mask"].map50)


def test_half_of_the_faces_found_scores_half() -> None:
    entries = [entry(MarkedFace("with_mask", LEFT), MarkedFace("with_mask", RIGHT))]
    figures = score(entries, [answer(0, "with_mask", LEFT, 0.9)])
    assert figures.map50 == pytest.approx(51 / 101)  # precision 1 at the recalls 0, 0.01 … 0.5


def test_the_wrong_class_scores_nothing() -> None:
    figures = score([entry(MarkedFace("with_mask", LEFT))], [answer(0, "without_mask", LEFT, 0.9)])
    assert figures.map50 == 0


def test_no_answers_score_nothing() -> None:
    assert score([entry(MarkedFace("with_mask", LEFT))], []).map50 == 0


def test_a_loose_box_counts_at_half_but_not_at_high_overlap() -> None:
    loose = (0.1, 0.1, 0.4, 0.41)  # overlap 0.775
    figures = score([entry(MarkedFace("with_mask", LEFT))], [answer(0, "with_mask", loose, 0.9)])
    assert figures.map50 == pytest.approx(1)
    assert figures.map50_95 == pytest.approx(0.6)  # right at 0.5, 0.55 … 0.75


def test_a_table_has_a_row_a_set() -> None:
    figures = score([entry(MarkedFace("with_mask", LEFT))], [answer(0, "with_mask", LEFT, 0.9)])
    assert "| wide, int8 | 1 | 1.000 | 1.000 | 1.000 (1) | nan (0) | nan (0) |" in table({"wide, int8": figures})


def test_an_empty_part_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the part is empty"):
        evaluate(tmp_path, [], "wide", "fp32")
