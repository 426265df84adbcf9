"""Rates and spreads from figures that only ever grow: two looks at them, some time apart. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from maskwatch.metrics import Figure

Figures = Mapping[int, Mapping[Figure, float]]
"""By process and figure, see :func:`maskwatch.metrics.by_process`."""


class Look(NamedTuple):
    """Figures at a moment."""

    at: float
    """Seconds on any clock that never jumps."""
    figures: Figures


class Process(msgspec.Struct, frozen=True):
    """A process of a stage on this machine, over the last while."""

    pid: int
    stage: str
    memory: int
    """Bytes."""
    rate: float | None
    """Frames a second that a detector looked at; None of another stage, or not known yet."""
    batch: float | None
    """Frames of a batch, on average."""
    detect_s: float | None
    """Seconds for a frame, on average."""
    model: str
    """Name and version; empty of another stage."""


class Change:
    """What happened between two looks.

    Parameters
    ----------
    first, last
        The earlier one may be the same as the later one: then nothing is known yet.
    """

    def __init__(self, first: Look, last: Look) -> None:
        self._first = first.figures
        self._last = last.figures
        self.seconds = last.at - first.at

    def grown(self, name: str, labels: Mapping[str, str] | None = None, pid: int | None = None) -> float:
        """Return by how much a figure has grown, summed over all labels that are not named, and over processes."""
        wanted = (labels or {}).items()
        return sum(
            value - self._first.get(process, {}).get(figure, 0.0)
            for process, figures in self._last.items()
            if pid is None or process == pid
            for figure, value in figures.items()
            if figure.name == name and wanted <= dict(figure.labels).items()
        )

    def rate(self, name: str, pid: int | None = None) -> float | None:
        """Return the growth a second; None if too little time has passed."""
        return round(self.grown(name, pid=pid) / self.seconds, 3) if self.seconds > 1 else None

    def by(self, name: str, label: str, labels: Mapping[str, str] | None = None) -> dict[str, float]:
        """Return the growth by the values of a label, for those that have grown."""
        grown = {value: self.grown(name, {**(labels or {}), label: value}) for value in self._values(name, label)}
        return {value: found for value, found in sorted(grown.items()) if found > 0}

    def mean(self, name: str, pid: int | None = None) -> float | None:
        """Return the mean of what a histogram took in; None if there was nothing."""
        count = self.grown(f"{name}_count", pid=pid)
        return self.grown(f"{name}_sum", pid=pid) / count if count > 0 else None

    def quantile(self, name: str, share: float) -> float | None:
        """Return a quantile of what a histogram took in, interpolated within its bucket; None if there was nothing."""
        edges = sorted(self._values(f"{name}_bucket", "le"), key=float)
        below = [(float(edge), self.grown(f"{name}_bucket", {"le": edge})) for edge in edges]
        total = below[-1][1] if below else 0.0
        if total <= 0:
            return None
        low, passed = 0.0, 0.0
        for edge, count in below:
            if count >= share * total:
                if edge == float("inf"):
                    return low
                return low + (edge - low) * (share * total - passed) / max(count - passed, 1e-9)
            low, passed = edge, count
        return low

    def processes(self) -> list[Process]:
        """Return every process that says of which stage it is, by stage and pid."""
        found = [
            self._process(pid, figure, value)
            for pid, figures in self._last.items()
            for figure, value in figures.items()
            if figure.name == "maskwatch_memory_bytes"
        ]
        return sorted(found, key=lambda process: (process.stage, process.pid))

    def _process(self, pid: int, figure: Figure, memory: float) -> Process:
        stage = dict(figure.labels)["stage"]
        models = [dict(one.labels) for one in self._last[pid] if one.name == "maskwatch_model_loaded"]
        detects = stage == "detector"
        return Process(
            pid,
            stage,
            int(memory),
            self.rate("maskwatch_frames_detected_total", pid) if detects else None,
            self.mean("maskwatch_batch_frames", pid) if detects else None,
            self.mean("maskwatch_detect_seconds", pid) if detects else None,
            " ".join((models[0]["name"], models[0]["version"])) if models else "",
        )

    def _values(self, name: str, label: str) -> set[str]:
        return {
            dict(figure.labels)[label]
            for figures in self._last.values()
            for figure in figures
            if figure.name == name and label in dict(figure.labels)
        }


def full_in(free: Iterable[tuple[float, int]], least_s: float) -> float | None:
    """Tell in how many seconds a disk is full if it goes on as it did.

    Parameters
    ----------
    free
        Seconds on a clock that never jumps, and bytes that were left; in their order.
    least_s
        So much time must have been seen: a minute says nothing of a day.

    Returns
    -------
    float or None
        None if it does not fill, or if too little was seen.

    Examples
    --------
    >>> full_in([(0, 1000), (600, 900)], 600)
    5400.0
    >>> full_in([(0, 1000), (600, 1000)], 600) is None
    True
    """
    looks = list(free)
    if len(looks) < 2 or looks[-1][0] - looks[0][0] < least_s:  # noqa: PLR2004  # two points make a line
        return None
    (first, before), (last, left) = looks[0], looks[-1]
    pace = (before - left) / (last - first)
    return left / pace if pace > 0 else None
