"""What a training tells reaches MLflow's side whole, in order and once; MLflow's side is in memory here."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from maskwatch.settings import MlflowSettings, Settings
from tests.support.run_log import Remembered
from training.errors import StageOverError, TrackingAwayError, TrackingError
from training.journal import Became, Journal, Metrics, read
from training.tracking import send, sync, track

SOON = Settings(mlflow=MlflowSettings(retry_after_s=0.01, finish_s=30))


@pytest.fixture
def there() -> Remembered:
    return Remembered()


def until(condition: Callable[[], bool]) -> None:
    """Wait for the thread."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("never came true")


def test_everything_that_is_told_is_there_in_its_order(tmp_path: Path, there: Remembered) -> None:
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"png")
    with track(tmp_path, "first", SOON, there.open) as training:
        training.parameters({"epochs": 2})
        training.tags({"manifest": "00"})
        for epoch in (1, 2):
            training.metrics(epoch, {"loss": 1 / epoch})
        training.keep(picture, "curves")
    assert there.events == list(read(tmp_path))
    assert [event.step for event in there.events if isinstance(event, Metrics)] == [1, 2]
    assert [event.state for event in there.events if isinstance(event, Became)] == ["RUNNING", "FINISHED"]


def test_epochs_arrive_while_the_training_goes_on(tmp_path: Path, there: Remembered) -> None:
    with track(tmp_path, "first", SOON, there.open) as training:
        for epoch in (1, 2):
            training.metrics(epoch, {"loss": 1.0})
            until(lambda: any(isinstance(event, Metrics) and event.step == epoch for event in there.events))  # noqa: B023  # waited for


@pytest.mark.parametrize(
    ("problem", "state"),
    [
        (KeyboardInterrupt(), "KILLED"),
        (SystemExit(1), "KILLED"),
        (StageOverError("two hours"), "KILLED"),
        (ZeroDivisionError(), "FAILED"),
    ],
)
def test_how_it_ended_is_told(tmp_path: Path, there: Remembered, problem: BaseException, state: str) -> None:
    with pytest.raises(type(problem)), track(tmp_path, "first", SOON, there.open):
        raise problem
    assert isinstance(there.events[-1], Became)
    assert there.events[-1].state == state


def test_mlflow_being_away_delays_and_loses_nothing(tmp_path: Path, there: Remembered) -> None:
    there.away = True
    with structlog.testing.capture_logs() as logs:
        with track(tmp_path, "first", SOON, there.open) as training:
            training.metrics(1, {"loss": 1.0})
            until(lambda: there.tries > 3)
            assert there.events == []
            there.away = False
            until(lambda: any(isinstance(event, Metrics) for event in there.events))
            training.metrics(2, {"loss": 0.5})
        assert there.events == list(read(tmp_path))
    # One line for the whole outage, one for its end.
    assert [line["event"] for line in logs] == ["MLflow is away: the journal keeps what happens", "MLflow is back"]


def test_an_answer_that_was_lost_leaves_nothing_twice(tmp_path: Path, there: Remembered) -> None:
    there.loses_answer_to = lambda event: isinstance(event, Metrics)
    with track(tmp_path, "first", SOON, there.open) as training:
        training.metrics(1, {"loss": 1.0})
        training.metrics(2, {"loss": 0.5})
    assert there.events == list(read(tmp_path))


def test_what_was_left_at_the_end_is_said_and_sent_later(tmp_path: Path, there: Remembered) -> None:
    there.away = True
    with structlog.testing.capture_logs() as logs, track(tmp_path, "first", SOON, there.open) as training:
        training.metrics(1, {"loss": 1.0})
    assert logs[-1]["remedy"] == f"maskwatch mlflow sync {tmp_path}"
    with pytest.raises(TrackingAwayError):
        send(tmp_path, SOON, there.open)
    there.away = False
    assert send(tmp_path, SOON, there.open).logged == len(there.events) > 3
    assert send(tmp_path, SOON, there.open).logged == 0
    assert there.events == list(read(tmp_path))


def test_a_training_does_not_wait_for_ever_for_an_mlflow_that_hangs(tmp_path: Path) -> None:
    class Hanging(Remembered):
        def position(self) -> int:
            time.sleep(3600)
            return 0

    settings = Settings(mlflow=MlflowSettings(finish_s=0.1))
    with structlog.testing.capture_logs() as logs, track(tmp_path, "first", settings, Hanging().open):
        pass
    assert [line["event"] for line in logs] == ["not all is in MLflow yet"]


def test_an_event_that_is_refused_does_not_hold_those_behind_it(tmp_path: Path, there: Remembered) -> None:
    there.refuses = lambda event: isinstance(event, Metrics) and event.step == 1
    journal = Journal(tmp_path, "first")
    for epoch in (1, 2):
        journal.metrics(epoch, {"loss": 1.0})
    with structlog.testing.capture_logs() as logs:
        sent = send(tmp_path, SOON, there.open)
    assert (sent.logged, sent.refused) == (2, 1)
    assert logs == [
        {
            "event": "MLflow refuses an event",
            "folder": str(tmp_path),
            "line": 2,
            "reason": "not this one",
            "log_level": "warning",
        }
    ]


def test_a_damaged_journal_ends_the_telling_and_not_the_training(tmp_path: Path, there: Remembered) -> None:
    with structlog.testing.capture_logs() as logs:
        with track(tmp_path, "first", SOON, there.open) as training:
            until(lambda: len(there.events) == len(list(read(tmp_path))))
            with (tmp_path / "tracking/journal.jsonl").open("ab") as file:
                file.write(b"{}\n")
            training.metrics(1, {"loss": 1.0})
        assert [line["event"] for line in logs] == ["MLflow is not told: the journal keeps what happens"]


def test_a_resumed_training_goes_on_where_mlflow_is(tmp_path: Path, there: Remembered) -> None:
    for last in (2, 4):
        with track(tmp_path, "first", SOON, there.open) as training:
            training.parameters({"epochs": 4})
            for epoch in range(1, last + 1):
                training.metrics(epoch, {"loss": 1 / epoch})
    assert [event.step for event in there.events if isinstance(event, Metrics)] == [1, 2, 3, 4]
    assert there.events == list(read(tmp_path))


def test_two_do_not_send_the_same_journal_at_once(tmp_path: Path, there: Remembered) -> None:
    Journal(tmp_path, "first").close()

    class Meanwhile(Remembered):
        def position(self) -> int:
            with pytest.raises(TrackingAwayError, match="another process is sending"):
                send(tmp_path, SOON, there.open)
            return 0

    assert send(tmp_path, SOON, Meanwhile().open).logged == 1
    assert there.events == []


def test_a_folder_without_a_training_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="no training was tracked in"):
        send(tmp_path, SOON)
    with pytest.raises(TrackingError, match="no training was tracked in or below"):
        sync(SOON, (tmp_path,))
