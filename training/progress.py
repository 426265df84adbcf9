"""How far a training is, for people and for those who wait for it."""

import msgspec


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
