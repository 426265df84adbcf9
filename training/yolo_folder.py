"""Lay a manifest out as Ultralytics wants it: links to the pictures, and a text file of boxes for each."""

import hashlib
from pathlib import Path

from maskwatch.messages import CLASSES
from training.datasets.manifest import Entry, Manifest
from training.datasets.split import Part
from training.datasets.yolo import lines_of
from training.errors import ManifestError

TRAINED_WITH: tuple[Part, ...] = ("train", "val")


def file_stem(entry: Entry) -> str:
    """Return how a picture is called in the folder."""
    return entry.sha256[:16]


def write_yolo_folder(manifest: Manifest, folder: Path) -> Path:
    """Lay a manifest's train and val parts out as Ultralytics wants them: links, one text file of boxes each.

    Returns
    -------
    Path
        The ``data.yaml`` to train on.

    Raises
    ------
    ManifestError
        If train or val is empty, or a picture is not where the manifest says, or another than it says.
    """
    for part in TRAINED_WITH:
        entries = manifest.part(part)
        if not entries:
            raise ManifestError(f"the manifest has no picture in {part}")
        images, labels = folder / "images" / part, folder / "labels" / part
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            picture = Path(entry.path).resolve()
            if not picture.is_file():
                raise ManifestError(
                    f"{entry.path} is missing; pictures are used in place, from where they were imported"
                )
            link = images / f"{file_stem(entry)}{picture.suffix}"
            (labels / f"{file_stem(entry)}.txt").write_text(lines_of(entry.faces))
            if link.exists() and link.resolve() == picture:
                continue  # a training that goes on: what it saw was looked at then
            if hashlib.sha256(picture.read_bytes()).hexdigest() != entry.sha256:
                raise ManifestError(
                    f"{entry.path} is not the picture that was imported: put that one back, or make another manifest "
                    "with «maskwatch data import» and «maskwatch data split»"
                )
            link.unlink(missing_ok=True)
            link.symlink_to(picture)
    data = folder / "data.yaml"
    names = "\n".join(f"  {index}: {name}" for index, name in enumerate(CLASSES))
    data.write_text(f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}\n")
    return data
