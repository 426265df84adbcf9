"""Models that are fetched onto this machine: whole or not at all, and gone once nobody needs them."""

import os
import time
from pathlib import Path

import pytest

from maskwatch.errors import StoreError
from maskwatch.model import check_file, read_card
from maskwatch.model_messages import PublishedModel
from maskwatch.published import FOLDER, fetch, forget, publish
from maskwatch.settings import Settings
from maskwatch.store import Store
from tests.support.models import SHIPPED


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path, "detector": {"precision": "int8"}})


@pytest.fixture
def model(settings: Settings) -> PublishedModel:
    return publish(SHIPPED, Store(settings))


def test_a_file_that_was_broken_here_is_fetched_again(settings: Settings, model: PublishedModel) -> None:
    folder = fetch(model, Store(settings), settings)
    graph = read_card(folder).files["int8"].path
    for name in ("model.json", graph):
        (folder / name).write_bytes(b"half of it")
    assert fetch(model, Store(settings), settings) == folder
    check_file(folder, graph, read_card(SHIPPED).files["int8"].sha256)


def test_a_disk_that_takes_nothing_is_told_with_the_folder(settings: Settings, model: PublishedModel) -> None:
    (settings.data_dir / FOLDER).touch()
    with pytest.raises(StoreError, match=rf"cannot be kept in {settings.data_dir}/{FOLDER}/{model.sha256} \(.*full"):
        fetch(model, Store(settings), settings)


def test_what_serves_no_more_is_removed_once_nobody_can_be_at_it(settings: Settings) -> None:
    kept, lately, gone = ("a" * 64, "b" * 64, "c" * 64)
    for name in (kept, lately, gone, "somebody's"):
        (settings.data_dir / FOLDER / name).mkdir(parents=True)
        if name != lately:
            os.utime(settings.data_dir / FOLDER / name, (0, 0))
    assert forget({kept}, settings, time.time()) == [gone]
    assert {path.name for path in (settings.data_dir / FOLDER).iterdir()} == {kept, lately, "somebody's"}
