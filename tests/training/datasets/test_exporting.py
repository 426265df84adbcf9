import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from maskwatch.cli import main
from maskwatch.messages import CLASSES, MarkedFace
from producers.drawn import write_voc
from tests.support.annotated import picture, voc, voc_object
from training.datasets.catalogue import Catalogue, FormatName, Picture, load, save
from training.datasets.classes import DEFAULTS
from training.datasets.contents import files_below
from training.datasets.exporting import items_of, write
from training.datasets.formats import FORMATS
from training.datasets.importing import read
from training.datasets.item import Item
from training.datasets.judging import SMALLEST_SIDE, Shown, judge
from training.datasets.manifest import Entry, Manifest
from training.datasets.manifest import save as save_manifest
from training.errors import CatalogueError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


def pixels(faces: Sequence[MarkedFace], size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([face.box for face in faces]).reshape(-1, 4) * (*size, *size)


@st.composite
def marked(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[MarkedFace, ...]]:
    """Draw a picture's size and the faces on it, as whole pixels or not, as large as the picture or two pixels."""
    size = draw(st.tuples(st.integers(8, 8000), st.integers(8, 8000)))

    def side(length: int) -> st.SearchStrategy[tuple[float, float]]:
        place = st.floats(0, length) | st.integers(0, length).map(float)
        return st.tuples(place, place).map(sorted).map(tuple).filter(lambda ends: ends[1] - ends[0] >= SMALLEST_SIDE)  # type: ignore[return-value]

    boxes = draw(
        st.lists(
            st.tuples(side(size[0]), side(size[1])),
            max_size=5,
            unique_by=lambda box: (round(box[0][0] / 2), round(box[1][0] / 2)),
        )
    )
    faces = tuple(
        MarkedFace(draw(st.sampled_from(CLASSES)), (x1 / size[0], y1 / size[1], x2 / size[0], y2 / size[1]))
        for (x1, x2), (y1, y2) in boxes
    )
    return size, faces


def through(form: FormatName, size: tuple[int, int], faces: tuple[MarkedFace, ...]) -> tuple[MarkedFace, ...]:
    """Write a picture's faces in a format, and read them again."""
    module = FORMATS[form]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        item = Item(Path("a.jpg"), "a.jpg", "train", *size, faces)
        place = folder / module.place(item)
        place.parent.mkdir(parents=True)
        place.touch()  # what a format says of a picture it says without looking at it
        module.write([item], folder)
        (told,), refused, _ = module.read(folder, files_below(folder))
        assert refused == []
        judged = judge(told, Shown(*size), DEFAULTS)
        assert judged.refused == []
        assert judged.faces is not None
        return judged.faces


@given(marked())
@settings(max_examples=40, deadline=None)
def test_a_box_survives_voc_yolo_and_coco_within_a_pixel(
    drawn: tuple[tuple[int, int], tuple[MarkedFace, ...]],
) -> None:
    size, faces = drawn
    again = faces
    for form in FORMATS:
        again = through(form, size, again)
        assert [face.label for face in again] == [face.label for face in faces]
        assert np.abs(pixels(again, size) - pixels(faces, size)).max(initial=0) < 0.2


@pytest.mark.parametrize("forms", [("yolo", "coco", "voc"), ("coco", "voc", "yolo")])
def test_drawn_people_go_round_through_all_formats(tmp_path: Path, forms: tuple[FormatName, ...]) -> None:
    write_voc(tmp_path / "drawn", 3, 3, (320, 240))
    assert run("import", tmp_path / "drawn", "--out", tmp_path / "0.json").exit_code == 0
    first = load(tmp_path / "0.json")
    for number, form in enumerate(forms):
        folder = tmp_path / form
        result = run("export", tmp_path / f"{number}.json", "--format", form, "--out", folder)
        assert result.stdout == f"{folder} ({form}): 3 pictures, {sum(len(p.faces) for p in first.pictures)} faces\n"
        assert run("import", folder, "--out", tmp_path / f"{number + 1}.json").exit_code == 0
        again = load(tmp_path / f"{number + 1}.json")
        assert [source.format for source in again.sources] == [form]
        assert again.refused == ()
        for one, other in zip(first.pictures, again.pictures, strict=True):
            assert (one.path.name, one.sha256) == (other.path.name, other.sha256)
            assert [face.label for face in one.faces] == [face.label for face in other.faces]
            assert np.abs(pixels(one.faces, (320, 240)) - pixels(other.faces, (320, 240))).max(initial=0) < 1


def entry(path: Path, part: str, faces: tuple[MarkedFace, ...] = ()) -> Entry:
    return msgspec.convert(
        {"sha256": "0" * 64, "path": str(path), "source": path.parent.name, "width": 100, "height": 50, "group": "g",
         "part": part, "faces": msgspec.to_builtins(faces)}, Entry,
    )  # fmt: skip


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    face = MarkedFace("without_mask", (0.1, 0.2, 0.3, 0.4))
    entries = (
        entry(picture(tmp_path / "one" / "a.jpg", 1), "train", (face,)),
        entry(picture(tmp_path / "two" / "A.jpg", 2), "val"),
        entry(picture(tmp_path / "two" / "b.png", 3), "test", (face, face)),
        entry(picture(tmp_path / "two" / "c.jpg", 4), "left out"),
    )
    save_manifest(Manifest(entries), tmp_path / "manifest.json")
    return tmp_path / "manifest.json"


def test_the_parts_of_a_manifest_become_folders(manifest: Path, tmp_path: Path) -> None:
    result = run("export", manifest, "--format", "yolo", "--out", tmp_path / "yolo")
    assert result.stdout == f"{tmp_path / 'yolo'} (yolo): 3 pictures, 3 faces, train 1, val 1, test 1\n"
    files = sorted(path.relative_to(tmp_path / "yolo").as_posix() for path in (tmp_path / "yolo").rglob("*.*"))
    assert files == [
        "data.yaml",
        "images/test/b.png",
        "images/train/one-a.jpg",  # another is called so but for the capital
        "images/val/two-A.jpg",
        "labels/test/b.txt",
        "labels/train/one-a.txt",
        "labels/val/two-A.txt",
    ]
    assert (
        tmp_path / "yolo" / "labels" / "train" / "one-a.txt"
    ).read_text() == "1 0.200000 0.300000 0.200000 0.200000\n"
    assert msgspec.yaml.decode((tmp_path / "yolo" / "data.yaml").read_bytes()) == {
        "train": "images/train",
        "val": "images/val",
        "test": "images/test",
        "nc": 3,
        "names": dict(enumerate(CLASSES)),
    }


def test_a_source_is_left_out_and_one_that_is_not_there_is_said(manifest: Path, tmp_path: Path) -> None:
    result = run("export", manifest, "--format", "yolo", "--without", "two", "--out", tmp_path / "one-only")
    assert result.stdout == f"{tmp_path / 'one-only'} (yolo): 1 picture, 1 face, train 1\n"
    # Alone it keeps its name.
    assert (tmp_path / "one-only" / "images" / "train" / "a.jpg").exists()
    unknown = run("export", manifest, "--format", "yolo", "--without", "three", "--out", tmp_path / "none")
    assert unknown.exit_code == 1
    assert "no source is called three; there are one, two" in unknown.output


def test_others_read_what_was_written(manifest: Path, tmp_path: Path) -> None:
    assert run("export", manifest, "--format", "coco", "--out", tmp_path / "coco").exit_code == 0
    coco = COCO(str(tmp_path / "coco" / "annotations" / "instances_train.json"))
    (image,) = coco.loadImgs(coco.getImgIds())
    assert (image["file_name"], image["width"], image["height"]) == ("one-a.jpg", 100, 50)
    (annotation,) = coco.loadAnns(coco.getAnnIds())
    assert (annotation["bbox"], annotation["area"]) == ([10, 10, 20, 10], 200)
    assert coco.loadCats([annotation["category_id"]])[0]["name"] == "without_mask"


def test_voc_says_the_parts_in_lists(manifest: Path, tmp_path: Path) -> None:
    assert run("export", manifest, "--format", "voc", "--out", tmp_path / "voc").exit_code == 0
    sets = tmp_path / "voc" / "ImageSets" / "Main"
    assert {path.name: path.read_text() for path in sets.iterdir()} == {
        "train.txt": "one-a\n",
        "val.txt": "two-A\n",
        "test.txt": "b\n",
    }
    assert [source.format for source in read([tmp_path / "voc"]).sources] == ["voc"]


def test_what_was_not_split_is_trained_on_and_looked_at(tmp_path: Path) -> None:
    voc(tmp_path / "set" / "a.xml", voc_object("with_mask", 10, 10, 30, 20))
    picture(tmp_path / "set" / "a.jpg")
    save(read([tmp_path / "set"]), tmp_path / "c.json")
    write(items_of(tmp_path / "c.json"), "yolo", tmp_path / "yolo")
    tree = msgspec.yaml.decode((tmp_path / "yolo" / "data.yaml").read_bytes())
    assert (tree["train"], tree["val"]) == ("images", "images")
    assert (tmp_path / "yolo" / "images" / "a.jpg").exists()
    assert items_of(tmp_path / "c.json", frozenset({"set"})) == []
    with pytest.raises(CatalogueError, match="no source is called sets; there are set"):
        items_of(tmp_path / "c.json", frozenset({"sets"}))


def test_a_picture_that_is_stored_turned_is_written_upright(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "a.jpg", 1, (100, 50), orientation=6)
    voc(tmp_path / "set" / "a.xml", voc_object("with_mask", 0, 0, 50, 25))  # the left top of what is stored
    first = read([tmp_path / "set"])
    save(first, tmp_path / "c.json")
    write(items_of(tmp_path / "c.json"), "coco", tmp_path / "coco")
    with Image.open(tmp_path / "coco" / "images" / "a.jpg") as image:
        assert (image.size, dict(image.getexif())) == ((50, 100), {})
    again = read([tmp_path / "coco"])
    assert again.pictures[0].orientation == 1
    assert again.pictures[0].faces[0].box == pytest.approx((0.5, 0, 1, 0.5)) == first.pictures[0].faces[0].box


def test_twins_stay_twins_under_their_new_names(tmp_path: Path) -> None:
    names = [("one", "a.x"), ("two", "a.x"), ("two", "large_a")]
    pictures = tuple(
        Picture(picture(tmp_path / source / f"{stem}.jpg", n), source, 100, 50, (), twin=twin)
        for n, ((source, stem), twin) in enumerate(zip(names, ("", "elsewhere", "a.x"), strict=True))
    )
    save(Catalogue((), pictures), tmp_path / "c.json")
    write(items_of(tmp_path / "c.json"), "voc", tmp_path / "voc")
    assert {p.path.stem: p.twin for p in read([tmp_path / "voc"]).pictures} == {
        "one-a.x": "",
        "two-a.x": "elsewhere",
        "large_a": "one-a.x",
    }


def test_twins_of_a_manifest_stay_twins(tmp_path: Path) -> None:
    some = [(name, picture(tmp_path / name / "a.jpg", n)) for n, name in enumerate(("one", "two"))]
    entries = tuple(
        msgspec.structs.replace(entry(path, "train"), twin=twin)
        for (_, path), twin in zip(some, ("", "a"), strict=True)
    )  # fmt: skip
    save_manifest(Manifest(entries), tmp_path / "m.json")
    write(items_of(tmp_path / "m.json"), "voc", tmp_path / "voc")
    assert {p.path.stem: p.twin for p in read([tmp_path / "voc"]).pictures} == {"one-a": "", "two-a": "one-a"}


@pytest.mark.parametrize("form", list(FORMATS))
def test_a_picture_that_is_called_as_lists_are_is_read_again(tmp_path: Path, form: FormatName) -> None:
    face = MarkedFace("without_mask", (0.1, 0.2, 0.3, 0.4))
    names = ("classes", "Classes", "train", "test")
    pictures = tuple(
        Picture(picture(tmp_path / str(n) / f"{name}.jpg", n), f"{n}", 100, 50, (face,)) for n, name in enumerate(names)
    )
    for some in (pictures, pictures[:1]):
        save(Catalogue((), some), tmp_path / "c.json")
        out = tmp_path / f"{form}-{len(some)}"
        write(items_of(tmp_path / "c.json"), form, out)
        again = read([out])
        assert ([len(one.faces) for one in again.pictures], again.refused) == ([1] * len(some), ())


def test_no_two_pictures_get_one_name(tmp_path: Path) -> None:
    files = [tmp_path / part / "set" / name for part in ("x", "y") for name in ("a.jpg", "set-a.jpg", "a.png")]
    pictures = tuple(Picture(picture(file, n), "set", 100, 50, ()) for n, file in enumerate(files))
    save(Catalogue((), pictures), tmp_path / "c.json")
    items = items_of(tmp_path / "c.json")
    assert len({item.stem for item in items}) == len(files)
    write(items, "yolo", tmp_path / "yolo")
    assert [read([tmp_path / "yolo"]).refused, len(read([tmp_path / "yolo"]).pictures)] == [(), len(files)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no catalogue at"),
        ("no JSON", "is not a catalogue"),
        ('{"\udcff": 1}', "is not a catalogue"),
        ('{"entries": 1}', "is not a manifest"),
        ('{"sources": [], "pictures": []}', "there is no picture to export"),
    ],
)
def test_what_cannot_be_exported_is_named(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "c.json").write_text(content, errors="surrogateescape")
    result = run("export", tmp_path / "c.json", "--format", "voc", "--out", tmp_path / "voc")
    assert result.exit_code != 0
    assert says in result.output
    assert not (tmp_path / "voc").exists()


def test_a_folder_that_is_not_empty_stays_as_it_is(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    result = run("export", manifest, "--format", "voc", "--out", tmp_path / "full")
    assert result.output == f"maskwatch: {tmp_path / 'full'} is not empty: name a new folder\n"
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert run("export", manifest, "--format", "voc", "--out", tmp_path / "empty").exit_code == 0


def test_an_export_is_there_whole_or_not_at_all(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "two" / "b.png").unlink()
    with pytest.raises(CatalogueError, match=r"two/b\.png: No such file or directory; the export needs every picture"):
        write(items_of(manifest), "yolo", tmp_path / "out" / "yolo")
    (tmp_path / "two" / "b.png").write_bytes(b"no picture")
    with pytest.raises(CatalogueError, match="cannot identify image file"):
        write(items_of(manifest), "yolo", tmp_path / "out" / "yolo")
    assert list((tmp_path / "out").iterdir()) == []


def test_json_of_another_kind_is_read_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps(["entries"]))
    with pytest.raises(CatalogueError, match="is not a catalogue"):
        items_of(tmp_path / "c.json")
