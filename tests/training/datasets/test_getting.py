import hashlib
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maskwatch.cli import main
from maskwatch.command import Progress
from maskwatch.settings import PROJECT
from tests.support.annotated import picture, voc, voc_object
from tests.support.file_server import serving
from training.datasets import getting
from training.datasets.getting import PUBLISHED, Published, check, get, unpack
from training.errors import CatalogueError

WANTED = Published(
    address="", page="https://example.org/set", terms="CC0 1.0", pictures=2, faces={"with_mask": 2, "without_mask": 1}
)
SHARED = PROJECT.parent / "shared" / "data" / "facemask-voc"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that holds the set."""
    here = tmp_path / "mine" / "archive"
    picture(here / "images" / "a.png", 1)
    picture(here / "images" / "b.jpg", 2)
    voc(here / "annotations" / "a.xml", voc_object("with_mask", 1, 1, 9, 9), voc_object("without_mask", 1, 1, 9, 9))
    voc(here / "annotations" / "b.xml", voc_object("with_mask", 1, 1, 9, 9))
    (here / "images" / "notes.txt").touch()
    return here


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Path:
    """Return an archive that holds the set."""
    file = tmp_path / "archive.zip"
    with zipfile.ZipFile(file, "w") as content:
        for path in sorted(folder.rglob("*.*")):
            content.write(path, path.relative_to(folder))
    return file


@pytest.fixture
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(getting.PUBLISHED, "facemask-voc", WANTED)


def bring(place: object, out: Path, sha256: str | None = None) -> str:
    with Progress("test") as progress:
        return get(WANTED, str(place), out, sha256=sha256, progress=progress, pause_s=0)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", "get", "facemask-voc", *map(str, arguments)])


def holds(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))


SET = ["annotations/a.xml", "annotations/b.xml", "images/a.png", "images/b.jpg"]


def test_a_set_is_fetched_over_http(archive: Path, tmp_path: Path) -> None:
    with serving(archive.read_bytes()) as server:
        server.plan = [{"cut": 700}]
        sha256 = bring(server.address, tmp_path / "sets" / "a")
    assert sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert holds(tmp_path / "sets" / "a") == SET
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["a"]  # the archive is gone


def test_a_set_is_taken_from_an_archive_or_a_folder(archive: Path, folder: Path, tmp_path: Path) -> None:
    for number, place in enumerate((archive, folder, folder.parent)):
        assert bring(place, tmp_path / f"{number}") == ""
        assert holds(tmp_path / f"{number}") == SET
    assert archive.exists()


def test_another_archive_than_the_one_wanted_is_refused(archive: Path, tmp_path: Path) -> None:
    with (
        serving(archive.read_bytes()) as server,
        pytest.raises(CatalogueError, match=r"has the SHA-256 .*, expected 0f"),
    ):
        bring(server.address, tmp_path / "a", "0f")
    with pytest.raises(CatalogueError, match="nothing was unpacked"):
        bring(archive, tmp_path / "a", "0f")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "a.zip").exists()
    bring(archive, tmp_path / "a", hashlib.sha256(archive.read_bytes()).hexdigest().upper())


def test_a_server_that_refuses_is_said_with_another_way(tmp_path: Path) -> None:
    with serving(b"") as server:
        server.plan = [{"status": 403}]
        with pytest.raises(
            CatalogueError, match=r"answers 403 .*; or fetch .* from https://example.org/set and name it"
        ):
            bring(server.address, tmp_path / "a")


def test_a_page_instead_of_the_archive_is_not_gone_on_with(tmp_path: Path) -> None:
    with (
        serving(b"<html>Sign in</html>") as server,
        pytest.raises(CatalogueError, match="is no ZIP archive, or is damaged"),
    ):
        bring(server.address, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "images" / "a.png").unlink(), "1 have no picture or no annotation, such as a"),
        (lambda f: (f / "annotations" / "a.xml").unlink(), "1 have no picture or no annotation, such as a"),
        (
            lambda f: voc(f / "annotations" / "b.xml"),
            "it holds 2 pictures, 1 with_mask, 1 without_mask; expected were 2",
        ),
        (lambda f: voc(f / "annotations" / "b.xml", voc_object("hat", 1, 1, 2, 2)), "it holds 1 hat, 2 pictures"),
        (lambda f: (f / "annotations" / "b.xml").write_text("<"), "b.xml: it is not XML"),
        (lambda f: shutil.rmtree(f / "annotations"), "annotations/ is missing"),
    ],
)
def test_what_is_not_the_set_is_refused_and_said(folder: Path, tmp_path: Path, spoil: object, says: str) -> None:
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(CatalogueError, match=says):
        check(folder, WANTED)
    with pytest.raises(CatalogueError, match="is not the set"):
        bring(folder, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_names_in_an_archive_lead_nowhere_else(archive: Path, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("images/link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as content:
        content.writestr("../../annotations/../images/c.jpg", b"kept among the pictures")
        content.writestr("/etc/images/../evil.jpg", b"neither here nor there")
        content.writestr("__MACOSX/images/._a.jpg", b"of no use")
        content.writestr(link, "/etc/passwd")
    unpack(archive, tmp_path / "out" / "set")
    assert holds(tmp_path) == sorted(
        ["archive.zip", *(f"mine/archive/{name}" for name in [*SET, "images/notes.txt"])]
        + [f"out/set/{name}" for name in [*SET, "images/c.jpg"]]
    )


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ({"MAX_FILE": 100}, "unpacks to more than 100 B"),
        ({"MAX_UNPACKED": 100}, "unpacks to more than"),
        ({"MAX_FILES": 3}, "holds 5 files"),
    ],
)
def test_an_archive_that_would_fill_the_disk_is_refused(
    archive: Path, monkeypatch: pytest.MonkeyPatch, limit: dict[str, int], says: str
) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(getting, name, value)
    with pytest.raises(CatalogueError, match=says):
        bring(archive, archive.parent / "a")
    assert sorted(path.name for path in archive.parent.iterdir()) == ["archive.zip", "mine"]


def test_archives_that_are_none_or_damaged_are_said(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    place = whole.index(b"IDAT") + 20
    for content in (whole[: len(whole) // 2], b"", whole[:place] + b"\x00\x00" + whole[place + 2 :]):
        archive.write_bytes(content)
        with pytest.raises(CatalogueError, match="is no ZIP archive, or is damaged"):
            bring(archive, tmp_path / "a")
    with pytest.raises(CatalogueError, match=r"there is no .*gone\.zip: name a folder, a ZIP archive or an address"):
        bring(tmp_path / "gone.zip", tmp_path / "a")


def test_an_archive_that_holds_a_file_twice_is_refused(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive, "a") as content:
        content.writestr("again/images/a.png", b"another")
    with pytest.raises(CatalogueError, match=r"holds images/a\.png twice"):
        bring(archive, tmp_path / "a")


def test_a_place_that_cannot_be_written_to_is_said(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(CatalogueError, match=r"taken: (File exists|Not a directory)"):
        bring(archive, tmp_path / "taken" / "a")


@pytest.mark.usefixtures("_known")
def test_the_command_says_what_it_did_and_what_comes_next(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    with serving(archive.read_bytes()) as server:
        result = run("--from", server.address, "--out", out)
    assert result.output.splitlines() == [
        f"{out}: 2 pictures (CC0 1.0, https://example.org/set)",
        f"  archive's SHA-256: {hashlib.sha256(archive.read_bytes()).hexdigest()}",
        f"  next: maskwatch data import {out} --out catalogue.json",
    ]
    assert run("--from", archive, "--out", out).output == f"{out}: facemask-voc is there already\n"
    (out / "images" / "a.png").unlink()
    result = run("--from", archive, "--out", out)
    assert result.exit_code != 0
    assert "is there already, and it is not the set: 1 have no picture" in result.output


@pytest.mark.usefixtures("_known")
def test_it_goes_beside_the_data_unless_told_otherwise(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKWATCH_DATA_DIR", str(tmp_path / "home"))
    assert run("--from", archive).exit_code == 0
    assert holds(tmp_path / "home" / "datasets" / "facemask-voc") == SET


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/facemask-voc")
def test_what_is_known_of_the_public_set_is_so() -> None:
    check(SHARED, PUBLISHED["facemask-voc"])
