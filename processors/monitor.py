"""One camera under watch: from its detections to windows of signals and to episodes. Pure, apart from what it keeps.

A detection that was seen before is ignored, one in `sample_s` seconds of the camera's own time becomes a sample, and
every few samples the signals are compared with what they were. The reference is learned in the first minutes; once an
hour of the day was seen on an earlier day, it and its neighbours are the reference at that hour.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from maskwatch.drift_messages import (
    KINDS,
    SIGNALS,
    CameraWindow,
    Confirmation,
    Episode,
    Shift,
    SignalName,
    SignalWindow,
)
from maskwatch.drift_settings import DriftSettings
from maskwatch.messages import Detection, FrameRef
from processors import episodes
from processors.drift import Policy, Verdict, Watch, onset, policy
from processors.episodes import Beginning, Moment, Reason
from processors.hours import Hours, as_matrix, as_rows
from processors.quality import Judged, QualityWatch
from processors.reference import reference
from processors.signals import Samples, histogram, measure, spread
from processors.state import CameraState

SESSIONS = 4
"""Runs of the camera whose last frame is remembered: what is delivered again is of the last or the one before."""

WORTHS = 1000
"""References of which it is remembered what a sample is worth, at most; a day has some 264."""

FRAMES = 48
FRAME_EVERY = 10
"""One sample in so many keeps its frame, as a picture of before."""

Outcome = Literal["sampled", "counted", "seen"]


class Taken(NamedTuple):
    """What came of a detection."""

    outcome: Outcome
    """A sample, a frame between two, or one that was seen before."""
    records: Sequence[CameraWindow | Episode] = ()


class Monitor:
    """Watches one camera.

    Parameters
    ----------
    camera
        Its id.
    settings
        When a difference counts, and how much is learned.
    state, hours
        What an earlier monitor of this camera knew, if there was one.
    """

    def __init__(
        self,
        camera: str,
        settings: DriftSettings,
        state: CameraState | None = None,
        hours: Mapping[int, Samples] | None = None,
    ) -> None:
        self.camera = camera
        self._settings = settings
        self._rules: Policy = policy(settings)
        state = state or CameraState()
        self.hours = Hours(settings, hours or {}, state.hour)
        self._sessions = dict(state.sessions)
        self._model = state.model
        self._others = 0
        self._last = state.last
        self._learned = as_matrix(state.learned)
        self._recent: deque[Samples] = deque(as_matrix(state.recent), settings.most)
        self._times: deque[float] = deque(state.times, settings.most)
        self._frames: deque[FrameRef] = deque(state.frames, FRAMES)
        self._sampled = state.sampled
        self._episode = state.episode
        self._ended = state.ended
        self._quality = QualityWatch(settings, state.anew, state.said)
        self._watches: dict[SignalName, Watch] = {}
        self._worths: dict[int, float] = {}
        self._verdicts: dict[SignalName, Verdict] = {}
        self._since: dict[SignalName, datetime] = {}
        self._window: list[Samples] = []
        self._window_start: float | None = None
        self._window_frames = 0
        if self.learned >= 1:
            self._watch(self._last or 0.0)
            for signal, known in state.watches.items():
                if signal in self._watches:
                    watch = self._watches[signal]
                    watch.shifted, watch.run, watch.length = known
        if self._episode is not None:
            self._since = {shift.signal: shift.since for shift in self._episode.shifts}

    @property
    def learned(self) -> float:
        """Return how much of the reference is learned, 0..1."""
        return min(1.0, len(self._learned) / self._settings.reference)

    @property
    def episode(self) -> Episode | None:
        """Return the open episode."""
        return self._episode

    def take(self, detection: Detection) -> Taken:
        """Take a detection in.

        Returns
        -------
        Taken
            What came of it, with windows and episodes to be told.
        """
        frame = detection.frame
        if frame.sequence <= self._sessions.get(frame.session, -1):
            return Taken("seen")
        self._remember(frame)
        self._window_frames += 1
        at = frame.captured.timestamp()
        # A clock that was set back counts from its new time on.
        if self._last is not None and abs(at - self._last) < self._settings.sample_s:
            return Taken("counted")
        records: list[CameraWindow | Episode] = []
        moment = Moment(frame.captured, frame, detection.model)
        if self._model is None:
            self._model = detection.model
        elif detection.model.sha256 != self._model.sha256:
            self._others += 1
            if self._others < self._rules.least:
                # While models are swapped both look for a while; what another one sees is no change of the world.
                return Taken("counted")
            records += self._start_anew(moment, "new-model")
        self._others = 0
        self._last = at
        records += self.sample(np.array(measure(detection), np.float32), at, moment)
        return Taken("sampled", records)

    def hear(self, judged: Sequence[Judged]) -> None:
        """Take in all labels of the camera that there are, in the order in which their frames were captured."""
        self._quality.hear(judged)

    def confirm(self, episode: str, told: Confirmation | None) -> Episode | None:
        """Let the open episode say what labels say of it; None if it is not the open one, or says so already."""
        known = self._episode
        if known is None or known.id != episode or known.confirmation == told:
            return None
        self._episode = msgspec.structs.replace(known, confirmation=told, phase="update")
        return self._episode

    def state(self) -> CameraState:
        """Return all that must be known to go on, but for the hours."""
        return CameraState(
            sessions=dict(self._sessions),
            model=self._model,
            last=self._last,
            learned=as_rows(self._learned),
            recent=as_rows(self._recent),
            times=tuple(self._times),
            frames=tuple(self._frames),
            sampled=self._sampled,
            watches={name: (watch.shifted, watch.run, watch.length) for name, watch in self._watches.items()},
            hour=self.hours.state(),
            episode=self._episode,
            ended=self._ended,
            anew=self._quality.anew,
            said=self._quality.said,
        )

    def _remember(self, frame: FrameRef) -> None:
        if frame.session not in self._sessions and len(self._sessions) >= SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[frame.session] = frame.sequence

    def sample(self, row: Samples, at: float, moment: Moment) -> Iterator[CameraWindow | Episode]:
        """Take a sample in, whatever it was made of, and yield what is to be told.

        Parameters
        ----------
        row
            Its signals.
        at
            When it was captured, in seconds since the epoch.
        moment
            The same, and the frame and model.
        """
        yield from self._summary(at)
        self._window.append(row)
        self._recent.append(row.copy())
        self._times.append(at)
        if self._sampled % FRAME_EVERY == 0:
            self._frames.append(moment.frame)
        self._sampled += 1
        turned = self.hours.add(row, at, drifting=self._episode is not None)
        if self.learned < 1:
            self._learned = np.concatenate((self._learned, row[np.newaxis]))
            if self.learned >= 1:
                self._watch(at)
            return
        if turned:
            self._watch(at)
        else:
            for signal, value in zip(SIGNALS, row.tolist(), strict=True):
                if signal in self._watches:
                    self._watches[signal].add(value)
        if self._sampled % self._rules.every == 0:
            yield from self._compare(moment)

    def _watch(self, at: float) -> None:
        """Watch every signal by the reference of this hour; what came of late is known to it."""
        recent = np.array(self._recent) if self._recent else as_matrix(())
        hour = self.hours.reference(at)
        values, stride = hour if hour is not None else (self._learned, 1)
        earlier, self._watches = self._watches, {}
        if len(self._worths) > WORTHS:
            self._worths.clear()
        for column, signal in enumerate(SIGNALS):
            # An hour that comes again has the same samples; what they are worth is not worked out again.
            known = hash((stride, values[:, column].tobytes()))
            found = reference(values[:, column], stride, self._rules.least, self._worths.get(known))
            if found is None:
                continue
            self._worths[known] = found.worth
            self._watches[signal] = Watch(
                found, self._rules, getattr(self._settings.least_change, signal), recent[:, column]
            )
            if signal in earlier:
                self._watches[signal].follow(earlier[signal])

    def _compare(self, moment: Moment) -> Iterator[Episode]:
        current: dict[SignalName, Shift] = {}
        for column, signal in enumerate(SIGNALS):
            watch = self._watches.get(signal)
            before = watch is not None and watch.shifted
            verdict = watch.judge() if watch is not None else None
            if watch is None or verdict is None:
                # Without faces nothing is known of them: what was shifted then stays so.
                if watch is not None and watch.shifted and self._episode is not None:
                    current |= {shift.signal: shift for shift in self._episode.shifts if shift.signal == signal}
                continue
            self._verdicts[signal] = verdict
            if before and not verdict.shifted:
                self._forget(column, verdict.newest.samples)
            if verdict.shifted:
                current[signal] = self._shift(signal, np.array([row[column] for row in self._recent]), watch, verdict)
        if (fallen := self._quality.shift(moment.model.sha256, self._since.get("agreement"))) is not None:
            current["agreement"] = fallen
            self._since["agreement"] = fallen.since
        self._since = {signal: since for signal, since in self._since.items() if signal in current}
        yield from self._told(moment, current)

    def _forget(self, column: int, samples: int) -> None:
        """Forget what came of a signal before it was back, but for so many samples, as its watch does."""
        there = [row for row in self._recent if not np.isnan(row[column])]
        for row in there[:-samples]:
            row[column] = np.nan

    def _told(self, moment: Moment, current: Mapping[SignalName, Shift]) -> Iterator[Episode]:
        if self._episode is None:
            if current:
                self._episode = episodes.begin(
                    self.camera, moment, tuple(current.values()), self._beginning(moment, current)
                )
                yield self._episode
            return
        if not current:
            yield self._end(moment, "recovered")
            return
        self._episode = episodes.largest(self._episode, current)
        lasted = (moment.at - self._episode.started).total_seconds()
        if lasted >= self._settings.adopt_s:
            yield from self._start_anew(moment, "adopted")
            return
        changed = episodes.update(self._episode, moment, current)
        if changed is not None:
            self._episode = changed
            yield changed

    def _beginning(self, moment: Moment, current: Mapping[SignalName, Shift]) -> Beginning:
        since = min(shift.since for shift in current.values())
        before = [frame for frame in self._frames if frame.captured < since]
        gap = moment.at - self._ended if self._ended is not None else None
        return Beginning(
            since,
            before[-1] if before else None,
            alert=not episodes.too_soon(gap, self._settings.cooldown_s),
        )

    def _shift(self, signal: SignalName, values: Samples, watch: Watch, verdict: Verdict) -> Shift:
        there = ~np.isnan(values)
        if signal not in self._since:
            times = np.array(self._times)[there]
            since = float(times[onset(watch.reference.ranks(values[there]).upto)])
            self._since[signal] = datetime.fromtimestamp(since, UTC)
        newest = values[there][-verdict.newest.samples :]
        before, after = spread(watch.reference.ordered), spread(newest)
        assert before is not None  # noqa: S101  # both have samples: they were compared
        assert after is not None  # noqa: S101
        edges, before_bars, after_bars = histogram(watch.reference.ordered, newest)
        return Shift(
            signal,
            KINDS[signal],
            self._since[signal],
            round(verdict.newest.effect, 4),
            verdict.newest.p,
            before,
            after,
            edges,
            before_bars,
            after_bars,
        )

    def _start_anew(self, moment: Moment, reason: Reason) -> Iterator[Episode]:
        """Learn everything again."""
        if self._episode is not None:
            yield self._end(moment, reason)
        self._model = moment.model
        self._quality.forget(moment.at)
        self._learned = self._learned[:0]
        self._watches, self._verdicts, self._since = {}, {}, {}
        self._recent.clear()
        self._times.clear()
        self.hours.forget()

    def _end(self, moment: Moment, reason: Reason) -> Episode:
        assert self._episode is not None  # noqa: S101  # whoever calls has looked
        ended = episodes.end(self._episode, moment.at, reason)
        self._episode, self._ended = None, moment.at
        return ended

    def _summary(self, at: float) -> Iterator[CameraWindow]:
        """Tell of the window that ends with this sample, if one does."""
        if self._window_start is None:
            self._window_start = at
        if abs(at - self._window_start) < self._settings.summary_s:
            return
        if self._window:
            yield self._told_window(self._window_start, at)
        # The frame that ends a window is the first of the next.
        self._window_start, self._window, self._window_frames = at, [], 1

    def _told_window(self, start: float, end: float) -> CameraWindow:
        rows = np.array(self._window)
        signals: dict[SignalName, SignalWindow] = {}
        for column, signal in enumerate(SIGNALS):
            now = spread(rows[:, column])
            if now is None:
                continue
            watch, verdict = self._watches.get(signal), self._verdicts.get(signal)
            signals[signal] = SignalWindow(
                now,
                spread(watch.reference.ordered) if watch is not None else None,
                round(verdict.newest.effect, 4) if verdict is not None else 0.0,
                round(min(1.0, verdict.threshold), 4) if verdict is not None else 1.0,
                watch is not None and watch.shifted,
            )
        model = self._model.sha256 if self._model is not None else ""
        if (labelled := self._quality.window(model, self._since.get("agreement"))) is not None:
            signals["agreement"] = labelled
        state: Literal["learning", "watching", "drifting"] = "learning"
        if self.learned >= 1:
            state = "drifting" if self._episode is not None else "watching"
        return CameraWindow(
            self.camera,
            datetime.fromtimestamp(start, UTC),
            datetime.fromtimestamp(end, UTC),
            state,
            round(self.learned, 3),
            self._window_frames - 1,
            len(rows),
            signals,
            self._episode.id if self._episode is not None else None,
        )
