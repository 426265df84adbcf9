"""What a round says in its folder, and that one process at a time works there."""

import threading
from pathlib import Path

from maskwatch.rounds import alone


def test_who_takes_a_round_over_waits_for_the_process_that_had_it(tmp_path: Path) -> None:
    said: list[str] = []
    waits, order = threading.Event(), []

    def hear(text: str) -> None:
        said.append(text)
        waits.set()

    def take_over() -> None:
        with alone(tmp_path / "r1", hear):
            order.append("second")

    second = threading.Thread(target=take_over)
    with alone(tmp_path / "r1", said.append):
        second.start()
        assert waits.wait(20)
        order.append("first")
    second.join(20)
    assert order == ["first", "second"]
    assert said == [f"another process works in {tmp_path / 'r1'}; this one goes on when that is done"]
