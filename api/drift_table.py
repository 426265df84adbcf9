"""What is known of drift, as three topics tell it: each camera's newest window of signals, episodes, alerts.

Every API process reads ``drift.v1`` and ``alerts.v1`` from their beginning and ``signals.v1`` from an hour ago, and
keeps the newest of each. The table is pure; :class:`api.following.Following` fills it.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from maskwatch.drift_messages import Alert, CameraWindow, Episode, SignalName
from maskwatch.errors import MessageError
from maskwatch.kafka import Record
from maskwatch.messages import decode
from maskwatch.topics import Name

FEEDS = {Name.DRIFT: math.inf, Name.ALERTS: math.inf, Name.SIGNALS: 3600.0}
"""The topics, and how far back each is read, in seconds: a camera without a window for an hour is silent."""

MOST_EPISODES = 2000
"""The oldest that have ended are forgotten first: whoever may write to the topic must not fill our memory."""

MOST_CAMERAS = 10_000

_Kept = TypeVar("_Kept", Episode, Alert)


class DriftTable:
    """The newest window of each camera, and the newest record of each episode and of each alert."""

    def __init__(self) -> None:
        self._windows: dict[str, CameraWindow] = {}
        self._episodes: dict[str, Episode] = {}
        self._alerts: dict[str, Alert] = {}

    def take(self, name: Name, record: Record) -> None:
        """Take one record.

        Raises
        ------
        MessageError
            If the record is not what its topic promises, or there is no room for it.
        """
        if name is Name.SIGNALS:
            self._take_window(decode(record.value, CameraWindow))
        elif name is Name.DRIFT:
            episode = decode(record.value, Episode)
            _keep(self._episodes, episode)
            self._forget_oldest()
        else:
            self.take_alert(decode(record.value, Alert))

    def take_alert(self, alert: Alert) -> None:
        """Take an alert; one that is acknowledged stays so, whatever comes later."""
        known = self._alerts.get(alert.id)
        if known is None or known.acknowledged is None or alert.acknowledged is not None:
            _keep(self._alerts, alert)
            while len(self._alerts) > MOST_EPISODES:
                del self._alerts[next(iter(self._alerts))]

    def window(self, camera: str) -> CameraWindow | None:
        """Return a camera's newest window, None if there was none lately."""
        return self._windows.get(camera)

    def cameras(self) -> list[str]:
        """Return the cameras that were watched lately, or that have an open episode, by id."""
        return sorted({*self._windows, *(episode.camera for episode in self.episodes(only_open=True))})

    def knows(self, camera: str) -> bool:
        """Tell whether anything was ever said of a camera, as far as that is kept."""
        return camera in self._windows or any(episode.camera == camera for episode in self._episodes.values())

    def episode(self, identity: str) -> Episode:
        """Return one episode.

        Raises
        ------
        KeyError
            If there is none of this id.
        """
        return self._episodes[identity]

    def episodes(self, cameras: Sequence[str] = (), *, only_open: bool = False) -> list[Episode]:
        """Return episodes, the newest first; of some cameras, or of all."""
        found = (
            episode
            for episode in self._episodes.values()
            if (not cameras or episode.camera in cameras) and (not only_open or episode.ended is None)
        )
        return sorted(found, key=lambda episode: episode.started, reverse=True)

    def alert(self, identity: str) -> Alert:
        """Return one alert.

        Raises
        ------
        KeyError
            If there is none of this id.
        """
        return self._alerts[identity]

    def find_alert(self, identity: str) -> Alert | None:
        """Return one alert, None if there is none of this id."""
        return self._alerts.get(identity)

    def alerts(self) -> list[Alert]:
        """Return every alert, the newest first."""
        return sorted(self._alerts.values(), key=lambda alert: alert.raised, reverse=True)

    def is_open(self, alert: Alert) -> bool:
        """Tell whether somebody should still look: nobody has said that they know, and it goes on."""
        episode = self._episodes.get(alert.id)
        return alert.acknowledged is None and (episode is None or episode.ended is None)

    def _take_window(self, window: CameraWindow) -> None:
        if window.camera not in self._windows and len(self._windows) >= MOST_CAMERAS:
            raise MessageError(f"there are {MOST_CAMERAS} cameras already")
        self._windows[window.camera] = window

    def _forget_oldest(self) -> None:
        while len(self._episodes) > MOST_EPISODES:
            ended = (one.id for one in self._episodes.values() if one.ended is not None)
            del self._episodes[next(ended, next(iter(self._episodes)))]


def _keep(table: dict[str, _Kept], record: _Kept) -> None:
    table[record.id] = record


def columns(windows: Sequence[CameraWindow], most: int) -> "Columns":
    """Lay windows side by side, as charts want them.

    Parameters
    ----------
    windows
        Of one camera, in their order.
    most
        Points at most: neighbours are put together, weighted by their samples, until there are no more.

    Returns
    -------
    Columns
        One time for each point, and for each signal as many values; None where it had no sample.

    Examples
    --------
    >>> columns([], 10)
    Columns(times=[], frames=[], signals={})
    """
    step = max(1, -(-len(windows) // most))
    groups = [windows[start : start + step] for start in range(0, len(windows), step)]
    names = list(dict.fromkeys(name for window in windows for name in window.signals))
    return Columns(
        times=[round(group[-1].end.timestamp(), 3) for group in groups],
        frames=[sum(window.frames for window in group) for group in groups],
        signals={name: _column(groups, name) for name in names},
    )


class Column(msgspec.Struct, frozen=True):
    """One signal over time; lists of the same length."""

    low: list[float | None]
    middle: list[float | None]
    high: list[float | None]
    reference_low: list[float | None]
    reference_middle: list[float | None]
    reference_high: list[float | None]
    effect: list[float | None]
    threshold: list[float | None]
    shifted: list[bool]


class Columns(msgspec.Struct, frozen=True):
    """Some windows of one camera, by signal."""

    times: list[float]
    """Seconds since 1970: when each ended."""
    frames: list[int]
    signals: dict[SignalName, Column]


def _column(groups: Sequence[Sequence[CameraWindow]], name: SignalName) -> Column:
    found = [[window.signals[name] for window in group if name in window.signals] for group in groups]
    references = [[(one.now.samples, one.reference) for one in group if one.reference is not None] for group in found]

    def now(part: str) -> list[float | None]:
        return [_mean([(one.now.samples, getattr(one.now, part)) for one in group]) for group in found]

    def before(part: str) -> list[float | None]:
        return [_mean([(weight, getattr(spread, part)) for weight, spread in group]) for group in references]

    return Column(
        now("low"),
        now("middle"),
        now("high"),
        before("low"),
        before("middle"),
        before("high"),
        [max((one.effect for one in group), default=None) for group in found],
        [min((one.threshold for one in group), default=None) for group in found],
        [any(one.shifted for one in group) for group in found],
    )


def _mean(weighted: Sequence[tuple[int, float]]) -> float | None:
    total = sum(weight for weight, _ in weighted)
    return round(sum(weight * value for weight, value in weighted) / total, 5) if total else None
