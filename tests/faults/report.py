"""Write the figures of a run into the table of `docs/faults.md`: ``python -m tests.faults.report FIGURES PAGE``.

The table stands between two HTML comments, under a line that says on what it was measured; all else on the page is
written by hand and left alone.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.machine import this_machine, write_between

_PROPER = {"api": "API", "apis": "API's", "valkey": "Valkey"}
HEADING = ("what is done to it", "what was measured", "measured", "promised", "kept")


class Row(NamedTuple):
    """A figure, as the fixture `figure` notes it."""

    test: str
    name: str
    value: float
    unit: str
    most: float | None
    least: float | None
    long: bool = False
    """Whether this was the long form of the fault."""
    of: int = 1
    """The worst of so many runs."""

    @property
    def kept(self) -> bool:
        """Whether it keeps its bound."""
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    def margin(self) -> float:
        """Return how far from its bound it is; without one, how small."""
        return self.value - self.least if self.least is not None else (self.most or 0) - self.value

    @property
    def promised(self) -> str:
        """Say the bound."""
        sides = [f"≥ {number(self.least)}"] if self.least is not None else []
        sides += [f"≤ {number(self.most)}"] if self.most is not None else []
        return f"{', '.join(sides)} {self.unit}".strip()


def number(value: float) -> str:
    """Write a number with as many digits as mean something.

    Examples
    --------
    >>> [number(value) for value in (0, 0.0021, 1.277, 12.58, 1234.5)]
    ['0', '0.002', '1.28', '12.6', '1234']
    """
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def sentence(test: str) -> str:
    """Make a sentence of a test's name without its variant.

    Examples
    --------
    >>> sentence("test_a_full_disk_stops_the_broker[250]")
    'A full disk stops the broker'
    """
    words = test.partition("[")[0].removeprefix("test_").split("_")
    text = " ".join(_PROPER.get(word, word) for word in words)
    return text[:1].upper() + text[1:]


def told(rows: Sequence[Row]) -> list[Row]:
    """Choose what the table tells.

    The short form of a fault that was made in a long form too is left out: it measures the same. Of forms that measure
    the very same, such as those from several seeds, the worst of each figure is kept.
    """
    kept: dict[tuple[str, frozenset[str], str], Row] = {}
    for row in rows:
        names = _names(rows, row.test)
        longer = (other for other in rows if other.long and sentence(other.test) == sentence(row.test))
        if not row.long and any(other.name in names for other in longer):
            continue
        key = (sentence(row.test), names, row.name)
        known = kept.get(key)
        worst = row if known is None else min(row, known, key=Row.margin)
        kept[key] = worst._replace(of=1 if known is None else known.of + 1)
    return list(kept.values())


def _names(rows: Sequence[Row], test: str) -> frozenset[str]:
    return frozenset(row.name for row in rows if row.test == test)


def table(rows: Sequence[Row]) -> str:
    """Return the table, with each fault named once."""
    lines = [f"| {' | '.join(HEADING)} |", f"|{' --- |' * len(HEADING)}"]
    last = ""
    for row in told(rows):
        fault = sentence(row.test) + (f", the worst of {row.of} runs" if row.of > 1 else "")
        cells = (
            fault if fault != last else "",
            row.name,
            f"{number(row.value)} {row.unit}".strip(),
            row.promised,
            "yes" if row.kept else "**no**",
        )
        last = fault
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(figures: str, page: str) -> None:
    """Write the page anew."""
    rows = [Row(**row) for row in json.loads(Path(figures).read_text(encoding="utf-8"))]
    write_between(Path(page), "figures", f"Measured {this_machine().sentence()}.\n\n{table(rows)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
