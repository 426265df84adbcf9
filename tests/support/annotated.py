"""Folders of annotated pictures, sound or broken, for tests of what reads and writes them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (100, 50)


def picture(
    path: Path, seed: int = 0, size: tuple[int, int] = SIZE, *, orientation: int = 1, quality: int = 90
) -> Path:
    """Write a picture of soft random colours, so that no two seeds look alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    image = Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)
    exif = Image.Exif()
    if orientation != 1:
        exif[274] = orientation
    image.save(path, exif=exif, quality=quality)  # which PNG ignores
    return path


def voc_object(name: str, *box: object) -> str:
    """Write one object of a Pascal VOC annotation."""
    sides = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><bndbox>{sides}</bndbox></object>"


def voc(file: Path, *objects: str, size: tuple[object, object] | None = SIZE) -> Path:
    """Write a Pascal VOC annotation."""
    file.parent.mkdir(parents=True, exist_ok=True)
    told = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    # The public set's annotations name files that are no more: pictures are matched by stem.
    file.write_text(f"<annotation><filename>{file.stem}.png</filename>{told}{''.join(objects)}</annotation>")
    return file


def labels(file: Path, *lines: str) -> Path:
    """Write a YOLO label file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def coco(
    file: Path,
    images: Sequence[dict[str, Any]],
    annotations: Sequence[dict[str, Any]] = (),
    names: Sequence[str] = ("with_mask", "without_mask", "mask_weared_incorrect"),
) -> Path:
    """Write a COCO file; the categories count from 1."""
    file.parent.mkdir(parents=True, exist_ok=True)
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file
