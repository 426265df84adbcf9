"""How a training is done: everything that changes its result, and nothing that needs torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Keep = Literal["best", "last"]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One training."""

    weights: Path
    """Where it starts: a checkpoint of the architecture to train."""
    epochs: Count = 50
    image_size: Annotated[int, msgspec.Meta(ge=32, le=2048)] = 416
    """Pixels of the long side."""
    batch: Count = 16
    """Pictures that are looked at together."""
    pictures_a_step: Count = 16
    """Gradients of this many are added up before weights change: the fewer, the more steps a short training has."""
    bf16: bool = False
    """The network's passes calculate in BF16; weights, losses and val stay floats. Much faster on a CPU that has it
    (avx512_bf16, AMX), slower on one that has not."""
    seed: int = 1
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.001
    """Of AdamW at its height; it falls as a cosine to `last_rate` of it."""
    last_rate: Share = 0.01
    weight_decay: Share = 0.0005
    warmup_epochs: float = 1.0
    patience: Count = 20
    """Epochs without a better val before it ends early."""
    mosaic: Share = 1.0
    """Probability that four pictures are put together."""
    close_mosaic: int = 2
    """The last epochs see whole pictures."""
    scale: Share = 0.5
    """Pictures are scaled by 1 ± this."""
    translate: Share = 0.1
    rotate: Annotated[float, msgspec.Meta(ge=0, le=180)] = 0.0
    """Pictures are turned by up to so many degrees, either way, faces' boxes with them (:mod:`training.turning`)."""
    flip: Share = 0.5
    """Probability that a picture is mirrored."""
    hue: Share = 0.015
    saturation: Share = 0.7
    brightness: Share = 0.4
    degraded: Share = 0.0
    """Probability that a picture is dimmed, blurred, made noisy and so on (:mod:`maskwatch.degradation`)."""
    rare: Share = 0.0
    """Pictures of classes that are on less than this share of all are drawn more often; 0 draws all alike."""
    shares: dict[str, float] = {}
    """How often a source's pictures are drawn, beside 1 for the others; 0.3 sees a third of them each epoch."""
    without: tuple[str, ...] = ()
    """Sources that are not trained on."""
    keep: Keep = "best"
    """The epoch that does best on val, or the last one."""
    distil_from: Path | None = None
    """A larger model's checkpoint whose features are followed; None for none."""

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.bf16 and self.distil_from:
            raise ValueError("bf16 and distil_from do not go together: features are compared in floats")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a TOML file.

    Raises
    ------
    ValueError
        If it is not TOML or not a recipe; the text says where.
    OSError
        If it cannot be read.
    """
    try:
        return recipe_of(msgspec.toml.decode(path.read_bytes()))
    except ValueError as error:
        raise ValueError(f"{path} is not a recipe: {error}") from error


def recipe_of(values: Mapping[str, object]) -> Recipe:
    """Make a recipe of values by name.

    Raises
    ------
    ValueError
        If one is not known, is missing or does not fit; the text says which.
    """
    return msgspec.convert(values, Recipe, dec_hook=_path)


def _path(_kind: type, value: object) -> Path:
    if isinstance(value, str | Path):
        return Path(value)
    raise ValueError(f"{value!r} is no path")
