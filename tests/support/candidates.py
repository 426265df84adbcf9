"""What the gate is asked about: models made of the shipped one, and a holdout of drawn people."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner

from maskwatch.annotations import annotations, pictures_by_stem, read_annotation
from maskwatch.cli import main
from maskwatch.messages import MarkedFace
from maskwatch.model_messages import Verdict
from maskwatch.settings import Settings
from producers.drawn import write_voc
from training import gate
from training.datasets.manifest import Entry, Manifest, save

CHAMPION = Settings().detector.model


def drawn_labels(folder: Path, count: int = 12) -> Path:
    """Make a manifest of what a stranger has: drawn people for labels, and no frozen part."""
    write_voc(folder / "drawn", count, 5)
    pictures, entries = pictures_by_stem(folder / "drawn"), []
    for number, file in enumerate(annotations(folder / "drawn")):
        said = read_annotation(file)
        sides = (int(said.width), int(said.height)) * 2
        faces = tuple(
            MarkedFace(name, tuple(x / side for x, side in zip(box, sides, strict=True)))  # type: ignore[arg-type]
            for name, box in said.objects
        )
        path = str(pictures[file.stem])
        entries.append(Entry(f"{number:064x}", path, "door", *sides[:2], f"{number}", "holdout", faces))
    save(Manifest(tuple(entries)), folder / "manifest.json")
    return folder / "manifest.json"


def altered(folder: Path, change: Callable[[dict[str, Any], Path], None]) -> Path:
    """Make a candidate of the shipped model; what is changed gets its ``model.json`` and its folder."""
    shutil.copytree(CHAMPION, folder)
    card = json.loads((folder / "model.json").read_text())
    card["version"] = "candidate"
    change(card, folder)
    (folder / "model.json").write_text(json.dumps(card))
    return folder


def judged(candidate: Path, manifest: Path, out: Path, **bounds: object) -> tuple[int, Verdict]:
    """Let ``maskwatch models gate`` judge; return its exit code and the verdict that it kept."""
    variables = {f"MASKWATCH_GATE__{name.upper()}": str(value) for name, value in bounds.items()}
    variables["MASKWATCH_DETECTOR__PRECISION"] = "int8"
    done = CliRunner().invoke(
        main,
        ["models", "gate", str(candidate), "--manifest", str(manifest), "--out", str(out), "--json"],
        env=variables,
    )
    assert (out / gate.FILE).exists(), done.output
    return done.exit_code, msgspec.json.decode((out / gate.FILE).read_bytes(), type=Verdict)
