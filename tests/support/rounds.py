"""Rounds of the learning loop that are small enough for a test: drawn people, two epochs, and no base set."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from maskwatch.annotations import annotations, pictures_by_stem, read_annotation
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import MarkedFace
from maskwatch.store import Store
from producers.drawn import write_voc

SMALL: Mapping[str, Mapping[str, Any]] = {
    "retrain": {"base": None, "rehearsal": 12, "epochs": 2, "image_size": 64},
    "gate": {"pictures": 2},
    "detector": {"precision": "fp32"},
}
"""Settings, by group."""


def round_command(out: Path, why: str) -> list[str]:
    """Return the command that runs a round, or goes on with it."""
    return [sys.executable, "-m", "maskwatch", "retrain", "--here", "--out", str(out), "--why", why]


def labelled(store: Store, folder: Path, count: int) -> None:
    """Let people have labelled drawn pictures."""
    write_voc(folder, count, 9)
    pictures = pictures_by_stem(folder)
    for number, file in enumerate(annotations(folder)):
        said = read_annotation(file)
        sides = (int(said.width), int(said.height)) * 2
        faces = tuple(
            MarkedFace(name, tuple(x / side for x, side in zip(box, sides, strict=True)))  # type: ignore[arg-type]
            for name, box in said.objects
        )
        sha256 = store.put(pictures[file.stem].read_bytes())
        label = FrameLabel(
            frame=f"door:s1:{number}", state="labelled", at=datetime.now(UTC), by="ann", faces=faces, sha256=sha256,
            width=sides[0], height=sides[1], source="door",
        )  # fmt: skip
        store.write_label(label.frame, msgspec.json.encode(label))
