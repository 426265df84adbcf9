"""What is known of drift: the pure table, and windows laid side by side."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from api import drift_table as module
from api.drift_table import DriftTable, columns
from maskwatch.errors import MessageError
from maskwatch.topics import Name
from tests.support import drifting

NOW = datetime(2026, 11, 1, 18, 0, tzinfo=UTC)


def take(table: DriftTable, name: Name, message: msgspec.Struct) -> None:
    record: Any = SimpleNamespace(value=msgspec.json.encode(message))
    table.take(name, record)


def test_the_newest_record_of_an_episode_is_true() -> None:
    table = DriftTable()
    began = drifting.darkness("door", NOW)
    take(table, Name.DRIFT, began)
    assert [one.id for one in table.episodes(only_open=True)] == [began.id]
    take(table, Name.DRIFT, drifting.darkness("door", NOW, ended=NOW + timedelta(hours=1)))
    assert table.episode(began.id).reason == "recovered"
    assert table.episodes(only_open=True) == []
    assert table.episodes(["yard"]) == []
    # A camera that is gone has no lane any more, and its story can still be read.
    assert table.cameras() == []
    assert table.knows("door")
    assert not table.knows("yard")


def test_who_has_acknowledged_stays_known() -> None:
    table = DriftTable()
    episode = drifting.darkness("door", NOW)
    take(table, Name.DRIFT, episode)
    take(table, Name.ALERTS, drifting.alert(episode))
    assert table.is_open(table.alert(episode.id))
    take(table, Name.ALERTS, drifting.alert(episode, NOW, "ann"))
    # The monitor was started anew and has raised it again.
    take(table, Name.ALERTS, drifting.alert(episode))
    assert table.alert(episode.id).by == "ann"
    assert not table.is_open(table.alert(episode.id))


def test_an_alert_is_open_for_as_long_as_its_episode_goes_on() -> None:
    table = DriftTable()
    episode = drifting.darkness("door", NOW)
    take(table, Name.ALERTS, drifting.alert(episode))
    assert table.is_open(table.alerts()[0])
    take(table, Name.DRIFT, drifting.darkness("door", NOW, ended=NOW))
    assert not table.is_open(table.alerts()[0])


def test_what_was_written_does_not_fill_our_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EPISODES", 3)
    monkeypatch.setattr(module, "MOST_CAMERAS", 1)
    table = DriftTable()
    first = drifting.darkness("door", NOW, sequence=900)
    take(table, Name.DRIFT, first)
    for number in range(4):
        episode = drifting.darkness("door", NOW, sequence=901 + number, ended=NOW)
        take(table, Name.DRIFT, episode)
        take(table, Name.ALERTS, drifting.alert(episode))
    # The one that goes on is kept though it is the oldest.
    assert {one.id for one in table.episodes()} == {first.id, "door:s1:903:drift", "door:s1:904:drift"}
    assert len(table.alerts()) == 3
    take(table, Name.SIGNALS, drifting.windows("door", NOW, 1)[0])
    with pytest.raises(MessageError, match="cameras already"):
        take(table, Name.SIGNALS, drifting.windows("yard", NOW, 1)[0])


def test_windows_become_columns_with_holes_where_nothing_was_seen() -> None:
    windows = drifting.windows("door", NOW, 4, learning=2)
    without_faces = msgspec.structs.replace(
        windows[3], signals={name: found for name, found in windows[3].signals.items() if name != "score"}
    )
    found = columns([*windows[:3], without_faces], 100)
    assert found.times == [(NOW - timedelta(minutes=minutes)).timestamp() for minutes in (3, 2, 1, 0)]
    score = found.signals["score"]
    assert score.middle == [*(window.signals["score"].now.middle for window in windows[:3]), None]
    assert score.reference_low[:2] == [None, None]
    assert score.reference_low[2] == pytest.approx(0.81 - 1.28 * 0.03, abs=1e-4)
    assert score.effect[3] is None
    assert score.shifted == [False] * 4


def test_many_windows_are_put_together_and_no_shift_is_lost() -> None:
    dark = (NOW - timedelta(minutes=1), NOW)
    windows = drifting.windows("door", NOW, 100, dark=dark)
    found = columns(windows, 25)
    assert len(found.times) == 25
    assert found.frames[0] == sum(window.frames for window in windows[:4])
    brightness = found.signals["brightness"]
    assert [at for at, shifted in enumerate(brightness.shifted) if shifted] == [24]
    assert brightness.effect[24] == 0.97
    expected = sum(window.signals["brightness"].now.middle for window in windows[:4]) / 4
    assert brightness.middle[0] == pytest.approx(expected, abs=1e-4)
