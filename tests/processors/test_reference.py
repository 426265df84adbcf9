import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ks_2samp, wasserstein_distance  # type: ignore[import-untyped]  # it ships no types

from processors.reference import Reference, dependence, distances, probability, reference

TIED = st.integers(0, 8).map(float)
"""Few different values, so that many are equal."""


@settings(deadline=None)
@given(arrays(np.float32, st.integers(8, 60), elements=TIED), arrays(np.float32, st.integers(1, 60), elements=TIED))
def test_the_distance_is_scipys(before: np.ndarray, after: np.ndarray) -> None:
    lengths = (len(after), max(1, len(after) // 2), 1)
    for length, ours in zip(lengths, distances(Reference(before).ranks(after), lengths), strict=True):
        theirs = ks_2samp(before, after[-length:], method="asymp").statistic
        assert ours == pytest.approx(theirs, abs=1e-9)


@settings(deadline=None)
@given(st.floats(0.05, 1), st.floats(1, 200), st.floats(0.001, 0.1))
def test_a_larger_effect_and_more_samples_are_less_likely(effect: float, worth: float, more: float) -> None:
    assert 0 <= probability(effect, worth * (1 + more)) <= probability(effect, worth) <= 1
    assert probability(effect + more, worth) <= probability(effect, worth)


def test_a_threshold_is_as_unlikely_as_was_asked_for() -> None:
    known = Reference(np.random.default_rng(1).random(300, np.float32))
    for samples in (20, 80, 240):
        assert probability(known.threshold(samples, 1e-7), known.independent(samples)) == pytest.approx(1e-7, rel=0.01)


@pytest.mark.parametrize("repeated", [1, 5, 20])
def test_what_stays_for_a_while_is_worth_less(repeated: int) -> None:
    worth = [
        dependence(np.repeat(np.random.default_rng(seed).random(600 // repeated), repeated), seed) for seed in range(5)
    ]
    # Known roughly, as from so short a time it must be.
    assert 0.7 * repeated <= np.median(worth) <= 2.2 * repeated


def test_chance_is_found_as_often_as_it_should_be() -> None:
    """With a memory of ten samples, a D that p calls likelier than 1 % is as frequent as that, or less."""
    found = []
    for seed in range(300):
        world = np.repeat(np.random.default_rng(seed).random(60), 10)
        known = Reference(world[:480], 1)
        found.append(known.compare(known.ranks(world[480:]), (120,)).p)
    assert np.mean(np.array(found) < 0.01) <= 0.02
    assert np.mean(np.array(found) < 0.2) <= 0.2


def test_a_reference_of_a_few_defined_samples_is_none() -> None:
    values = np.full(300, np.nan, np.float32)
    values[:7] = 0.5
    assert reference(values) is None
    values[7] = 0.5
    known = reference(values)
    assert known is not None
    assert len(known) == 8
    # All the same: nothing is known of how it varies, and another value is as far away as can be.
    assert distances(known.ranks(np.array([0.6])), (1,)) == [1.0]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.integers(20, 200), st.floats(-2, 2))
def test_how_far_samples_moved_is_scipys(seed: int, number: int, by: float) -> None:
    random = np.random.default_rng(seed)
    before, after = random.random(300), random.random(number) * 0.5 + by
    assert Reference(before).moved(after) == pytest.approx(wasserstein_distance(before, after), abs=0.02)


def test_a_stride_makes_samples_between_worth_nothing() -> None:
    values = np.random.default_rng(1).random(300, np.float32)
    assert Reference(values, 5).worth == pytest.approx(5 * Reference(values).worth)
    assert Reference(values, 5).independent(20) < Reference(values).independent(20)
