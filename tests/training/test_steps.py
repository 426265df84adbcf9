import pytest

from training import steps
from training.steps import no_step, shown


def test_where_there_is_no_terminal_each_thing_is_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "PATIENCE_S", 0)
    with shown("reading") as step:
        for number in range(1, 4):
            step("one", number, 3)
        step("two", 1, 9)
    assert capsys.readouterr().err == "reading one: 1 of 3\nreading two: 1 of 9\n"


def test_what_is_soon_over_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("reading") as step:
        step("one", 1, 3)
    no_step("one", 2, 3)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # for Rich, a terminal
    with shown("reading") as step:
        step("one", 1, 3)
    assert "one: 1 of 3" in capsys.readouterr().err
