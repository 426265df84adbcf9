"""Rates and spreads from two looks at figures."""

import pytest

from api.figures import Change, Look, full_in
from maskwatch.metrics import Figure

DETECTED, SKIPPED, AGE = (
    "maskwatch_frames_detected_total",
    "maskwatch_frames_skipped_total",
    "maskwatch_frame_age_seconds",
)


def figure(name: str, /, **labels: str) -> Figure:
    return Figure(name, tuple(sorted(labels.items())))


def detector(frames: float, late: float = 0, fast: float = 0, slow: float = 0) -> dict[Figure, float]:
    return {
        figure(DETECTED, lane="live"): frames,
        figure(SKIPPED, reason="late"): late,
        figure(f"{AGE}_bucket", le="0.1"): fast,
        figure(f"{AGE}_bucket", le="0.2"): fast + slow,
        figure(f"{AGE}_bucket", le="+Inf"): fast + slow,
        figure("maskwatch_batch_frames_sum"): frames,
        figure("maskwatch_batch_frames_count"): frames / 2,
        figure("maskwatch_memory_bytes", stage="detector"): 2e8,
        figure("maskwatch_model_loaded", name="yolo", version="3"): 1,
    }


def test_what_happened_is_the_difference_of_two_looks() -> None:
    change = Change(Look(100, {7: detector(1000)}), Look(150, {7: detector(2000, late=25, fast=90, slow=10)}))
    assert change.rate(DETECTED) == 20
    assert change.by(SKIPPED, "reason") == {"late": 25}
    assert change.quantile(AGE, 0.5) == pytest.approx(0.1 * 50 / 90)
    assert change.quantile(AGE, 0.95) == pytest.approx(0.15)
    (process,) = change.processes()
    assert (process.stage, process.pid, process.memory, process.model) == ("detector", 7, 200_000_000, "yolo 3")
    assert (process.rate, process.batch) == (20, 2)


def test_a_process_that_was_started_in_between_counts_from_its_start() -> None:
    change = Change(Look(0, {7: detector(5000)}), Look(10, {7: detector(5000), 8: detector(100)}))
    assert change.rate(DETECTED) == 10
    assert [process.rate for process in change.processes()] == [0, 10]


def test_after_one_look_nothing_is_known_yet() -> None:
    look = Look(0, {7: detector(1000)})
    change = Change(look, look)
    assert change.rate(DETECTED) is None
    assert change.quantile(AGE, 0.5) is None
    assert change.mean("maskwatch_batch_frames") is None
    assert change.by(SKIPPED, "reason") == {}
    assert Change(Look(0, {}), Look(9, {})).quantile(AGE, 0.5) is None


def test_what_took_longer_than_the_last_bucket_is_told_as_that_bucket() -> None:
    slow = {figure(f"{AGE}_bucket", le="10.0"): 1.0, figure(f"{AGE}_bucket", le="+Inf"): 9.0}
    assert Change(Look(0, {}), Look(9, {1: slow})).quantile(AGE, 0.95) == 10


def test_a_disk_is_full_in_as_long_as_its_pace_says_and_nobody_guesses() -> None:
    assert full_in([], 60) is None
    assert full_in([(0, 100), (59, 90)], 60) is None
    assert full_in([(0, 100), (60, 110)], 60) is None
    assert full_in([(0, 100), (30, 300), (100, 50)], 60) == 100
