import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maskwatch.cli import main
from maskwatch.settings import PROJECT
from producers.drawn import write_voc
from tests.support.annotated import coco, labels, picture, voc, voc_object
from training.datasets.catalogue import load
from training.datasets.classes import table
from training.datasets.formats import FORMATS
from training.datasets.importing import read
from training.errors import CatalogueError

MASK = voc_object("with_mask", 10, 10, 30, 20)
SHARED = PROJECT.parent / "shared" / "data"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", "import", *map(str, arguments)])


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Return one sound folder of each format, whose pictures do not look alike."""
    picture(tmp_path / "one" / "images" / "a.jpg", 1)
    voc(tmp_path / "one" / "annotations" / "a.xml", MASK)
    picture(tmp_path / "two" / "images" / "train" / "b.png", 2)
    labels(tmp_path / "two" / "labels" / "train" / "b.txt", "0 0.5 0.5 0.2 0.4")
    (tmp_path / "two" / "data.yaml").write_text("names: [No Mask]")
    picture(tmp_path / "three" / "c.webp", 3)
    coco(
        tmp_path / "three" / "c.json",
        [{"id": 1, "file_name": "c.jpg", "width": 200, "height": 100}],
        [{"image_id": 1, "category_id": 1, "bbox": [20, 20, 40, 60]}],
        ["mask_worn_incorrectly"],
    )
    return [tmp_path / name for name in ("one", "two", "three")]


def test_folders_of_every_format_become_one_catalogue(folders: list[Path]) -> None:
    catalogue = read(folders)
    assert [(source.name, source.format) for source in catalogue.sources] == [
        ("one", "voc"),
        ("two", "yolo"),
        ("three", "coco"),
    ]
    assert [(p.path.name, p.source, p.annotation, p.width, p.height) for p in catalogue.pictures] == [
        ("a.jpg", "one", "annotations/a.xml", 100, 50),
        ("b.png", "two", "labels/train/b.txt", 100, 50),
        ("c.webp", "three", "c.json", 100, 50),
    ]
    (a,), (b,), (c,) = (picture.faces for picture in catalogue.pictures)
    assert (a.label, a.box) == ("with_mask", (0.1, 0.2, 0.3, 0.4))
    assert b.label == "without_mask"
    assert b.box == pytest.approx((0.4, 0.3, 0.6, 0.7))
    assert (c.label, c.box) == ("mask_weared_incorrect", (0.1, 0.2, 0.3, 0.8))
    assert (catalogue.refused, catalogue.repaired, catalogue.duplicates) == ((), (), ())


def test_pictures_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    write_voc(tmp_path / "drawn", 12, 4, (96, 64))
    stems = [picture.path.stem for picture in read([tmp_path / "drawn"]).pictures]
    assert stems == [f"drawn-{number:05}" for number in range(1, 13)]


def test_every_file_is_in_the_catalogue_or_named_as_left_out(folders: list[Path]) -> None:
    folder = folders[0]
    for stem in ("cut", "empty", "turned", "strange", "lonely", "other"):
        picture(folder / "images" / f"{stem}.jpg", len(stem), (640, 480), orientation=6 if stem == "turned" else 1)
    for stem in ("cut", "empty", "turned", "gone"):
        voc(folder / "annotations" / f"{stem}.xml", MASK, size=(640, 480))
    voc(folder / "annotations" / "strange.xml", voc_object("helmet", 1, 1, 9, 9), size=(640, 480))
    voc(folder / "annotations" / "other.xml", MASK, size=(30, 40))
    cut = folder / "images" / "cut.jpg"
    cut.write_bytes(cut.read_bytes()[:-400])
    (folder / "images" / "empty.jpg").write_bytes(b"")
    catalogue = read(folders[:1])
    assert {picture.path.stem: picture.orientation for picture in catalogue.pictures} == {"a": 1, "turned": 6}
    assert [repair.cause for repair in catalogue.repaired] == ["boxes were turned with the picture"]
    assert {(refusal.path.name, refusal.cause) for refusal in catalogue.refused} == {
        ("cut.jpg", "the picture cannot be decoded"),
        ("empty.jpg", "the picture cannot be decoded"),
        ("strange.xml", "a class is not known"),
        ("other.xml", "the annotation is of another picture"),
        ("gone.xml", "the annotation has no picture"),
        ("lonely.jpg", "the picture has no annotation"),
    }


def test_a_picture_is_told_of_once_and_not_at_all_if_in_two_ways(folders: list[Path]) -> None:
    bare = voc_object("without_mask", 50, 10, 70, 30)
    voc(folders[0] / "annotations" / "a.xml", MASK, bare)
    voc(folders[0] / "more" / "a.xml", bare, MASK)
    catalogue = read(folders[:1])
    assert [len(picture.faces) for picture in catalogue.pictures] == [2]
    (refusal,) = catalogue.refused
    assert (refusal.path, refusal.cause) == (folders[0] / "more" / "a.xml", "the picture is told of twice")
    for objects, size in (((MASK,), (100, 50)), ((bare, MASK), (200, 100))):
        voc(folders[0] / "more" / "a.xml", *objects, size=size)
        catalogue = read(folders[:1])
        assert catalogue.pictures == ()
        (refusal,) = catalogue.refused
        assert (refusal.path.name, refusal.cause) == ("a.jpg", "the picture is told of twice")
        assert refusal.reason == "told of in several ways, by annotations/a.xml and more/a.xml: keep what is right"


@pytest.mark.parametrize("files", [["masked.json", "bare.json"], ["both.json", "both.json"]])
def test_a_picture_whose_faces_are_told_of_class_by_class_is_left_out(tmp_path: Path, files: list[str]) -> None:
    picture(tmp_path / "set" / "a.jpg", 1)
    images = [{"id": n, "file_name": "a.jpg"} for n in (1, 2)]
    boxes = [{"image_id": n, "category_id": n, "bbox": [40 * n, 9, 9, 9]} for n in (1, 2)]
    if files[0] == files[1]:
        coco(tmp_path / "set" / files[0], images, boxes)
    else:
        for number, file in enumerate(files):
            coco(tmp_path / "set" / file, images[number : number + 1], boxes[number : number + 1])
    catalogue = read([tmp_path / "set"])
    assert catalogue.pictures == ()
    (refusal,) = catalogue.refused
    assert (refusal.path.name, refusal.cause) == ("a.jpg", "the picture is told of twice")
    assert all(file in refusal.reason for file in files)


def test_a_name_that_is_not_utf_8_is_refused_by_name(folders: list[Path], tmp_path: Path) -> None:
    for path in (folders[0] / "images" / "a.jpg", folders[0] / "annotations" / "a.xml"):
        path.rename(os.fsdecode(os.fsencode(path.with_name("caf")) + b"\xe9" + os.fsencode(path.suffix)))
    result = run(folders[0], "--out", tmp_path / "c.json")
    assert result.exit_code == 1
    assert "is not UTF-8" in result.output
    assert "caf\\udce9.jpg" in result.output


@pytest.mark.parametrize("name", ["more.json", "data.yaml", "classes.txt", "annotations/b.xml"])
def test_a_link_to_nothing_is_named(folders: list[Path], name: str) -> None:
    for folder in folders:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to("/nowhere/at/all")
    found = [read([folder], form) for folder, form in zip(folders, FORMATS, strict=True)]
    for folder, catalogue in zip(folders, found, strict=True):
        (refusal,) = (refusal for refusal in catalogue.refused if refusal.path == folder / name)
        assert refusal.reason == "it is a link to nothing, or may not be read"
        assert refusal.cause == "the annotation cannot be read"
    assert len(found[0].pictures) == len(found[2].pictures) == 1
    assert read(folders[:1]) == found[0]


def test_a_folder_is_read_whatever_yaml_lies_in_it(folders: list[Path]) -> None:
    (folders[0] / "docker.yml").write_text("a: {{ x }}\n: :\n")
    assert [source.format for source in read(folders[:1]).sources] == ["voc"]


def test_identical_pictures_and_look_alikes_are_found_and_kept(folders: list[Path], tmp_path: Path) -> None:
    images = folders[0] / "images"
    shutil.copy(images / "a.jpg", images / "same.jpg")
    picture(images / "alike.jpg", 1, quality=60)
    voc(folders[0] / "annotations" / "same.xml", voc_object("with_mask", 11, 11, 30, 20))
    voc(folders[0] / "annotations" / "alike.xml", voc_object("without_mask", 10, 10, 30, 20))
    catalogue = read(folders)
    assert len(catalogue.pictures) == 5
    assert [(d.kind, sorted(path.stem for path in d.pictures), d.same_faces) for d in catalogue.duplicates] == [
        ("identical", ["a", "same"], True),  # a pixel apart is the same face
        ("alike", ["a", "alike"], False),
    ]
    voc(folders[0] / "annotations" / "same.xml")
    assert not read(folders).duplicates[0].same_faces


def test_twins_reach_the_catalogue(folders: list[Path]) -> None:
    (folders[0] / "twins.csv").write_text("file,twin_file\na.jpg,b.png\nx.jpg,y.jpg\na.jpg,c.jpg\n")
    catalogue = read(folders)
    assert [picture.twin for picture in catalogue.pictures] == ["b", "", ""]
    assert [(refusal.path.name, refusal.cause) for refusal in catalogue.refused] == [
        ("twins.csv", "the twin's picture is not here"),
        ("twins.csv", "a picture has two twins"),
    ]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["gone"], "gone is no folder"),
        (["one", "one"], "one is named twice"),
        (["one", "else/one"], "two folders are called one, and sources are told apart by that: rename"),
        (["empty"], r"empty holds no annotations that we know: name its format with --format voc\|yolo\|coco"),
        (["mixed"], "mixed may be voc or coco: name its format"),
    ],
)
def test_folders_that_cannot_be_read_are_named(folders: list[Path], names: list[str], says: str) -> None:
    base = folders[0].parent
    for name in ("empty", "else/one"):
        (base / name).mkdir(parents=True)
    voc(base / "mixed" / "a.xml")
    coco(base / "mixed" / "a.json", [])
    with pytest.raises(CatalogueError, match=says):
        read([base / name for name in names])


def test_a_named_format_is_what_is_read(folders: list[Path]) -> None:
    coco(folders[0] / "stray.json", [])
    assert [source.format for source in read(folders[:1], "voc").sources] == ["voc"]


def test_the_command_writes_a_catalogue_and_says_what_was_left_out(folders: list[Path], tmp_path: Path) -> None:
    voc(
        folders[0] / "annotations" / "a.xml",
        MASK,
        voc_object("with_mask", 90, 40, 101, 50),
        voc_object("hat", 0, 0, 9, 9),
    )
    for number in range(7):
        voc(folders[0] / "annotations" / f"gone-{number}.xml")
    out = tmp_path / "build" / "catalogue.json"
    result = run(*folders, "--classes", "hat=-", "--out", out)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "one (voc): 1 picture, 2 faces (with_mask 2, without_mask 0, mask_weared_incorrect 0)"
    assert "put right: 1" in lines
    assert "left out: 8" in lines
    assert "  the annotation has no picture: 7" in lines
    assert "    and 2 more" in lines
    assert lines[-1].startswith(f"{out}: 3 pictures")
    assert load(out) == read(folders, classes=table(["hat=-"]))


def test_the_report_names_all_for_scripts(folders: list[Path], tmp_path: Path) -> None:
    shutil.copy(folders[0] / "images" / "a.jpg", folders[0] / "images" / "same.jpg")
    voc(folders[0] / "annotations" / "same.xml")
    for number in range(7):
        voc(folders[0] / "annotations" / f"gone-{number}.xml")
    result = run(folders[0], "--json", "--out", tmp_path / "c.json")
    tree = json.loads(result.stdout)
    assert tree["catalogue"] == str(tmp_path / "c.json")
    assert tree["sources"] == {
        "one": {"folder": str(folders[0]), "format": "voc", "pictures": 2, "faces": {"with_mask": 1}}
    }
    assert [Path(row["file"]).name for row in tree["refused"]] == [f"gone-{number}.xml" for number in range(7)]
    assert {row["cause"] for row in tree["refused"]} == {"the annotation has no picture"}
    assert [row["kind"] for row in tree["duplicates"]] == ["identical"]
    text = run(folders[0], "--out", tmp_path / "c.json").stdout
    assert "identical: 1 group of pictures, 1 with other faces marked on them" in text


def test_twins_and_look_alikes_are_in_the_report(folders: list[Path], tmp_path: Path) -> None:
    (folders[0] / "twins.csv").write_text("file,twin_file\na.jpg,b.png\n")
    for number in range(6):
        picture(folders[0] / "images" / f"again-{number}.jpg", 1, quality=60 + number)
        voc(folders[0] / "annotations" / f"again-{number}.xml", MASK)
    text = run(folders[0], "--out", tmp_path / "c.json").stdout
    assert "  1 have a twin elsewhere" in text
    assert "look alike: 1 group of pictures, 0 with other faces marked on them" in text
    assert " and 2 more" in text


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--classes", "x"], 1, "maskwatch: 'x' is not OLD=NEW"),
        (["--class-table", "gone"], 1, "maskwatch: the table of classes gone cannot be read"),
        (["--format", "xml"], 2, "'xml' is not one of 'auto', 'voc', 'yolo', 'coco'"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(
    folders: list[Path], tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    result = run(*folders, *arguments, "--out", tmp_path / "c.json")
    assert says in result.output
    assert result.exit_code == code
    assert not (tmp_path / "c.json").exists()


def test_without_a_picture_left_nothing_is_written_and_it_is_said_why(folders: list[Path], tmp_path: Path) -> None:
    (folders[0] / "images" / "a.jpg").write_bytes(b"")
    result = run(folders[0], "--out", tmp_path / "c.json")
    assert result.exit_code != 0
    assert "the picture cannot be decoded: 1" in result.stderr
    assert result.stderr.endswith("maskwatch: no picture is left: nothing was written\n")
    assert not (tmp_path / "c.json").exists()


def test_packages_that_are_missing_are_named(folders: list[Path], tmp_path: Path) -> None:
    # As on a base install, which has no training packages.
    code = "import sys; sys.modules['imagehash'] = None; from maskwatch.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "data", "import", str(folders[0]), "--out", str(tmp_path / "c.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stderr == (
        "maskwatch: imagehash is not installed; «make .venv/.train» installs what training needs (3 GB)\n"
    )
    assert done.returncode == 69


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data: facemask-voc, as «maskwatch data get» brings it")
def test_the_public_set_is_read_as_it_is_known_to_be(tmp_path: Path) -> None:
    catalogue = read([SHARED / "facemask-voc"])
    assert len(catalogue.pictures) == 853
    causes = [*(refusal.cause for refusal in catalogue.refused), *(repair.cause for repair in catalogue.repaired)]
    assert causes.count("a box was clipped to the picture") == 12
    assert causes.count("the box is outside or too small") == 3
    assert len(causes) == 15
    assert sum(len(picture.faces) for picture in catalogue.pictures) == 3232 + 717 + 123 - 3
    assert [found.kind for found in catalogue.duplicates].count("identical") == 5
