"""``maskwatch data split``: make a version of the data set of catalogues, and say what it holds."""

from collections import Counter
from pathlib import Path

import click

from maskwatch.messages import CLASSES
from training.datasets import catalogue
from training.datasets.manifest import Manifest, build, load, save
from training.datasets.split import PARTS
from training.errors import ManifestError


def command(
    catalogues: tuple[Path, ...],
    previous: Path | None,
    train_only: frozenset[str],
    labels: frozenset[str],
    out: Path,
) -> None:
    """Split catalogues into a manifest, write it, and print what each part holds.

    Parameters
    ----------
    catalogues
        What «maskwatch data import» wrote.
    previous
        The version to build upon.
    train_only, labels
        Sources, as :func:`training.datasets.manifest.build` takes them.
    out
        Where the manifest goes. A manifest that is there is replaced only by one with the same content.

    Raises
    ------
    ManifestError
        If a source is not in the catalogues, another version lies at `out`, or it cannot be written.
    CatalogueError
        If a catalogue cannot be read, or a picture is gone, cannot be decoded or is not what was imported.
    """
    pictures = [picture for file in catalogues for picture in catalogue.load(file).pictures]
    sources = {picture.source for picture in pictures}
    if unknown := (train_only | labels) - sources:
        raise ManifestError(f"no source is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(sources))}")
    manifest = build(pictures, previous=load(previous) if previous else None, train_only=train_only, labels=labels)
    if out.exists() and load(out).sha256 != manifest.sha256:
        raise ManifestError(f"{out} is another version, and versions are never changed: name another file")
    save(manifest, out)
    click.echo(f"{out}: version {manifest.sha256[:12]}, {len(manifest.entries)} pictures\n{table(manifest)}")


def table(manifest: Manifest) -> str:
    """Say how many pictures and faces each part has, one row a source and class."""
    pictures = Counter((entry.source, entry.part) for entry in manifest.entries)
    faces = Counter((face.label, entry.part) for entry in manifest.entries for face in entry.faces)
    shown = [part for part in PARTS if any(entry.part == part for entry in manifest.entries)]
    rows = [("pictures", *shown)]
    rows += [(source, *(f"{pictures[source, part]}" for part in shown)) for source in manifest.sources]
    rows += [("faces", *("" for _ in shown))]
    rows += [(label, *(f"{faces[label, part]}" for part in shown)) for label in CLASSES]
    widths = [max(len(row[place]) for row in rows) for place in range(len(shown) + 1)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
