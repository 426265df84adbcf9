import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.file_server import FileServer, serving
from tests.support.ports import free_port
from training.datasets import downloading
from training.datasets.downloading import CHUNK, TRIES, download
from training.errors import CatalogueError

CONTENT = bytes(range(256)) * 4000
CUT = CHUNK + 30_000
"""What is less than a chunk is not kept."""


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(CONTENT) as files:
        yield files


def fetch(address: str, file: Path, *, max_bytes: int = 10**8) -> list[tuple[int, int | None]]:
    told: list[tuple[int, int | None]] = []
    sha256 = download(address, file, max_bytes=max_bytes, advance=lambda *bytes_: told.append(bytes_), pause_s=0)
    assert file.read_bytes() == CONTENT
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    return told


def test_a_file_is_fetched(server: FileServer, tmp_path: Path) -> None:
    told = fetch(server.address, tmp_path / "sets" / "a.zip")
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [have for have, _ in told] == sorted(have for have, _ in told)


def test_what_breaks_off_is_gone_on_with(server: FileServer, tmp_path: Path) -> None:
    server.plan = [{"cut": CUT}, {"status": 503}, {"cut": CUT}]
    fetch(server.address, tmp_path / "a.zip")
    assert [asked.get("Range") for asked in server.asked] == [
        None,
        f"bytes={CHUNK}-",
        f"bytes={CHUNK}-",
        f"bytes={2 * CHUNK}-",
    ]


def test_a_later_call_goes_on_too(server: FileServer, tmp_path: Path) -> None:
    server.plan = [{"cut": CUT}, *[{"status": 503}] * TRIES]
    with pytest.raises(
        CatalogueError, match=r"broke off after 262 kB \(503 Service Unavailable\): give the command again"
    ):
        fetch(server.address, tmp_path / "a.zip")
    server.plan, server.asked = [], []
    fetch(server.address, tmp_path / "a.zip")
    assert server.asked[0]["Range"] == f"bytes={CHUNK}-"


def test_all_of_it_may_have_come_before_the_end_was_seen(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    (tmp_path / "a.zip.part.version").write_text('"one"')
    fetch(server.address, tmp_path / "a.zip")
    assert len(server.asked) == 1


def test_two_versions_are_never_mixed(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(b"another file that has gone on")
    (tmp_path / "a.zip.part.version").write_text('"older"')
    fetch(server.address, tmp_path / "a.zip")


@pytest.mark.parametrize("version", [None, 'W/"one"'])
def test_without_a_mark_that_promises_the_same_bytes_one_begins_anew(tmp_path: Path, version: str | None) -> None:
    with serving(CONTENT, version) as server:
        server.plan = [{"cut": CUT}]
        fetch(server.address, tmp_path / "a.zip")
        assert [asked.get("Range") for asked in server.asked] == [None, None]


def test_another_span_than_was_asked_for_is_not_taken(server: FileServer, tmp_path: Path) -> None:
    server.plan = [{"cut": CUT}, {"span": "bytes 5-9/10"}]
    fetch(server.address, tmp_path / "a.zip")
    assert [asked.get("Range") for asked in server.asked] == [None, f"bytes={CHUNK}-", None]


def test_a_length_that_is_not_told_is_none(server: FileServer, tmp_path: Path) -> None:
    server.plan = [{"length": False}]
    assert {whole for _, whole in fetch(server.address, tmp_path / "a.zip")} == {None}


def test_a_server_that_says_nothing_is_given_up(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "READ_S", 0.1)
    server.plan = [{"hang": True}] * TRIES
    with pytest.raises(CatalogueError, match=r"broke off after 0 B \(ReadTimeout\)"):
        fetch(server.address, tmp_path / "a.zip")
    assert len(server.asked) == TRIES


def test_what_trickles_in_for_too_long_is_given_up(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "DEADLINE_S", 0)
    with pytest.raises(CatalogueError, match="not whole after 0 s"):
        fetch(server.address, tmp_path / "a.zip")


def test_nobody_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"broke off after 0 B \(ConnectionError\)"):
        fetch(f"http://127.0.0.1:{free_port()}/a.zip", tmp_path / "a.zip")


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/a.zip", "http://"])
def test_an_address_that_is_none_is_said(tmp_path: Path, address: str) -> None:
    with pytest.raises(CatalogueError, match="cannot be fetched: "):
        fetch(address, tmp_path / "a.zip")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_not_asked_again(server: FileServer, tmp_path: Path, status: int) -> None:
    server.plan = [{"status": status}]
    with pytest.raises(CatalogueError, match=rf"archive\.zip answers {status} "):
        fetch(server.address, tmp_path / "a.zip")
    assert len(server.asked) == 1


@pytest.mark.parametrize("plan", [{}, {"length": False}])
def test_what_is_too_large_is_refused_before_the_disk_is_full(
    server: FileServer, tmp_path: Path, plan: dict[str, Any]
) -> None:
    server.plan = [plan]
    with pytest.raises(CatalogueError, match="sends more than 500 kB: is it the right address"):
        fetch(server.address, tmp_path / "a.zip", max_bytes=500_000)
    assert not (tmp_path / "a.zip.part").exists()


def test_a_disk_without_room_is_said_before_anything_comes(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 1000))
    with pytest.raises(CatalogueError, match=r"has no room for the 1 MB that are to come"):
        fetch(server.address, tmp_path / "a.zip")


def test_a_folder_that_cannot_be_made_is_said(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(CatalogueError, match=r"a\.zip\.part cannot be written: (File exists|Not a directory)"):
        fetch(server.address, tmp_path / "taken" / "a.zip")
