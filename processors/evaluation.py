"""How well drift is told from no drift: scenarios made of what was really seen, run through the real logic. Pure.

What was seen is resampled, because nobody has months of recordings: single samples where pictures have nothing to do
with each other (photographs), and blocks of neighbours where they have (clips, scenes), so that what a camera's world
does within such a block stays as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from river.drift import ADWIN, KSWIN

from maskwatch.drift_messages import SIGNALS, Episode, SignalName
from maskwatch.drift_settings import DriftSettings
from maskwatch.messages import FrameRef, ModelRef
from processors.drift import MONTH_S
from processors.episodes import Moment
from processors.monitor import Monitor
from processors.signals import Samples

START = datetime(2026, 11, 2, 8, tzinfo=UTC).timestamp()
PATIENCE = 600
"""Samples after a change after which it counts as missed: 20 minutes."""

DAY_S = 86_400
SETTLED = 200
"""Samples between the end of learning and a change."""

MODEL = ModelRef("evaluated", "", "")

Next = Callable[[np.random.Generator], Samples]
"""Gives the next samples of a world, a whole block of them: shape (samples, signals)."""


class Found(NamedTuple):
    """An episode, and the number of the sample with which it came."""

    sample: int
    episode: Episode


class Delay(NamedTuple):
    """How one change was noticed."""

    samples: int | None
    """From the change to the episode; None if it was missed."""
    first: SignalName | None = None
    """The signal with the largest effect then."""
    before: int = 0
    """Episodes before anything had changed."""


class Rate(NamedTuple):
    """Alarms over a time without a change."""

    alarms: int
    months: float

    @property
    def upper(self) -> float:
        """Return the upper bound (95 %, one-sided) of alarms a camera-month, if they come as Poisson's do.

        Examples
        --------
        >>> round(Rate(0, 3.0).upper, 2), round(Rate(2, 3.0).upper, 2)
        (1.0, 2.1)
        """
        from scipy.stats import chi2  # type: ignore[import-untyped]  # noqa: PLC0415  # a second, and only for this

        return float(chi2.ppf(0.95, 2 * self.alarms + 2)) / 2 / self.months


def independent(seen: Samples, block: int = 100) -> Next:
    """Return a world of samples that have nothing to do with each other."""

    def draw(random: np.random.Generator) -> Samples:
        return seen[random.integers(len(seen), size=block)]

    return draw


def in_blocks(seen: Samples, block: int) -> Next:
    """Return a world in which so many neighbours stay together."""

    def draw(random: np.random.Generator) -> Samples:
        begin = int(random.integers(len(seen)))
        return seen[(begin + np.arange(block)) % len(seen)]

    return draw


def mixed(one: Next, other: Next, share: float) -> Next:
    """Return a world in which so large a share of the samples is of another."""

    def draw(random: np.random.Generator) -> Samples:
        first, second = one(random), other(random)
        both = min(len(first), len(second))
        return np.where(random.random((both, 1)) < share, second[:both], first[:both])

    return draw


class Camera:
    """A camera whose samples are given one by one, two seconds apart or whatever the settings say."""

    def __init__(self, settings: DriftSettings) -> None:
        # Nobody reads its windows, so there is one a day.
        self.monitor = Monitor("evaluated", settings.model_copy(update={"summary_s": DAY_S}))
        self.number = 0
        self._step = settings.sample_s

    def see(self, samples: Samples) -> Iterator[Found]:
        """Take samples in, and yield every new episode."""
        for row in samples:
            at = START + self.number * self._step
            time = datetime.fromtimestamp(at, UTC)
            frame = FrameRef(f"evaluated:s:{self.number}", "evaluated", "s", self.number, time, 1, 1, "", 0, 0)
            for record in self.monitor.sample(row, at, Moment(time, frame, MODEL)):
                if isinstance(record, Episode) and record.phase == "start":
                    yield Found(self.number, record)
            self.number += 1


def stationary(world: Next, settings: DriftSettings, samples: int, seed: int) -> list[Found]:
    """Run a world without a change for so many samples; every episode is a false one."""
    random, camera = np.random.default_rng(seed), Camera(settings)
    found: list[Found] = []
    while camera.number < samples:
        found += camera.see(world(random)[: samples - camera.number])
    return found


def change(before: Next, after: Next, settings: DriftSettings, seed: int) -> Delay:
    """Run a world that changes at once, some time after its reference was learned."""
    random, camera = np.random.default_rng(seed), Camera(settings)
    turns = settings.reference + SETTLED
    false = 0
    while camera.number < turns:
        false += len(list(camera.see(before(random)[: turns - camera.number])))
    if camera.monitor.episode is not None:
        # What is open already cannot begin: such a run says nothing of the change.
        return Delay(None, None, false)
    while camera.number < turns + PATIENCE:
        for found in camera.see(after(random)[: turns + PATIENCE - camera.number]):
            first = max(found.episode.shifts, key=lambda shift: shift.effect).signal
            return Delay(found.sample - turns + 1, first, false)
    return Delay(None, None, false)


def days(day: Next, night: Next, settings: DriftSettings, number: int, seed: int) -> list[Found]:
    """Run days of light and dark with an hour of dawn at 6 and of dusk at 17."""
    random, camera = np.random.default_rng(seed), Camera(settings)
    found: list[Found] = []
    step = settings.sample_s
    while camera.number < number * 86_400 / step:
        hour = (START + camera.number * step) / 3600 % 24
        dark = float(np.clip(np.interp(hour, (6, 7, 17, 18), (1, 0, 0, 1)), 0, 1))
        found += camera.see(mixed(day, night, dark)(random))
    return found


def river(kind: str, world: Next, samples: int, seed: int) -> int:
    """Run one of River's detectors, as it comes, over every signal; return its alarms.

    Parameters
    ----------
    kind
        ``ADWIN`` or ``KSWIN``.
    """
    random = np.random.default_rng(seed)
    detectors = [_plain(kind, seed + number) for number in range(len(SIGNALS))]
    alarms = done = 0
    while done < samples:
        for row in world(random)[: samples - done]:
            done += 1
            # Signals that alarm at the same sample count once, which favours River.
            alarmed = False
            for detector, value in zip(detectors, row.tolist(), strict=True):
                if value == value:  # noqa: PLR0124  # not NaN
                    detector.update(value)  # type: ignore[no-untyped-call]
                    alarmed |= bool(detector.drift_detected)
            alarms += alarmed
    return alarms


def river_delay(kind: str, before: Next, after: Next, settings: DriftSettings, seed: int) -> int | None:
    """Return after how many samples of a change one of River's detectors gives an alarm; None if it does not."""
    random = np.random.default_rng(seed)
    detectors = [_plain(kind, seed + number) for number in range(len(SIGNALS))]
    turns = settings.reference + SETTLED
    rows = np.concatenate([_exactly(before, turns, random), _exactly(after, PATIENCE, random)])
    for number, row in enumerate(rows):
        for detector, value in zip(detectors, row.tolist(), strict=True):
            if value == value:  # noqa: PLR0124  # not NaN
                detector.update(value)  # type: ignore[no-untyped-call]
                if detector.drift_detected and number >= turns:
                    return number - turns + 1
    return None


def months(samples: int, settings: DriftSettings) -> float:
    """Return for how many camera-months so many samples stand."""
    return samples * settings.sample_s / MONTH_S


def told(delays: Sequence[Delay]) -> tuple[float, float, int, str]:
    """Return median and worst delay in samples, misses, and the signal that was first most often."""
    noticed = [delay.samples for delay in delays if delay.samples is not None]
    firsts = [delay.first for delay in delays if delay.first is not None]
    if not noticed:
        return float("nan"), float("nan"), len(delays), ""
    most = max(sorted(set(firsts)), key=firsts.count)
    return float(np.median(noticed)), float(max(noticed)), len(delays) - len(noticed), most


def _plain(kind: str, seed: int) -> ADWIN | KSWIN:
    return ADWIN(clock=1) if kind == "ADWIN" else KSWIN(seed=seed)  # type: ignore[no-untyped-call]


def _exactly(world: Next, samples: int, random: np.random.Generator) -> Samples:
    drawn: list[Samples] = []
    while sum(map(len, drawn)) < samples:
        drawn.append(world(random))
    return np.concatenate(drawn)[:samples]
