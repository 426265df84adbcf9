"""A picture that is about to be written into a folder, whatever the format."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePath

import msgspec

from maskwatch.messages import MarkedFace


class Item(msgspec.Struct, frozen=True):
    """A picture on its way out."""

    path: Path
    """Where it lies."""
    name: str
    """What its file will be called; no other of the export has this stem."""
    part: str
    """``train``, ``val``, ``test`` and so on; empty if nothing was split."""
    width: int
    """As the picture is shown."""
    height: int
    faces: tuple[MarkedFace, ...]
    twin: str = ""
    """Stem of another file of the same photograph, as it is called in this export if it is in it."""

    @property
    def stem(self) -> str:
        """Return the name without its suffix."""
        return PurePath(self.name).stem


def by_part(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Group items by their part."""
    parts: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        parts[item.part].append(item)
    return dict(parts)
