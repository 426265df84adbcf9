"""What the monitor must know of a camera to go on after a restart, as JSON; kept on ``drift-state.v1``."""

from datetime import datetime

import msgspec

from maskwatch.drift_messages import Episode, SignalName
from maskwatch.messages import FrameRef, ModelRef
from processors.hours import HourState, Rows


class CameraState(msgspec.Struct, frozen=True):
    """All of a camera but its hours, which are kept one by one because they hardly ever change."""

    sessions: dict[str, int] = {}
    """The sequence of the last frame that was seen of each of the last sessions."""
    model: ModelRef | None = None
    last: float | None = None
    """When the last sample was captured, in seconds since the epoch."""
    learned: Rows = ()
    recent: Rows = ()
    times: tuple[float, ...] = ()
    frames: tuple[FrameRef, ...] = ()
    sampled: int = 0
    watches: dict[SignalName, tuple[bool, int, int]] = {}
    """Shifted, comparisons in a row against that, and the length that gave it away."""
    hour: HourState = HourState()
    episode: Episode | None = None
    ended: datetime | None = None
    anew: datetime | None = None
    """Since when everything was learned again: labels of frames from before tell of another time."""
    said: datetime | None = None
    """When the newest label that was told of in a window was made."""
