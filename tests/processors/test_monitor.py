"""One camera under watch: what is learned, noticed, kept and ignored."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import islice

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.drift_messages import SIGNALS, CameraWindow, Episode
from maskwatch.drift_settings import DriftSettings
from maskwatch.messages import Detection
from processors.hours import as_matrix, as_rows
from processors.monitor import Monitor
from processors.state import CameraState
from tests.support.seen import NOON, OTHER_MODEL, Seen, World

QUICK = DriftSettings(
    reference=60, least=10, most=40, every=5, persist=2, budget=1000, summary_s=20, cooldown_s=60, adopt_s=600
)
DARK = World(light=0.3)


def run(monitor: Monitor, detections: Iterable[Detection]) -> list[Episode]:
    return [record for one in detections for record in monitor.take(one).records if isinstance(record, Episode)]


def watching(seed: int = 1) -> tuple[Monitor, Seen]:
    monitor, door = Monitor("door", QUICK), Seen(seed=seed)
    assert run(monitor, door.many(100)) == []
    assert monitor.learned == 1
    return monitor, door


@pytest.mark.parametrize(
    ("world", "kind", "signal"),
    [
        (World(light=0.3), "input", "brightness"),
        (World(light=1.8), "input", "brightness"),
        (World(blur=0.5), "input", "sharpness"),
        (World(score=0.55), "output", "score"),
        (World(unmasked=0.9), "output", "without_mask"),
        (World(crowd=14), "output", "faces"),
    ],
)
def test_a_change_is_one_episode_that_names_its_signal_and_ends_when_it_is_over(
    world: World, kind: str, signal: str
) -> None:
    monitor, door = watching()
    changed = door.at
    told = run(monitor, door.many(60, world))
    assert told[0].phase == "start"
    assert told[0].kind == kind
    assert signal in {shift.signal for shift in told[-1].shifts}
    assert changed - timedelta(seconds=20) <= told[0].since <= told[0].started
    assert told[0].before is not None
    assert told[0].before.captured <= changed
    told += run(monitor, door.many(100))
    assert {episode.id for episode in told} == {told[0].id}
    assert [told[-1].phase, told[-1].reason, monitor.episode] == ["end", "recovered", None]
    assert told[-1].ended is not None


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_without_a_change_nothing_is_told_with_the_default_counts(seed: int) -> None:
    monitor = Monitor("door", DriftSettings())
    assert run(monitor, Seen(seed=seed).many(1500)) == []


def test_a_strong_change_is_noticed_within_a_hundred_samples_with_the_default_counts() -> None:
    monitor, door = Monitor("door", DriftSettings()), Seen()
    run(monitor, door.many(400))
    turned = door.sequence
    told = run(monitor, door.many(100, DARK))
    assert int(told[0].id.split(":")[2]) - turned <= 100


def test_a_change_too_small_for_anybody_to_care_is_none_however_sure_it_is() -> None:
    least = QUICK.least_change
    for light, floor, episodes in ((0.85, 0.05, 1), (0.85, 0.12, 0), (0.3, 0.12, 1)):
        plan = msgspec_replace(
            least_change=least.model_copy(update={"brightness": floor, "contrast": 0.2, "faces": 9.0})
        )
        monitor, door = Monitor("door", plan), Seen(seed=3)
        run(monitor, door.many(100))
        told = run(monitor, door.many(100, World(light=light)))
        assert len({episode.id for episode in told}) == episodes


def test_what_is_over_is_not_found_again_by_stretches_that_reach_back_into_it() -> None:
    for seed in range(20, 25):
        monitor, door = watching(seed)
        told = run(monitor, [*door.many(60, DARK), *door.many(80)])
        assert [episode.phase for episode in told if episode.phase != "update"] == ["start", "end"]
        # Nor by whoever goes on from there.
        other = Monitor("door", QUICK, monitor.state())
        assert run(other, door.many(40)) == []


def test_further_signals_join_the_open_episode() -> None:
    monitor, door = watching()
    told = run(monitor, door.many(60, DARK))
    told += run(monitor, door.many(60, World(light=0.3, unmasked=0.95)))
    assert {episode.id for episode in told} == {told[0].id}
    assert told[-1].phase == "update"
    assert "without_mask" in {shift.signal for shift in told[-1].shifts if shift.shifted}
    assert told[-1].kind == "input"


def test_an_episode_soon_after_the_last_says_that_nobody_need_be_told() -> None:
    monitor = Monitor("door", msgspec_replace(cooldown_s=100_000))
    door = Seen()
    run(monitor, door.many(100))
    told = run(monitor, door.many(60, DARK)) + run(monitor, door.many(80)) + run(monitor, door.many(60, DARK))
    starts = [episode for episode in told if episode.phase == "start"]
    assert [episode.alert for episode in starts] == [True, False]


def msgspec_replace(**values: object) -> DriftSettings:
    return DriftSettings(**{**QUICK.model_dump(), **values})


def test_what_lasts_long_enough_becomes_the_new_reference() -> None:
    monitor, door = watching()
    told = run(monitor, door.many(500, DARK))
    assert [told[0].phase, told[-1].phase, told[-1].reason] == ["start", "end", "adopted"]
    assert monitor.learned == 1
    assert run(monitor, door.many(100, DARK)) == []
    assert run(monitor, door.many(60))[0].phase == "start"


def test_another_model_is_learned_anew_once_it_is_the_only_one() -> None:
    monitor, door = watching()
    run(monitor, door.many(60, DARK))
    other = msgspec.structs.replace
    swapped = [other(one, model=OTHER_MODEL) for one in door.many(5, DARK)]
    assert run(monitor, swapped) == []
    run(monitor, door.many(1, DARK))
    told = run(monitor, [other(one, model=OTHER_MODEL) for one in door.many(20, DARK)])
    assert [told[-1].phase, told[-1].reason] == ["end", "new-model"]
    assert monitor.learned < 1


def test_what_was_seen_is_ignored_whatever_its_order() -> None:
    monitor, door = watching()
    sent = list(door.many(30))
    run(monitor, sent)
    assert {monitor.take(one).outcome for one in reversed(sent)} == {"seen"}
    later = Seen(session="s2", start=door.at)
    assert monitor.take(later.one()).outcome == "sampled"
    # The session before is remembered too.
    assert monitor.take(sent[-1]).outcome == "seen"


def test_frames_between_two_samples_are_counted_alone() -> None:
    monitor = Monitor("door", QUICK)
    outcomes = [monitor.take(one).outcome for one in Seen(step_s=0.2).many(100)]
    assert outcomes.count("sampled") == 10


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=-1), timedelta(hours=-3)])
def test_a_clock_that_jumps_raises_nothing_and_stops_nothing(jump: timedelta) -> None:
    monitor, door = watching()
    door.at += jump
    assert run(monitor, door.many(200)) == []
    assert run(monitor, door.many(60, DARK))[0].phase == "start"


def test_a_camera_that_was_away_is_watched_on() -> None:
    monitor, door = watching()
    door.at += timedelta(hours=5)
    later = Seen(seed=7, session="s2", start=door.at)
    assert run(monitor, later.many(60)) == []
    assert run(monitor, later.many(60, DARK))[0].phase == "start"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 220), st.integers(0, 10**6))
def test_a_restart_in_between_changes_neither_what_is_told_nor_its_id(stop: int, seed: int) -> None:
    door = Seen(seed=seed)
    sent = [*door.many(100), *door.many(60, DARK), *door.many(80)]
    whole = run(Monitor("door", QUICK), sent)
    first = Monitor("door", QUICK)
    told = run(first, sent[:stop])
    state = msgspec.json.decode(msgspec.json.encode(first.state()), type=CameraState)
    # What was delivered is delivered again.
    told += run(Monitor("door", QUICK, state), sent[max(0, stop - 30) :])
    starts = [[e for e in several if e.phase == "start"] for several in (whole, told)]
    assert len(starts[0]) == len(starts[1]) == 1
    # ADWIN begins anew, so the moment may differ by a comparison or two.
    assert abs(starts[0][0].started - starts[1][0].started) <= timedelta(seconds=20)
    assert told[-1].reason == "recovered"


def test_windows_tell_what_charts_need() -> None:
    monitor, door = Monitor("door", QUICK), Seen()
    windows = [
        record
        for one in [*door.many(100), *door.many(60, DARK)]
        for record in monitor.take(one).records
        if isinstance(record, CameraWindow)
    ]
    assert [window.state for window in windows][:1] == ["learning"]
    assert windows[-1].state == "drifting"
    assert windows[-1].episode == monitor.episode.id if monitor.episode else False
    assert windows[0].frames == windows[0].samples == 10
    assert all(later.start == earlier.end for earlier, later in zip(windows, islice(windows, 1, None), strict=False))
    brightness = windows[-1].signals["brightness"]
    assert brightness.shifted
    assert brightness.effect >= brightness.threshold
    assert brightness.reference is not None
    assert brightness.now.high < brightness.reference.low
    assert "agreement" not in windows[-1].signals


def test_without_faces_what_was_shifted_stays_so() -> None:
    monitor, door = watching()
    run(monitor, door.many(60, World(score=0.5)))
    assert monitor.episode is not None
    run(monitor, door.many(45, World(score=0.5, crowd=0)))
    assert monitor.episode is not None
    assert "score" in {shift.signal for shift in monitor.episode.shifts if shift.shifted}


def test_detections_without_signals_are_watched_by_what_was_seen() -> None:
    monitor, door = Monitor("door", QUICK), Seen()
    blind = [msgspec.structs.replace(one, signals=None) for one in [*door.many(100), *door.many(60, World(score=0.5))]]
    told = run(monitor, blind)
    assert told[0].kind == "output"


def test_samples_survive_json() -> None:
    rows = np.array([[0.123456789, np.nan, *[1.0] * (len(SIGNALS) - 2)]], np.float32)
    back = as_matrix(as_rows(rows))
    assert np.isnan(back[0, 1])
    assert back[0, 0] == pytest.approx(0.12346)
    assert NOON.tzinfo is not None
