"""How far a training is, for people and for those who wait for it."""

import time
from pathlib import Path
from typing import Any

import msgspec

from maskwatch import rounds
from maskwatch.model_messages import EpochFigures, RunProgress

TELL_EVERY_S = 2.0


class Step(msgspec.Struct, frozen=True):
    """Within an epoch: `share` of it is done, and `seconds_left` remain of the whole training."""

    epoch: int
    epochs: int
    share: float
    seconds_left: float


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch that is done: what it lost, and how it does on val (the checkpoint, by Ultralytics' own figure)."""

    epoch: int
    """From 1."""
    epochs: int
    losses: dict[str, float]
    map50: float
    map50_95: float
    learning_rate: float
    seconds: float
    seconds_left: float
    """Of the whole training, by the mean of this run."""
    best: bool
    """Whether no earlier one did better."""

    def sentence(self) -> str:
        """Say it in one line.

        Examples
        --------
        >>> Epoch(epoch=3, epochs=50, losses={"box": 1.24, "cls": 0.8}, map50=0.712, map50_95=0.401,
        ...       learning_rate=0.001, seconds=61, seconds_left=2900, best=True).sentence()
        'epoch 3 of 50 · box 1.24, cls 0.80 · mAP50 0.712, mAP50-95 0.401 on val, the best so far · 48 min left'
        """
        losses = ", ".join(f"{name} {value:.2f}" for name, value in self.losses.items())
        best = ", the best so far" if self.best else ""
        return (
            f"epoch {self.epoch} of {self.epochs} · {losses} · mAP50 {self.map50:.3f}, mAP50-95 {self.map50_95:.3f} "
            f"on val{best} · {self.seconds_left / 60:.0f} min left"
        )


class Telling:
    """How far a round is, told in its folder; what an earlier attempt has told goes on.

    Parameters
    ----------
    folder
        The round's own; it must be there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._now = rounds.read(folder) or RunProgress()
        self._told = float("-inf")

    def tell(self, **changes: Any) -> None:  # noqa: ANN401  # fields of RunProgress
        """Write what has changed, at once."""
        self._now = msgspec.structs.replace(self._now, **changes)
        self._told = time.monotonic()
        rounds.write(self._folder, self._now)

    def step(self, now: Step) -> None:
        """Tell how far the training is, now and then."""
        if time.monotonic() - self._told >= TELL_EVERY_S:
            share = (now.epoch - 1 + now.share) / now.epochs
            self.tell(share=share, epoch=now.epoch, epochs=now.epochs, seconds_left=now.seconds_left)

    def share(self, share: float) -> None:
        """Tell how far the stage is, now and then."""
        if time.monotonic() - self._told >= TELL_EVERY_S:
            self.tell(share=share)

    def epoch(self, done: Epoch) -> None:
        """Tell an epoch that is done; one that was cut off and is trained again takes the place of what was told."""
        figures = EpochFigures(
            epoch=done.epoch, losses=done.losses, map50=done.map50, map50_95=done.map50_95, seconds=done.seconds
        )
        before = tuple(one for one in self._now.history if one.epoch < done.epoch)
        self.tell(
            epoch=done.epoch,
            epochs=done.epochs,
            share=done.epoch / done.epochs,
            seconds_left=done.seconds_left,
            history=(*before, figures),
        )
