"""Decide which pictures are trained on, which choose the best epoch, and which judge.

Groups of look-alikes are split, never pictures, so that nothing is judged on what it was trained on. Every source and
class is spread over the parts in the shares wanted, the rarest first: K. Sechidis, G. Tsoumakas and I. Vlahavas, "On
the Stratification of Multi-Label Data", ECML PKDD 2011. What an earlier version decided stands, and its test part is
frozen: what comes later goes to train, val or holdout, and what looks like a picture of the test part goes nowhere.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple, get_args

Part = Literal["train", "val", "test", "holdout", "left out"]
PARTS: tuple[Part, ...] = get_args(Part)
SHARES: Mapping[Part, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
LATER_SHARES: Mapping[Part, float] = {"train": 8 / 9, "val": 1 / 9}
"""Once the test part is frozen."""
HELD_OUT_OF = 3
"""One in so many of an installation's labels is judged on, never trained on."""

Strata = Counter[tuple[str, str]]
"""How many faces of each source and class a group holds, and how many pictures of each source (class ``""``)."""


class Burst(NamedTuple):
    """A stretch of one camera's time, whose frames stand on one side of a split."""

    camera: str
    number: int
    """Of the stretch: they follow one another, all of one length."""


def stratify(groups: Mapping[str, Strata], shares: Mapping[Part, float]) -> dict[str, Part]:
    """Spread groups over parts so that each has its share of every stratum.

    Parameters
    ----------
    groups
        What each group holds, by its name.
    shares
        Of the parts; they sum to 1.

    Returns
    -------
    dict
        The part of each group, the same in whatever order the groups come.

    Examples
    --------
    >>> rare, common = Counter({("voc", "incorrect"): 1}), Counter({("voc", "with"): 5})
    >>> groups = {f"{n}": rare if n < 10 else common for n in range(50)}
    >>> parts = stratify(groups, {"train": 0.8, "test": 0.2})
    >>> sum(parts[f"{n}"] == "test" for n in range(10)), sum(parts[f"{n}"] == "test" for n in range(10, 50))
    (2, 8)
    """
    left = {name: +strata for name, strata in groups.items()}
    missing: Strata = sum(left.values(), Counter())
    wanted = {part: {stratum: count * share for stratum, count in missing.items()} for part, share in shares.items()}
    parts: dict[str, Part] = {name: max(shares, key=lambda part: shares[part]) for name in left if not left[name]}
    while +missing:
        rarest = min(+missing, key=lambda stratum: (missing[stratum], stratum))
        # The largest first: what is small fits into what is then still wanted.
        holding = [name for name in left if name not in parts and left[name][rarest]]
        for name in sorted(holding, key=lambda name: (-left[name][rarest], draw(name), name)):
            # An exact sum, for one that rounds depends on the order in which the strata came.
            part = max(shares, key=lambda part: (wanted[part][rarest], math.fsum(wanted[part].values()), shares[part]))
            parts[name] = part
            missing.subtract(left[name])
            for stratum, count in left[name].items():
                wanted[part][stratum] -= count
    return parts


def newcomers_part(earlier: Collection[Part]) -> Part:
    """Say where pictures go that look like others which an earlier version has put somewhere.

    Parameters
    ----------
    earlier
        The parts of those others, at least one.

    Examples
    --------
    >>> newcomers_part(["train", "val"]), newcomers_part(["train", "test"])
    ('val', 'left out')
    """
    if "test" in earlier:  # frozen, and they would give it away to train
        return "left out"
    order: tuple[Part, ...] = ("holdout", "val", "train", "left out")
    return next(part for part in order if part in earlier)


def held_out(group: str | Burst) -> bool:
    """Tell whether a group of an installation's labels is judged on instead of trained on, a third of them, by hash.

    Of a camera's bursts it is one of every three in a row, so that a hundred labels of half an hour leave enough to
    judge by: were each drawn for itself, they would not in four cases of ten.

    Parameters
    ----------
    group
        A burst, or the name of a group of look-alikes.

    Examples
    --------
    >>> [sum(held_out(Burst("door", first + n)) for n in range(3)) for first in (0, 3, 6)]
    [1, 1, 1]
    """
    if isinstance(group, Burst):
        row, place = divmod(group.number, HELD_OUT_OF)
        return int(draw(f"{group.camera} {row}") * HELD_OUT_OF) == place
    return draw(group) * HELD_OUT_OF < 1


def draw(name: str) -> float:
    """Return a number in 0..1 that follows from a name alone."""
    return int.from_bytes(hashlib.sha256(f"part:{name}".encode()).digest()[:8], "big") / 2**64
