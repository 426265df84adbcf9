"""Say what became of folders that were read: in a few lines for people, in full as JSON."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from maskwatch.messages import CLASSES
from maskwatch.quantities import say_count
from training.datasets.catalogue import Catalogue, Duplicates, Picture, Refusal, Repair

SHOWN = 5
"""Of each kind; the catalogue names them all."""


def lines(catalogue: Catalogue) -> Iterator[str]:
    """Yield the report for people."""
    for source in catalogue.sources:
        pictures = [picture for picture in catalogue.pictures if picture.source == source.name]
        yield f"{source.name} ({source.format}): {say_count(len(pictures), 'picture')}, {_faces(pictures)}"
        twins = sum(bool(picture.twin) for picture in pictures)
        if twins:
            yield f"  {twins} have a twin elsewhere"
    if catalogue.repaired:
        yield f"put right: {len(catalogue.repaired)}"
        yield from _by_cause(catalogue.repaired)
    if catalogue.refused:
        yield f"left out: {len(catalogue.refused)}"
        yield from _by_cause(catalogue.refused)
    for kind, title in (("identical", "identical"), ("alike", "look alike")):
        groups = [found for found in catalogue.duplicates if found.kind == kind]
        if groups:
            others = sum(not found.same_faces for found in groups)
            yield f"{title}: {say_count(len(groups), 'group')} of pictures, {others} with other faces marked on them"
            yield from _few([_group(found) for found in groups])


def as_json(catalogue: Catalogue, out: Path) -> str:
    """Return the report for scripts."""
    tree = {
        "catalogue": str(out),
        "sources": {
            source.name: {
                "folder": str(source.folder),
                "format": source.format,
                "pictures": sum(picture.source == source.name for picture in catalogue.pictures),
                "faces": dict(_count([picture for picture in catalogue.pictures if picture.source == source.name])),
            }
            for source in catalogue.sources
        },
        "refused": [_row(refusal) for refusal in catalogue.refused],
        "repaired": [_row(repair) for repair in catalogue.repaired],
        "duplicates": [
            {"kind": found.kind, "pictures": [str(path) for path in found.pictures], "same_faces": found.same_faces}
            for found in catalogue.duplicates
        ],
    }
    return json.dumps(tree, indent=2)


def _row(remark: Refusal | Repair) -> dict[str, str]:
    return {"file": str(remark.path), "cause": remark.cause, "reason": remark.reason}


def _count(pictures: Sequence[Picture]) -> Counter[str]:
    return Counter(face.label for picture in pictures for face in picture.faces)


def _faces(pictures: Sequence[Picture]) -> str:
    count = _count(pictures)
    each = ", ".join(f"{label} {count[label]}" for label in CLASSES)
    return f"{say_count(count.total(), 'face')} ({each})"


def _by_cause(remarks: Sequence[Refusal | Repair]) -> Iterator[str]:
    causes: dict[str, list[str]] = defaultdict(list)
    for remark in remarks:
        causes[remark.cause].append(f"{remark.path}: {remark.reason}")
    for cause, rows in sorted(causes.items(), key=lambda item: -len(item[1])):
        yield f"  {cause}: {len(rows)}"
        yield from _few(rows)


def _few(rows: Sequence[str]) -> Iterator[str]:
    yield from (f"    {row}" for row in rows[:SHOWN])
    if len(rows) > SHOWN:
        yield f"    and {len(rows) - SHOWN} more"


def _group(found: Duplicates) -> str:
    names = ", ".join(str(path) for path in found.pictures[:SHOWN])
    more = f" and {len(found.pictures) - SHOWN} more" if len(found.pictures) > SHOWN else ""
    return names + more
