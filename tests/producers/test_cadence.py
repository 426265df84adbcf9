from hypothesis import given
from hypothesis import strategies as st

from producers.cadence import Cadence, Paced, retry_delay
from tests.support.sources import FakeTime, ListSource, picture


def test_a_source_at_the_cap_loses_nothing_to_jitter() -> None:
    cadence = Cadence(10)
    moments = [number / 10 + (0.004 if number % 2 else -0.004) for number in range(1, 101)]
    assert sum(cadence.due(moment) for moment in moments) == 100


def test_thirty_a_second_are_thinned_to_ten() -> None:
    cadence = Cadence(10)
    assert sum(cadence.due(number / 30) for number in range(300)) == 100


def test_nothing_is_made_up_for_after_a_gap() -> None:
    cadence = Cadence(10)
    assert cadence.due(0)
    assert cadence.due(5.0)
    assert [moment for moment in (5.02, 5.04, 5.06, 5.08, 5.1) if cadence.due(moment)] == [5.1]


def test_a_rate_of_zero_chooses_nothing() -> None:
    assert not any(Cadence(0).due(moment) for moment in (0.0, 1.0, 1e9))


@given(
    rate=st.floats(0.1, 60),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_never_more_than_the_rate_on_average(rate: float, gaps: list[float]) -> None:
    cadence, moment, chosen = Cadence(rate), 0.0, 0
    for gap in gaps:
        moment += gap
        chosen += cadence.due(moment)
    assert chosen <= sum(gaps) * rate + 1.2


def test_a_paced_source_is_asked_only_when_a_picture_is_due() -> None:
    time = FakeTime()
    inner = ListSource([picture()] * 4)
    source = Paced(inner, 4, clock=time.clock, wait=time.wait)
    moments = []
    while source.read() is not None:
        moments.append(time.now)
    assert moments == [100.0, 100.25, 100.5, 100.75]
    source.close()
    assert inner.closed == 1


def test_a_paced_source_ends_when_told_to_stop() -> None:
    time = FakeTime()
    time.stopped = True
    assert Paced(ListSource([picture()]), 1, clock=time.clock, wait=time.wait).read() is None


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_a_retry_waits_between_one_second_and_sixty(failures: int, chance: float) -> None:
    assert 1 <= retry_delay(failures, chance) <= 60


def test_a_retry_is_spread_by_chance() -> None:
    assert len({retry_delay(7) for _ in range(20)}) > 1
