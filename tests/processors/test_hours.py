from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from maskwatch.drift_messages import SIGNALS
from maskwatch.drift_settings import DriftSettings
from processors.hours import Hours, HourState
from processors.signals import Samples

MINUTE = DriftSettings(sample_s=60)
NOON = 12 * 3600.0


def row(value: float) -> Samples:
    return np.full(len(SIGNALS), value, np.float32)


def hour(  # noqa: PLR0913  # what hours differ in
    hours: Hours, day: int, number: int, value: float, *, minutes: int = 60, drifting: bool = False
) -> None:
    for minute in range(minutes):
        hours.add(row(value), (day * 24 + number) * 3600 + minute * 60.0, drifting=drifting)


@pytest.fixture
def hours() -> Hours:
    return Hours(MINUTE, {}, HourState())


def middle(hours: Hours, number: int) -> float:
    return float(np.median(hours.samples(number)))


def test_an_hour_is_the_reference_of_the_same_hour_on_the_next_day(hours: Hours) -> None:
    for number in (11, 12, 13):
        hour(hours, 0, number, number)
    assert hours.reference(NOON) is not None
    hour(hours, 0, 14, 14)
    found = hours.reference(86_400 + NOON)
    assert found is not None
    # With its neighbours, because what is compared may have begun before the hour did.
    assert sorted(set(found[0][:, 0].tolist())) == [11, 12, 13]
    assert found[1] == 1
    assert hours.reference(20 * 3600.0) is None
    assert hours.changed == {11, 12, 13}


def test_an_hour_of_which_less_than_half_was_seen_is_not_learned(hours: Hours) -> None:
    hour(hours, 0, 12, 1, minutes=29)
    hour(hours, 0, 13, 1)
    hour(hours, 0, 14, 1, minutes=1)
    assert not hours.knows(12)
    assert hours.knows(13)


def test_an_hour_is_kept_until_two_days_in_a_row_contradict_it(hours: Hours) -> None:
    def days() -> Iterator[int]:
        for day, drifting in enumerate((False, True, False, True, True)):
            hour(hours, day, 12, day, drifting=drifting)
            hour(hours, day, 13, 0, minutes=1)
            yield int(middle(hours, 12))

    assert list(days()) == [0, 0, 0, 0, 4]


def test_what_is_forgotten_is_told(hours: Hours) -> None:
    hour(hours, 0, 12, 1)
    hour(hours, 0, 13, 1, minutes=1)
    hours.changed.clear()
    hours.forget()
    assert hours.changed == {12}
    assert hours.reference(NOON) is None


def test_a_restart_in_mid_hour_goes_on_with_it(hours: Hours) -> None:
    hour(hours, 0, 12, 1, minutes=29, drifting=True)
    state = msgspec.json.decode(msgspec.json.encode(hours.state()), type=HourState)
    later = Hours(MINUTE, {}, state)
    for minute in range(29, 61):
        later.add(row(1), NOON + minute * 60.0, drifting=False)
    assert len(later.samples(12)) == 60
