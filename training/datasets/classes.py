"""Which of our classes is meant by the names that data sets use."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from maskwatch.errors import did_you_mean
from maskwatch.messages import CLASSES, Label
from training.errors import CatalogueError

Meaning = Label | Literal["-"]
"""One of our classes, or that such boxes are left out."""
MEANINGS: tuple[Meaning, ...] = (*CLASSES, "-")

_SPELLINGS: Mapping[Label, str] = {
    "with_mask": "with_mask mask masked face_mask facemask mask_on face_with_mask masked_face wearing_mask mask_worn "
    "mask_correct correct_mask mask_weared_correct mask_worn_correctly mask_worn_correct correctly_worn_mask "
    "face_with_mask_correct cmfd",
    "without_mask": "without_mask no_mask nomask unmasked mask_off face_no_mask face_without_mask unmasked_face "
    "not_wearing_mask mask_not_worn",
    "mask_weared_incorrect": "mask_weared_incorrect incorrect_mask mask_incorrect incorrectly_masked incorrect_masked "
    "mask_worn_incorrectly mask_worn_incorrect mask_weared_incorrectly incorrectly_worn_mask incorrect_mask_wearing "
    "improper_mask mask_improper improperly_worn_mask wrong_mask mask_wrong face_with_mask_incorrect "
    "face_with_mask_incorrectly partially_covered imfd",
}
"""How public sets spell our classes; capitals, spaces and hyphens do not count."""

DEFAULTS: Mapping[str, Meaning] = MappingProxyType(
    {spelling: label for label, spellings in _SPELLINGS.items() for spelling in spellings.split()}
)
"""Our class by spelling. «face» is not among them: to some sets it is a bare face, to others any."""


def plain(name: str) -> str:
    """Return a class's name without what does not count in it.

    Examples
    --------
    >>> plain(" No-Mask "), plain("WithMask"), plain("mask weared incorrect")
    ('no_mask', 'with_mask', 'mask_weared_incorrect')
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s_\-./]+", "_", apart).lower()


def table(pairs: Iterable[str], file: Path | None = None) -> dict[str, Meaning]:
    """Make the table of names.

    Parameters
    ----------
    pairs
        ``OLD=NEW`` each; NEW is one of our classes, or ``-`` for boxes that shall be left out.
    file
        One pair a line; ``#`` begins a comment.

    Returns
    -------
    dict
        What each name means; the pairs go before the file, and both before `DEFAULTS`.

    Raises
    ------
    CatalogueError
        If a pair is none, or the file cannot be read.

    Examples
    --------
    >>> table(["Face=without_mask", "hat=-"])["face"]
    'without_mask'
    """
    lines: list[str] = []
    if file is not None:
        try:
            lines = [line.partition("#")[0] for line in file.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise CatalogueError(f"the table of classes {file} cannot be read: {error}") from error
    given = dict(_pair(line) for line in (*lines, *pairs) if line.strip())
    return {**DEFAULTS, **given}


def _pair(text: str) -> tuple[str, Meaning]:
    old, equals, new = (word.strip() for word in text.rpartition("="))
    if not equals or not old:
        raise CatalogueError(f"{text.strip()!r} is not OLD=NEW, such as face=without_mask or hat=-")
    for meaning in MEANINGS:
        if new == meaning:
            return plain(old), meaning
    hint = did_you_mean(new, CLASSES, otherwise=f"known are {', '.join(CLASSES)}")
    raise CatalogueError(f"{text.strip()!r}: {new!r} is no class of ours; {hint}")
