from pathlib import Path

import pytest

from maskwatch import rounds
from maskwatch.model_messages import RunProgress
from training import progress
from training.progress import Epoch, Step, Telling


def epoch(number: int, map50: float = 0.5) -> Epoch:
    return Epoch(
        epoch=number, epochs=4, losses={"box": 1.2}, map50=map50, map50_95=0.3, learning_rate=0.001, seconds=10,
        seconds_left=10.0 * (4 - number), best=True,
    )  # fmt: skip


def test_what_an_earlier_attempt_has_told_goes_on(tmp_path: Path) -> None:
    assert rounds.read(tmp_path) is None
    first = Telling(tmp_path)
    first.tell(stage="training", epochs=4)
    first.epoch(epoch(1))
    first.epoch(epoch(2))
    # Killed in the third, it goes on from the first, say: what is trained again takes the place of what was told.
    again = Telling(tmp_path)
    again.epoch(epoch(2, 0.6))
    told = rounds.read(tmp_path)
    assert told is not None
    assert [(one.epoch, one.map50) for one in told.history] == [(1, 0.5), (2, 0.6)]
    assert (told.stage, told.share, told.seconds_left) == ("training", 0.5, 20.0)
    assert list(tmp_path.iterdir()) == [tmp_path / rounds.FILE]


def test_steps_are_told_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    telling = Telling(tmp_path)
    telling.step(Step(1, 4, 0.5, 35))
    telling.step(Step(1, 4, 0.9, 31))
    told = rounds.read(tmp_path)
    assert told is not None
    assert (told.share, told.seconds_left) == (0.125, 35)
    monkeypatch.setattr(progress, "TELL_EVERY_S", 0)
    telling.step(Step(2, 4, 0.5, 25))
    telling.share(0.4)
    told = rounds.read(tmp_path)
    assert told is not None
    assert (told.epoch, told.share) == (2, 0.4)


def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / rounds.FILE).write_text("{")
    assert rounds.read(tmp_path) is None
    assert Telling(tmp_path)._now == RunProgress()
