"""The journal of one training: everything that is to be logged, on the disk before anybody is asked to take it.

It lies beside the checkpoints, as JSON lines, each forced to the disk before the training goes on. So neither a kill
nor an MLflow that is away loses anything, and a training that is resumed goes on in the same journal. What is told
twice, such as an epoch that had to be repeated, is written once. Pictures and files are copied beside it: what the
training overwrites or deletes later is still there to be sent.
"""

import math
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from training.errors import TrackingError

FOLDER = "tracking"
"""Beside the checkpoints."""
MOST = 90
"""Parameters or tags in one event: MLflow takes 100 at once."""

State = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """The first line: which training this is."""

    at: int
    """Milliseconds since 1970, as in every event."""
    run: str
    """Made once; by it MLflow's run is found again."""
    name: str
    """For people."""


class Parameters(msgspec.Struct, frozen=True, tag="parameters"):
    """How it is trained; a parameter is told once."""

    at: int
    values: dict[str, str]


class Tags(msgspec.Struct, frozen=True, tag="tags"):
    """What else is known of it; the latest value of each counts."""

    at: int
    values: dict[str, str]


class Metrics(msgspec.Struct, frozen=True, tag="metrics"):
    """Numbers of one step."""

    at: int
    step: int
    values: dict[str, float | None]
    """None where the number is not finite."""


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """A file was copied beside the journal, maybe over an older one of its name."""

    at: int
    path: str
    """Relative to the folder of what is kept."""


class Became(msgspec.Struct, frozen=True, tag="became"):
    """The training began, went on, or ended."""

    at: int
    state: State


Event: TypeAlias = Begun | Parameters | Tags | Metrics | Kept | Became


class Journal:
    """Writes one training's journal; not for several threads.

    Parameters
    ----------
    folder
        Of the training; the journal lies in ``tracking/`` within.
    name
        For people; that of the first time stays.

    Raises
    ------
    TrackingError
        If what is there is no journal.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        file = journal_of(folder)
        _cut_torn_line(file)
        self._parameters: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._steps: set[tuple[str, int]] = set()
        for event in read(folder):
            self._remember(event)
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if file.stat().st_size == 0:
            self._append(Begun(_now(), uuid.uuid4().hex, name))
            _force(self.folder)

    def close(self) -> None:
        """Close the file; all of it is on the disk already."""
        os.close(self._file)

    def parameters(self, values: Mapping[str, object]) -> None:
        """Note how it is trained.

        MLflow's parameters are for ever. One that a resumed training tells otherwise becomes the tag ``changed.NAME``.
        """
        told = {plain_name(name): str(value) for name, value in values.items()}
        changed = {
            f"changed.{name}": value
            for name, value in told.items()
            if name in self._parameters and self._parameters[name] != value
        }
        for some in _at_most({name: value for name, value in told.items() if name not in self._parameters}):
            self._append(Parameters(_now(), some))
        self.tags(changed)

    def tags(self, values: Mapping[str, object]) -> None:
        """Note what else is known; what is known already is not written again."""
        told = {plain_name(name): str(value) for name, value in values.items()}
        for some in _at_most({name: value for name, value in told.items() if self._tags.get(name) != value}):
            self._append(Tags(_now(), some))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Note numbers of a step; one that was noted for this step before stands."""
        told = {plain_name(name): value for name, value in values.items()}
        new = {
            name: float(value) if math.isfinite(value) else None
            for name, value in told.items()
            if (name, step) not in self._steps
        }
        if new:
            self._append(Metrics(_now(), step, new))

    def keep(self, file: Path, folder: str = "") -> None:
        """Copy a file beside the journal, over an older one of its name in the same folder."""
        path = Path(folder) / file.name
        target = self.folder / "kept" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # 1. A whole copy under another name, on the disk. 2. In its place. 3. Only then is it said to be there.
        beside = target.with_name(f".{target.name}.part")
        shutil.copyfile(file, beside)
        _force(beside)
        beside.replace(target)
        _force(target.parent)
        self._append(Kept(_now(), path.as_posix()))

    def become(self, state: State) -> None:
        """Note that the training began, went on, or ended."""
        self._append(Became(_now(), state))

    def _append(self, event: Event) -> None:
        line = msgspec.json.encode(event) + b"\n"
        before = os.fstat(self._file).st_size
        # One write: what a kill leaves of it is either nothing, the line, or a torn one that the next start cuts off.
        if os.write(self._file, line) != len(line):
            os.truncate(self._file, before)
            raise TrackingError(f"{self.folder}: the journal could not be written whole; make room on the disk")
        os.fsync(self._file)
        self._remember(event)

    def _remember(self, event: Event) -> None:
        match event:
            case Parameters(values=values):
                self._parameters |= values
            case Tags(values=values):
                self._tags |= values
            case Metrics(step=step):
                self._steps |= {(name, step) for name in event.values}


def journal_of(folder: Path) -> Path:
    """Return where the journal of a training lies."""
    return folder / FOLDER / "journal.jsonl"


def trainings_below(folder: Path) -> Iterator[Path]:
    """Yield every folder that holds a training with a journal: this one, or those below."""
    for file in sorted(folder.rglob(f"{FOLDER}/{journal_of(folder).name}")):
        yield file.parents[1]


def read(folder: Path, start: int = 0) -> Iterator[Event]:
    """Read a journal from an event on; a torn last line is not an event yet.

    Raises
    ------
    TrackingError
        If a line is no event.
    """
    file = journal_of(folder)
    if not file.exists():
        return
    *lines, _ = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines[start:], start + 1):
        try:
            event: Event = msgspec.json.decode(line, type=Event)
        except msgspec.MsgspecError as error:
            raise TrackingError(f"{file}, line {number} is no event of a training: {error}") from error
        yield event


def plain_name(name: str) -> str:
    """Return a name that MLflow takes: letters, digits and ``_-./ :``, and no brackets.

    Examples
    --------
    >>> plain_name("metrics/mAP50(B)")
    'metrics/mAP50B'
    >>> plain_name("facemask-voc, wide, fp32")
    'facemask-voc_ wide_ fp32'
    """
    return re.sub(r"[^\w./: -]", "_", re.sub(r"[()]", "", name), flags=re.ASCII)


def _at_most(values: dict[str, str]) -> Iterator[dict[str, str]]:
    items = list(values.items())
    yield from (dict(items[start : start + MOST]) for start in range(0, len(items), MOST))


def _cut_torn_line(file: Path) -> None:
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.truncate(file, whole)


def _force(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _now() -> int:
    return time.time_ns() // 1_000_000
