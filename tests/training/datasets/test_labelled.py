"""Labels that were made elsewhere: from folders into a real topic and a real store."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from maskwatch import topics
from maskwatch.cli import main
from maskwatch.fingerprint import fingerprint
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import MarkedFace
from maskwatch.settings import Settings
from maskwatch.store import Store
from tests.support.annotated import SIZE, labels, picture, voc, voc_object
from tests.support.labelling import jpeg
from tests.support.stack import CreateTopics, Kafka
from training.datasets import importing
from training.datasets.labelled import bring_in, there

MASK = voc_object("with_mask", 10, 10, 30, 20)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Return a folder of Pascal VOC with two pictures, and one of YOLO whose picture is no JPEG."""
    path = picture(tmp_path / "photographs" / "images" / "a.jpg", 1)
    with Image.open(path) as image:
        image.save(path, xmp=b'<rdf:Description tiff:Orientation="6"/>')  # which does not count
    (tmp_path / "photographs" / "images" / "b.jpg").write_bytes(jpeg(2, SIZE))
    for name in "ab":
        voc(tmp_path / "photographs" / "annotations" / f"{name}.xml", MASK)
    picture(tmp_path / "yolo" / "images" / "c.png", 3)
    labels(tmp_path / "yolo" / "labels" / "c.txt", "0 0.5 0.5 0.2 0.4")
    (tmp_path / "yolo" / "data.yaml").write_text("names: [No Mask]")
    return [tmp_path / "photographs", tmp_path / "yolo"]


@pytest.fixture
async def ours(kafka: Kafka, create_topics: CreateTopics, tmp_path: Path) -> Settings:
    settings = kafka.settings(store={"url": (tmp_path / "store").as_uri()})
    await create_topics(settings, topics.Name.LABELS)
    return settings


async def test_folders_become_labels_with_their_pictures_and_again_they_are_known(
    ours: Settings, folders: list[Path]
) -> None:
    pictures = importing.read(folders).pictures
    done = await bring_in(ours, pictures, "ann", await there(ours))
    assert (done.new, done.known, done.refused) == (3, 0, ())
    found = await there(ours)
    assert {(label.source, label.by, label.made_by) for label in found.values()} == {
        ("photographs", "ann", "import"),
        ("yolo", "ann", "import"),
    }
    by_source = {label.source: label for label in found.values()}
    assert by_source["yolo"].faces[0].label == "without_mask"
    assert by_source["photographs"].faces == (MarkedFace("with_mask", (0.1, 0.2, 0.3, 0.4)),)
    # A JPEG is kept as it is; what is none becomes one, and what tells of its maker is written anew.
    store = Store(ours)
    kept = {store.get(label.sha256) or b"" for label in found.values()}
    assert jpeg(2, SIZE) in kept
    assert all(one[:3] == b"\xff\xd8\xff" and b"Exif" not in one for one in kept)
    for label in found.values():
        assert Image.open(BytesIO(store.get(label.sha256) or b"")).size == (label.width, label.height)
    again = await bring_in(ours, pictures, "ann", found)
    assert (again.new, again.known) == (0, 3)
    assert len(store.pictures()) == 3


async def test_what_cannot_count_is_named_and_left_out(ours: Settings, folders: list[Path], tmp_path: Path) -> None:
    photographs = importing.read(folders[:1]).pictures
    a, b = photographs
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"entries": [{"part": "test", "fingerprint": fingerprint(a.path.read_bytes())}]}))
    strict = ours.model_copy(update={"labels": ours.labels.model_copy(update={"frozen": manifest})})
    done = await bring_in(strict, photographs, "ann", {})
    assert (done.new, done.refused) == (
        1,
        ((a.path, "it looks like a picture of the frozen test part, which judges models"),),
    )
    one = ours.model_copy(update={"labels": ours.labels.model_copy(update={"per_source": 1, "frozen": None})})
    known = await there(ours)
    # Of its source there is one label already, as many as count; saying it anew is no further one.
    (row,) = (await bring_in(one, photographs, "ann", known)).refused
    assert row == (a.path, "there are 1 labels of its source, as many as count")
    wide = ours.model_copy(update={"labels": ours.labels.model_copy(update={"least_side": 30, "frozen": None})})
    rows = (await bring_in(wide, photographs, "ann", {})).refused
    assert [why for _, why in rows] == ["face 1: 20.0x10.0 pixels, where a side has 30 at least"] * 2
    (key,) = known
    erased = {key: FrameLabel(key, "erased", known[key].at, "ann")}
    assert (await bring_in(ours, [b], "ann", erased)).refused == ((b.path, "it was erased"),)


def test_the_command_says_what_it_brought_in_and_what_not(
    ours: Settings, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("KAFKA__BOOTSTRAP_SERVERS", ours.bootstrap_servers),
        ("KAFKA__TOPIC_PREFIX", ours.kafka.topic_prefix),
        ("STORE__URL", ours.store.url),
    ):
        monkeypatch.setenv(f"MASKWATCH_{name}", value)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, ["data", "labels", *map(str, arguments)])

    for number in range(6):
        voc(folders[0] / "annotations" / f"lonely-{number}.xml", MASK)
    told = run(*folders)
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines()[:2] == ["3 labels brought in, 0 known already", "left out: 6"]
    assert told.stdout.splitlines()[-1] == "  and 1 more; --json names all"
    again = json.loads(run(*folders, "--json").stdout)
    assert (again["new"], again["known"], len(again["refused"])) == (0, 3, 6)
    (folders[0] / "empty" / "annotations").mkdir(parents=True)
    (folders[0] / "empty" / "images").mkdir()
    nothing = run(folders[0] / "empty", "--format", "voc")
    assert nothing.exit_code == 1
    assert "no picture is left: «maskwatch data import» says why" in nothing.stderr
