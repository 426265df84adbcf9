"""The monitors of all cameras that this process looks after, and what is kept so that another can go on. Pure.

What is kept of a camera is one entry for all of it but its hours, and one for each hour (`door-2`, `door-2/17`).
"""

from collections.abc import Iterator, MutableMapping, Sequence
from typing import NamedTuple

import msgspec
import structlog

from maskwatch.drift_messages import CameraWindow, Episode
from maskwatch.errors import MessageError
from maskwatch.messages import Detection, decode
from maskwatch.settings import DriftSettings
from processors.hours import DAY_H, Rows, as_matrix, as_rows
from processors.monitor import Monitor, Outcome
from processors.state import CameraState

SILENT_S = 3600
"""A camera of which nothing came for so long is let go of; what is kept of it stays."""

Kept = MutableMapping[bytes, bytes]

log = structlog.get_logger(__name__)


class HourKept(msgspec.Struct, frozen=True):
    """One hour of the day of one camera."""

    rows: Rows


class Watched(NamedTuple):
    """What came of a detection."""

    outcome: Outcome
    records: Sequence[CameraWindow | Episode]
    episode: Episode | None
    """The camera's open episode."""


class Monitors:
    """All monitors of this process.

    Parameters
    ----------
    settings
        Given to each.
    kept
        Where their states are kept; only touched while a detection of the same camera is taken.
    """

    def __init__(self, settings: DriftSettings, kept: Kept) -> None:
        self._settings = settings
        self._kept = kept
        self._monitors: dict[str, tuple[Monitor, int]] = {}
        self._heard: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._monitors)

    def take(self, detection: Detection, partition: int, now: float) -> Watched:
        """Take a detection in; what is known is kept before anything is told of it.

        Parameters
        ----------
        detection
            Of any camera.
        partition
            Where it lies: a camera's monitor goes with it.
        now
            Seconds on a clock that never goes back.
        """
        camera = detection.frame.camera
        fresh = camera not in self._monitors
        monitor = self._restore(camera) if fresh else self._monitors[camera][0]
        self._monitors[camera] = monitor, partition
        self._heard[camera] = now
        # Whoever was killed may have kept an episode without having told of it.
        told_before = [msgspec.structs.replace(monitor.episode, phase="update")] if fresh and monitor.episode else []
        taken = monitor.take(detection)
        if taken.records:
            self._keep(monitor)
        self._let_silent_go(now)
        return Watched(taken.outcome, [*told_before, *taken.records], monitor.episode)

    def let_go(self, partitions: set[int]) -> Iterator[tuple[str, bytes]]:
        """Let go of the cameras of some partitions; yield what is to be kept of each, by key."""
        for camera, (monitor, partition) in list(self._monitors.items()):
            if partition in partitions:
                del self._monitors[camera]
                yield camera, msgspec.json.encode(monitor.state())

    def _let_silent_go(self, now: float) -> None:
        for camera, heard in list(self._heard.items()):
            if now - heard > SILENT_S:
                del self._heard[camera]
                self._monitors.pop(camera, None)

    def _keep(self, monitor: Monitor) -> None:
        for hour in monitor.hours.changed:
            key = _hour_key(monitor.camera, hour)
            if monitor.hours.knows(hour):
                self._kept[key] = msgspec.json.encode(HourKept(as_rows(monitor.hours.samples(hour))))
            else:
                self._kept.pop(key, None)
        monitor.hours.changed.clear()
        self._kept[monitor.camera.encode()] = msgspec.json.encode(monitor.state())

    def _restore(self, camera: str) -> Monitor:
        try:
            found = self._kept.get(camera.encode())
            state = decode(found, CameraState) if found else None
            hours = {
                hour: as_matrix(decode(rows, HourKept).rows)
                for hour in range(DAY_H)
                if (rows := self._kept.get(_hour_key(camera, hour)))
            }
            monitor = Monitor(camera, self._settings, state, hours)
        except (MessageError, ValueError) as error:
            # Of another version, perhaps: learning anew costs minutes, a monitor that never starts costs all.
            log.warning("what was kept of a camera cannot be read; it is learned anew", camera=camera, error=str(error))
            monitor = Monitor(camera, self._settings)
        return monitor


def _hour_key(camera: str, hour: int) -> bytes:
    return f"{camera}/{hour}".encode()
