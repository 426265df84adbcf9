"""How a training is done: everything that changes its result, and nothing that needs torch."""

from pathlib import Path

import msgspec


class Recipe(msgspec.Struct, frozen=True):
    """One training."""

    weights: Path
    """Where it starts."""
    epochs: int
    image_size: int = 416
    """Pixels of the long side."""
    batch: int = 16
    seed: int = 1
    learning_rate: float = 0.001
    close_mosaic: int = 2
    """The last epochs see whole pictures."""
