"""The monitors of all cameras that this process looks after, and what is kept so that another can go on. Pure.

What is kept of a camera is one entry for all of it but its hours, and one for each hour (`door-2`, `door-2/17`).
"""

from collections.abc import Iterator, MutableMapping, Sequence
from typing import NamedTuple

import msgspec
import structlog

from maskwatch.drift_messages import CameraWindow, Confirmation, Episode, LabelRequest
from maskwatch.errors import MessageError
from maskwatch.messages import Detection, decode
from maskwatch.settings import Settings
from processors.hours import DAY_H, Rows, as_matrix, as_rows
from processors.monitor import Monitor, Outcome
from processors.quality import Labels
from processors.sampling import Chooser, ChooserState
from processors.state import CameraState

SILENT_S = 3600
"""A camera of which nothing came for so long is let go of; what is kept of it stays."""

Kept = MutableMapping[bytes, bytes]

log = structlog.get_logger(__name__)


class HourKept(msgspec.Struct, frozen=True):
    """One hour of the day of one camera."""

    rows: Rows


class CameraKept(msgspec.Struct, frozen=True):
    """All that is kept of a camera but its hours."""

    monitor: CameraState = CameraState()
    chooser: ChooserState = ChooserState()


class Watched(NamedTuple):
    """What came of a detection."""

    outcome: Outcome
    records: Sequence[CameraWindow | Episode]
    request: LabelRequest | None = None
    """The frame, if people should label it."""


class _Camera(NamedTuple):
    """Who looks after a camera."""

    monitor: Monitor
    chooser: Chooser
    partition: int

    def kept(self) -> bytes:
        return msgspec.json.encode(CameraKept(self.monitor.state(), self.chooser.state()))


class Monitors:
    """All monitors of this process.

    Parameters
    ----------
    settings
        The whole tree; each takes its part.
    kept
        Where their states are kept; only touched while a detection of the same camera is taken.
    labels
        What people's labels say, if anybody follows them.
    """

    def __init__(self, settings: Settings, kept: Kept, labels: Labels | None = None) -> None:
        self._settings = settings
        self._kept = kept
        self._labels = labels or Labels()
        self._cameras: dict[str, _Camera] = {}
        self._heard_labels: dict[str, int] = {}
        self._heard: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._cameras)

    def take(self, detection: Detection, partition: int, now: float) -> Watched:
        """Take a detection in; what is known is kept before anything is told of it.

        Parameters
        ----------
        detection
            Of any camera.
        partition
            Where it lies: a camera's state goes with it.
        now
            Seconds on a clock that never goes back.
        """
        name = detection.frame.camera
        told_before: list[Episode] = []
        if name not in self._cameras:
            self._cameras[name] = self._restore(name, partition)
            if (episode := self._cameras[name].monitor.episode) is not None:
                # Whoever was killed may have kept it without having told of it.
                told_before = [msgspec.structs.replace(episode, phase="update")]
        camera = self._cameras[name]
        self._heard[name] = now
        self._hear_labels(camera.monitor)
        taken = camera.monitor.take(detection)
        request = None
        if taken.outcome == "sampled":
            episode = camera.monitor.episode
            request = camera.chooser.offer(detection, episode.id if episode is not None else None)
        if taken.records:
            self._keep(camera)
        self._let_silent_go(now)
        return Watched(taken.outcome, [*told_before, *taken.records], request)

    def confirm(self, camera: str, episode: str, told: Confirmation | None) -> Episode | None:
        """Let the open episode of a camera say what labels say of it; None if this process has no such episode."""
        return self._cameras[camera].monitor.confirm(episode, told) if camera in self._cameras else None

    def choose_another(self, camera: str) -> None:
        """Let a frame of a camera be chosen in place of one that was gone."""
        if camera in self._cameras:
            self._cameras[camera].chooser.give_back()

    def let_go(self, partitions: set[int]) -> Iterator[tuple[str, bytes]]:
        """Let go of the cameras of some partitions; yield what is to be kept of each, by key."""
        for name, camera in list(self._cameras.items()):
            if camera.partition in partitions:
                del self._cameras[name]
                self._heard_labels.pop(name, None)
                yield name, camera.kept()

    def _let_silent_go(self, now: float) -> None:
        for name, heard in list(self._heard.items()):
            if now - heard > SILENT_S:
                del self._heard[name]
                self._cameras.pop(name, None)
                self._heard_labels.pop(name, None)

    def _hear_labels(self, monitor: Monitor) -> None:
        version = self._labels.version(monitor.camera)
        if version != self._heard_labels.get(monitor.camera, 0):
            self._heard_labels[monitor.camera] = version
            monitor.hear(self._labels.of_camera(monitor.camera))

    def _keep(self, camera: _Camera) -> None:
        monitor = camera.monitor
        for hour in monitor.hours.changed:
            key = _hour_key(monitor.camera, hour)
            if monitor.hours.knows(hour):
                self._kept[key] = msgspec.json.encode(HourKept(as_rows(monitor.hours.samples(hour))))
            else:
                self._kept.pop(key, None)
        monitor.hours.changed.clear()
        self._kept[monitor.camera.encode()] = camera.kept()

    def _restore(self, name: str, partition: int) -> _Camera:
        try:
            found = self._kept.get(name.encode())
            kept = decode(found, CameraKept) if found else CameraKept()
            hours = {
                hour: as_matrix(decode(rows, HourKept).rows)
                for hour in range(DAY_H)
                if (rows := self._kept.get(_hour_key(name, hour)))
            }
            monitor = Monitor(name, self._settings.drift, kept.monitor, hours)
        except (MessageError, ValueError) as error:
            # Of another version, perhaps: learning anew costs minutes, a monitor that never starts costs all.
            log.warning("what was kept of a camera cannot be read; it is learned anew", camera=name, error=str(error))
            kept = CameraKept()
            monitor = Monitor(name, self._settings.drift)
        chooser = Chooser(name, self._settings.sampling, self._settings.detector.score, kept.chooser)
        return _Camera(monitor, chooser, partition)


def _hour_key(camera: str, hour: int) -> bytes:
    return f"{camera}/{hour}".encode()
