"""Whatever is in the files of a folder: it is read or refused, never a crash, and no picture is lost in silence."""

import random
import shutil
from pathlib import Path

import pytest

from tests.support.annotated import coco, labels, picture, voc, voc_object
from training.datasets.catalogue import FormatName
from training.datasets.importing import read
from training.errors import CatalogueError

ROUNDS = 30
STEMS = ("vanilla", "walnut", "xylophone")
MASK = voc_object("with_mask", 10, 10, 30, 20)


def make(folder: Path, form: FormatName) -> Path:
    """Write a sound folder of three pictures."""
    for number, (stem, suffix) in enumerate(zip(STEMS, (".jpg", ".png", ".webp"), strict=True)):
        picture(folder / "images" / f"{stem}{suffix}", number, orientation=6 if number else 1)
        if form == "voc":
            voc(folder / "annotations" / f"{stem}.xml", MASK)
        elif form == "yolo":
            labels(folder / "labels" / f"{stem}.txt", "0 0.5 0.5 0.2 0.4", "1 0.1 0.1 0.1 0.2 0.3 0.4")
    if form == "yolo":
        (folder / "data.yaml").write_text("train: images\nnames: [with_mask, no_mask]\n")
    if form == "coco":
        images = [{"id": n, "file_name": f"{STEMS[n]}.jpg", "width": 100, "height": 50} for n in range(3)]
        coco(folder / "a.json", images, [{"image_id": n, "category_id": 1, "bbox": [9, 9, 9, 9]} for n in range(3)])
    (folder / "twins.csv").write_text("file,twin_file\nvanilla.jpg,elsewhere.jpg\n")
    return folder


def spoil(content: bytes, rng: random.Random) -> bytes:
    """Damage bytes as disks, networks and editors do."""
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.randrange(1, 40))
    match rng.randrange(5):
        case 0:
            return content[:start]
        case 1:
            return content[:start] + rng.randbytes(end - start) + content[end:]
        case 2:
            return content[:start] + content[end:]
        case 3:
            return content[:start] + content[start:end] * 2 + content[end:]
    odd = (b"-1", b"nan", b"1e999", b"null", b"{}", b"[[", b"</", b"&x;", b"\x00", b"\xff\xfe", b"9" * 400, b'"', b",,")
    return content[:start] + rng.choice(odd) + content[end:]


@pytest.mark.parametrize("form", ["voc", "yolo", "coco"])
def test_files_that_are_damaged_are_read_or_refused(tmp_path: Path, form: FormatName) -> None:
    whole = make(tmp_path / "whole", form)
    assert len(read([whole]).pictures) == 3
    for seed in range(ROUNDS):
        rng = random.Random(seed)
        folder = tmp_path / f"{seed}"
        shutil.copytree(whole, folder)
        for file in rng.sample([path for path in sorted(folder.rglob("*")) if path.is_file()], rng.choice((1, 2))):
            file.write_bytes(spoil(file.read_bytes(), rng))
        try:
            catalogue = read([folder], form)
        except CatalogueError:
            continue  # which names the file
        taken = {picture.path.name for picture in catalogue.pictures}
        said = " ".join(f"{refusal.path.name} {refusal.reason}" for refusal in catalogue.refused)
        for path in (folder / "images").iterdir():
            assert path.name in taken or path.stem in said, (seed, path.name)
        shutil.rmtree(folder)
