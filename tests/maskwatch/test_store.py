import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from maskwatch.errors import SettingsError, StoreError
from maskwatch.settings import Settings
from maskwatch.store import Store, name_of
from tests.support.disk import small_disk
from tests.support.programs import find_program
from tests.support.s3_server import BUCKET, serving


def settings_of(url: str, **options: object) -> Settings:
    return Settings.model_validate({"store": {"url": url, **options}})


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    program = find_program("versitygw")
    if program is None:
        pytest.skip("no S3 server: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
    files = pytest.importorskip("s3fs").S3FileSystem
    # Whoever asked before is remembered, with where the server was.
    files.clear_instance_cache()
    with serving(program, tmp_path_factory.mktemp("s3")) as variables:
        yield variables


@pytest.fixture(params=["file", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store in a folder, one that is no folder, and one on a real S3 server: all keep the same promises."""
    if request.param == "s3":
        for name, value in request.getfixturevalue("s3").items():
            monkeypatch.setenv(name, value)
        return Store(settings_of(f"s3://{BUCKET}/{tmp_path.name}"))
    return Store(settings_of(tmp_path.as_uri() if request.param == "file" else f"memory://{tmp_path}"))


def test_a_picture_is_found_by_its_content_and_gone_once_removed(store: Store) -> None:
    assert store.pictures() == {}
    name = store.put(b"picture")
    assert name == name_of(b"picture")
    assert store.put(b"picture") == name
    assert (store.get(name), store.has(name), list(store.pictures())) == (b"picture", True, [name])
    assert datetime.now(UTC) - store.pictures()[name] < timedelta(minutes=1)
    store.remove(name)
    store.remove(name)
    assert (store.get(name), store.has(name), store.pictures()) == (None, False, {})


def test_what_is_said_about_a_frame_is_replaced(store: Store) -> None:
    assert store.read_label("door:s1:1") is None
    store.write_label("door:s1:1", b"first")
    store.write_label("door:s1:1", b"second")
    store.write_label("door:s1:2", b"other")
    assert sorted(store.labels()) == [b"other", b"second"]
    assert store.read_label("door:s1:1") == b"second"
    store.remove_label("door:s1:1")
    store.remove_label("door:s1:1")
    assert list(store.labels()) == [b"other"]


def test_a_model_is_kept_file_by_file(store: Store) -> None:
    store.write_model("ab12", "model.json", b"{}")
    assert store.read_model("ab12", "model.json") == b"{}"
    with pytest.raises(StoreError, match=r"model\.xml of the model ab12 is not in"):
        store.read_model("ab12", "model.xml")


def test_an_s3_server_that_refuses_us_is_named(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (s3 | {"AWS_SECRET_ACCESS_KEY": "guessed"}).items():
        monkeypatch.setenv(name, value)
    pytest.importorskip("s3fs").S3FileSystem.clear_instance_cache()
    store = Store(settings_of(f"s3://{BUCKET}/refused"))
    with pytest.raises(StoreError, match=rf"cannot be kept or found at {BUCKET}/refused \(store\.url\): ") as refused:
        store.put(b"picture")
    assert "guessed" not in str(refused.value)
    pytest.importorskip("s3fs").S3FileSystem.clear_instance_cache()


def test_neither_a_frame_nor_a_hash_leads_out_of_the_folder(tmp_path: Path) -> None:
    store = Store(settings_of((tmp_path / "store").as_uri()))
    for call in (store.get, store.has, store.remove):
        with pytest.raises(StoreError, match="is no hash"):
            call("../../secret")
    store.write_label("../../../etc/passwd", b"{}")
    assert {path.parts[-3] for path in tmp_path.rglob("*.json")} == {"labels"}


def test_what_was_altered_is_not_taken_for_the_picture(tmp_path: Path) -> None:
    store = Store(settings_of(tmp_path.as_uri()))
    name = store.put(b"picture")
    (path,) = tmp_path.rglob("*.jpg")
    path.write_bytes(b"pictura")
    with pytest.raises(StoreError, match="was altered"):
        store.get(name)
    # Kept again, it is whole.
    store.put(b"picture")
    assert store.get(name) == b"picture"


def test_what_was_begun_is_no_picture(tmp_path: Path) -> None:
    store = Store(settings_of(tmp_path.as_uri()))
    name = store.put(b"picture")
    unfinished = next(tmp_path.rglob("*.jpg")).with_name(f".{name_of(b'other')}.jpg.1-ab")
    unfinished.write_bytes(b"oth")
    assert list(store.pictures()) == [name]
    # Nothing of ours is left behind.
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {f"{name}.jpg", unfinished.name}


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"store\.url cannot be used: .*nowhere"):
        Store(settings_of("nowhere://bucket"))
    (tmp_path / "file").touch()
    store = Store(settings_of((tmp_path / "file").as_uri()))
    with pytest.raises(StoreError, match=r"cannot be kept or found at .* \(store\.url\)"):
        store.put(b"picture")


def test_a_full_disk_is_told_and_costs_nothing_that_was_kept(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        store = Store(settings_of((disk.folder / "store").as_uri()))
        kept = store.put(b"picture")
        disk.fill(psutil.Process())
        try:
            with pytest.raises(StoreError, match=r"\(store\.url\): OSError\(.*(No space left|File too large)"):
                store.put(os.urandom(100_000))
        finally:
            disk.free()
        assert list(store.pictures()) == [kept]
        assert store.get(store.put(b"another")) == b"another"


async def test_a_store_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    late = threading.Event()
    with pytest.raises(StoreError, match=r"does not answer within 0\.05 s"):
        await Store(settings_of(tmp_path.as_uri(), timeout_s=0.05)).within(late.wait)
    late.set()
    assert await Store(settings_of(tmp_path.as_uri())).within(late.wait)


def test_without_an_address_it_lies_beside_the_data(tmp_path: Path) -> None:
    Store(Settings.model_validate({"data_dir": tmp_path})).put(b"picture")
    assert (tmp_path / "store" / "pictures").is_dir()
