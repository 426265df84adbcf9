"""MLflow's side of a training, in memory: what `training.tracking` needs of it and nothing else."""

from pathlib import Path

from maskwatch.settings import Settings
from training.errors import TrackingAwayError, TrackingRefusedError
from training.journal import Begun, Event


def _none(event: Event) -> bool:
    return False


class Remembered:
    """Takes events as MLflow does: it may be away, refuse one, or take one and not say so."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.away = False
        self.refuses = _none
        self.loses_answer_to = _none
        self.tries = 0

    def open(self, settings: Settings, folder: Path, begun: Begun) -> "Remembered":
        self.tries += 1
        self._answer()
        return self

    def position(self) -> int:
        self._answer()
        return len(self.events)

    def write(self, event: Event, position: int) -> None:
        self._answer()
        assert position == len(self.events) + 1
        if self.refuses(event):
            # Counted all the same by the next event that is taken.
            self.events.append(event)
            raise TrackingRefusedError("not this one")
        self.events.append(event)
        if self.loses_answer_to(event):
            self.loses_answer_to = _none
            raise TrackingAwayError("no answer in time")

    def _answer(self) -> None:
        if self.away:
            raise TrackingAwayError("nobody there")
