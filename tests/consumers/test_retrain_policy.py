"""When a round of training starts by itself, and when because somebody asks."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from consumers.retrain_policy import Known, due, newest
from maskwatch.drift_messages import Confirmation, Episode
from maskwatch.learning_settings import RetrainSettings
from maskwatch.model_messages import Run
from tests.support.seen import MODEL, NOON

SETTINGS = RetrainSettings()
MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)


def run(state: str = "finished", *, started: datetime = MONDAY) -> Run:
    return Run(id="r1", state=state, started=started, updated=started, why="", labels=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "after", "why"),
    [
        (Known(99, MONDAY, None, None), timedelta(), ""),
        (Known(100, MONDAY, None, None), timedelta(), "100 new labels, and a drift"),
        (Known(100, None, None, None), timedelta(), ""),
        (Known(500, None, None, None), timedelta(), "500 new labels"),
        # Since the last round: labels, and an episode that began after it.
        (Known(90, MONDAY + timedelta(hours=2), None, run()), timedelta(hours=3), ""),
        (Known(100, MONDAY - timedelta(hours=2), None, run()), timedelta(hours=3), ""),
        (Known(100, MONDAY + timedelta(hours=2), None, run()), timedelta(hours=3), "100 new labels, and a drift"),
        # It rests, and one that runs is not joined by another.
        (Known(900, MONDAY, None, run()), timedelta(minutes=59), ""),
        (Known(900, MONDAY, "", run("running")), timedelta(hours=3), ""),
        # Sunday night, or as soon as it wakes after it.
        (Known(100, None, None, run()), timedelta(days=5, hours=13), ""),
        (Known(100, None, None, run()), timedelta(days=5, hours=14), "100 new labels, and the weekly round"),
        (Known(100, None, None, run()), timedelta(days=9), "100 new labels, and the weekly round"),
        # Whoever asks gets one, labels or not, and only once.
        (Known(0, None, "new lamp", None), timedelta(), "new lamp"),
        (Known(0, None, "", run()), timedelta(hours=3), "asked for"),
    ],
)
def test_a_round_starts_when_it_is_time(known: Known, after: timedelta, why: str) -> None:
    assert due(known, SETTINGS, MONDAY + after) == why


def test_an_episode_that_must_be_confirmed_counts_once_it_is() -> None:
    settings = RetrainSettings(require_confirmation=True)
    episode = Episode("e1", "door", "input", "start", NOON, NOON, NOON, MODEL, (), "darker")
    doubted = msgspec.structs.replace(episode, confirmation=Confirmation(34, confirmed=False, text="not"))
    sure = msgspec.structs.replace(episode, confirmation=Confirmation(34, confirmed=True, text="confirmed"))
    later = msgspec.structs.replace(episode, id="e2", started=NOON + timedelta(hours=1))
    assert newest([episode, doubted, later], settings) is None
    assert newest([sure, later], settings) == NOON
    assert newest([sure, later], SETTINGS) == later.started
    assert newest([], SETTINGS) is None
    assert due(Known(100, NOON, None, None), settings, MONDAY) == "100 new labels, and a confirmed drift"


def test_without_automatic_only_who_asks_gets_one() -> None:
    settings = RetrainSettings(automatic=False)
    assert due(Known(900, MONDAY, None, None), settings, MONDAY) == ""
    assert due(Known(900, MONDAY, "", None), settings, MONDAY) == "asked for"
