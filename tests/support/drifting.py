"""A camera whose light fails, as the drift monitor would tell it: windows, an episode, an alert; all of it seeded."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np

from maskwatch.drift_messages import KINDS, Alert, CameraWindow, Episode, Shift, SignalName, SignalWindow, Spread
from maskwatch.messages import FrameRef, ModelRef

MODEL = ModelRef("yolov8n-facemask", "1", "ab" * 32)
USUAL: Mapping[SignalName, tuple[float, float]] = {
    "brightness": (0.46, 0.02),
    "contrast": (0.22, 0.008),
    "sharpness": (0.31, 0.012),
    "colour": (0.04, 0.006),
    "face_size": (0.11, 0.02),
    "score": (0.81, 0.03),
    "without_mask": (0.18, 0.07),
    "incorrect": (0.04, 0.03),
    "faces": (4.6, 0.9),
}
"""Mean and standard deviation of each signal."""

DARK: Mapping[SignalName, float] = {"brightness": 0.16, "contrast": 0.09, "score": 0.63}
"""What some become once the light is out."""

BARS = 12


def spread(mean: float, deviation: float, samples: int = 30) -> Spread:
    """Return the spread of a normal distribution."""
    low, middle, high = (round(mean + factor * deviation, 4) for factor in (-1.28, 0, 1.28))
    return Spread(samples, round(mean, 4), low, middle, high)


def frame(camera: str, captured: datetime, sequence: int = 1, session: str = "s1") -> FrameRef:
    """Return a frame as a detection names it."""
    identity = f"{camera}:{session}:{sequence}"
    return FrameRef(identity, camera, session, sequence, captured, 1280, 720, "frames.live.v1", 3, sequence)


def windows(  # noqa: PLR0913  # a story has this many parts
    camera: str,
    until: datetime,
    count: int,
    *,
    step: timedelta = timedelta(minutes=1),
    dark: tuple[datetime, datetime] | None = None,
    learning: int = 0,
    gap: int = 0,
    episode: str | None = None,
    seed: int = 1,
) -> list[CameraWindow]:
    """Return so many windows, the last of which ends at a time.

    Parameters
    ----------
    dark
        From when until when the light is out.
    learning
        So many at the beginning have no reference yet.
    gap
        So many in the middle are missing: the camera was away.
    episode
        Named by the windows in the dark.
    seed
        The noise follows from it.
    """
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        end = until - step * (count - 1 - number)
        out = dark is not None and dark[0] <= end < dark[1]
        found.append(
            CameraWindow(
                camera,
                end - step,
                end,
                "learning" if number < learning else "drifting" if out else "watching",
                min(1.0, round((number + 1) / learning, 2)) if learning else 1.0,
                int(random.integers(560, 601)),
                30,
                {name: _signal(name, random, out=out, learning=number < learning) for name in USUAL},
                episode if out else None,
            )
        )
    half = (count - gap) // 2
    return found[:half] + found[half + gap :]


def _signal(name: SignalName, random: np.random.Generator, *, out: bool, learning: bool) -> SignalWindow:
    mean, deviation = USUAL[name]
    shifted = out and name in DARK
    now = (DARK[name] if shifted else mean) + float(random.normal(0, deviation * 0.35))
    effect = round(float(np.clip(0.97 if shifted else random.normal(0.1, 0.03), 0, 1)), 4)
    return SignalWindow(
        spread(now, deviation * (0.5 if shifted else 1)),
        None if learning else spread(mean, deviation, 300),
        0.0 if learning else effect,
        1.0 if learning else 0.31,
        shifted,
    )


def shift(name: SignalName, since: datetime, *, back: bool = False) -> Shift:
    """Return how a signal has shifted in the dark."""
    mean, deviation = USUAL[name]
    after = DARK.get(name, mean * 1.6)
    low, high = sorted((min(mean, after) - 3 * deviation, max(mean, after) + 3 * deviation))
    edges = [round(float(edge), 4) for edge in np.linspace(low, high, BARS + 1)]
    return Shift(
        name,
        KINDS[name],
        since,
        0.97 if name in DARK else 0.52,
        1e-9,
        spread(mean, deviation, 300),
        spread(after, deviation / 2, 40),
        tuple(edges),
        bars(edges, mean, deviation),
        bars(edges, after, deviation / 2),
        not back,
    )


def bars(edges: Sequence[float], mean: float, deviation: float) -> tuple[float, ...]:
    """Return the share of a normal distribution in each bar."""
    heights = [
        np.exp(-((((first + second) / 2) - mean) ** 2) / (2 * deviation**2))
        for first, second in itertools.pairwise(edges)
    ]
    total = sum(heights) or 1.0
    return tuple(round(float(height / total), 4) for height in heights)


def darkness(  # noqa: PLR0913
    camera: str,
    since: datetime,
    *,
    ended: datetime | None = None,
    signals: Sequence[SignalName] = ("brightness", "contrast", "score"),
    text: str = "",
    sequence: int = 812,
    alert: bool = True,
) -> Episode:
    """Return the episode of a light that went out."""
    started = since + timedelta(seconds=80)
    after = frame(camera, started, sequence)
    return Episode(
        f"{after.id}:drift",
        camera,
        "input",
        "end" if ended else "start",
        since,
        started,
        ended or started,
        MODEL,
        tuple(shift(name, since, back=ended is not None) for name in signals),
        text or f"{camera} became darker and flatter at {since:%H:%M} UTC; the model's score fell from 0.81 to 0.63",
        ended,
        "recovered" if ended else "",
        frame(camera, since - timedelta(seconds=30), sequence - 800),
        after,
        alert,
    )


def alert(episode: Episode, acknowledged: datetime | None = None, by: str = "") -> Alert:
    """Return the alert of an episode."""
    return Alert(episode.id, episode.camera, episode.kind, episode.started, episode.text, acknowledged, by)
