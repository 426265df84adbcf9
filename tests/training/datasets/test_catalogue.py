from pathlib import Path

import pytest

from maskwatch.messages import MarkedFace
from training.datasets.catalogue import Catalogue, Duplicates, Picture, Refusal, Repair, Source, load, save
from training.errors import CatalogueError

WHOLE = Catalogue(
    sources=(Source("set", Path("photographs/set"), "voc"),),
    pictures=(
        Picture(
            Path("photographs/set/a.jpg"), "set", 100, 50, (MarkedFace("with_mask", (0.1, 0.2, 1 / 3, 0.4)),),
            twin="b", orientation=6, annotation="a.xml", sha256="0" * 64,
        ),
    ),
    refused=(Refusal(Path("photographs/set/c.jpg"), "it is empty", "the picture cannot be decoded"),),
    repaired=(Repair(Path("photographs/set/a.xml"), "-1, 2, 3, 4", "a box was clipped to the picture"),),
    duplicates=(Duplicates("alike", (Path("photographs/set/a.jpg"), Path("photographs/set/d.jpg")), same_faces=False),),
)  # fmt: skip


def test_a_catalogue_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    file = tmp_path / "build" / "catalogue.json"
    save(WHOLE, file)
    assert load(file) == WHOLE
    assert [path.name for path in file.parent.iterdir()] == ["catalogue.json"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"no catalogue at .* \(No such file or directory\); «maskwatch data import FOLDER --out"),
        (b"[]", "is not a catalogue: Expected `object`"),
        (b'{"sources": [], "pictures": [{"path": 1}]}', "is not a catalogue: "),
        (b'{"entries": [], "sources": [], "pictures": []}', "unknown field `entries`"),
        (b'{"sources": [', "is not a catalogue"),
        (b'{"sources": [{"name": "\xff"}]}', "is not a catalogue"),
    ],
)
def test_what_is_no_catalogue_is_named(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "c.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CatalogueError, match=says):
        load(file)


def test_a_catalogue_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(CatalogueError, match=r"taken/c\.json cannot be written"):
        save(WHOLE, tmp_path / "taken" / "c.json")
    strange = Catalogue((), (Picture(Path("\udcff.jpg"), "set", 1, 1, ()),))
    with pytest.raises(CatalogueError, match=r"the name of a file is not UTF-8: .*\\udcff"):
        save(strange, tmp_path / "c.json")
