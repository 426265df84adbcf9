"""The detector, with faults that a test switches on by files in a folder while it runs; run as a script.

- ``hang``: the inference call that finds it removes it and hangs for as many seconds as it says.
- ``clock``: the wall clock is off by as many seconds as it says.

It notes there what it does: ``looking`` exists while it looks at pictures, ``begun`` has a line for each frame that it
began with (partition and offset), ``assigned`` one for each time that its group gave it partitions. The variable
``SLOW_S`` makes every call take so much longer, and ``UNDEFENDED=wall-clock`` takes a defence out.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskwatch.cli import main
from maskwatch.inference import Detected, Detector, Refused
from maskwatch.kafka import Record
from maskwatch.model import ShapeName
from processors.freshness import Ages
from processors.live import LiveLane, Seen

FOLDER = Path(os.environ.get("FAULTS", ""))
SLOW_S = float(os.environ.get("SLOW_S", "0"))

rounds: list[Sequence[Record]] = []
"""Those under way; one may begin before the other ends."""

_look, _time = Detector.look, time.time
_live_look, _assigned = LiveLane._look, LiveLane.on_partitions_assigned


def look(self: Detector, jpegs: Sequence[bytes], shape: ShapeName) -> list[Detected | Refused]:
    try:
        text = (FOLDER / "hang").read_text()
        (FOLDER / "hang").unlink()
    except FileNotFoundError:
        time.sleep(SLOW_S)
    else:
        time.sleep(float(text))
    return _look(self, jpegs, shape)


def wrong_time() -> float:
    try:
        return _time() + float((FOLDER / "clock").read_text() or 0)
    except FileNotFoundError:
        return _time()


async def live_look(self: LiveLane, records: Sequence[Record]) -> list[Seen]:
    note("begun", *(f"{record.partition} {record.offset}" for record in records))
    (FOLDER / "looking").touch()
    rounds.append(records)
    try:
        return await _live_look(self, records)
    finally:
        rounds.pop()
        if not rounds:
            (FOLDER / "looking").unlink()


async def assigned(self: LiveLane, partitions: set[Any]) -> None:
    note("assigned", str(len(partitions)))
    await _assigned(self, partitions)


def note(name: str, *lines: str) -> None:
    with (FOLDER / name).open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def age_by_the_wall_clock(_: Ages, record: Record, now: float) -> float:
    return time.time() - record.timestamp / 1000


if __name__ == "__main__":
    Detector.look, time.time = look, wrong_time  # type: ignore[method-assign]
    LiveLane._look, LiveLane.on_partitions_assigned = live_look, assigned  # type: ignore[method-assign, assignment]
    if os.environ.get("UNDEFENDED") == "wall-clock":
        Ages.age = age_by_the_wall_clock  # type: ignore[method-assign, assignment]
    main(["detector"], prog_name="maskwatch")
