"""Lay a manifest out as Ultralytics wants it: links to the pictures, and a text file of boxes for each."""

from pathlib import Path

from maskwatch.messages import CLASSES
from training.errors import ManifestError
from training.manifest import PARTS, Entry, Manifest


def write_yolo_folder(manifest: Manifest, folder: Path) -> Path:
    """Lay a manifest out as Ultralytics wants it: links to the pictures, one text file of boxes each.

    Returns
    -------
    Path
        The ``data.yaml`` to train on.

    Raises
    ------
    ManifestError
        If train or val is empty.
    """
    for part in PARTS:
        entries = manifest.part(part)
        if not entries and part != "test":
            raise ManifestError(f"the manifest has no picture in {part}")
        images, labels = folder / "images" / part, folder / "labels" / part
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            link = images / f"{entry.sha256[:16]}{Path(entry.path).suffix}"
            if not link.exists():
                link.symlink_to(Path(entry.path).resolve())
            (labels / f"{entry.sha256[:16]}.txt").write_text(_yolo_lines(entry))
    data = folder / "data.yaml"
    names = "\n".join(f"  {index}: {name}" for index, name in enumerate(CLASSES))
    data.write_text(
        f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\ntest: images/test\nnames:\n{names}\n"
    )
    return data


def _yolo_lines(entry: Entry) -> str:
    lines = []
    for face in entry.faces:
        x1, y1, x2, y2 = face.box
        lines.append(
            f"{CLASSES.index(face.label)} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n"
        )
    return "".join(lines)
