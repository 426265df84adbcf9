import hashlib
import json
import shutil
from pathlib import Path

import pytest

from maskwatch.errors import ModelError
from maskwatch.settings import MODELS
from training.artefact.exported import figures_of, flat, headline, read_exported

SET = {"pictures": 2, "map50": {"value": 0.9, "low": 0.8, "high": 0.95}, "classes": {"with_mask": {"ap50": 0.7}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(MODELS / "default", tmp_path / "model")
    return tmp_path / "model"


def test_a_model_is_read_with_every_file_and_what_is_known_of_it(folder: Path) -> None:
    (folder / "figures.json").write_text(json.dumps({"portraits, wide, int8": SET}))
    (folder / "provenance.json").write_text(json.dumps({"plan": {"data": "ab" * 32}}))
    model = read_exported(folder)
    assert set(model.files) == {path.name for path in folder.iterdir()}
    assert model.files["card.md"] == hashlib.sha256((folder / "card.md").read_bytes()).hexdigest()
    assert model.sha256 == model.files["model.json"]
    assert model.manifest == "ab" * 32
    assert model.headline == {"portraits, wide, int8": "0.900 (0.800 to 0.950)"}
    assert model.figures["portraits, wide, int8/map50/low"] == 0.8


def test_a_model_without_figures_or_provenance_is_one_too(folder: Path) -> None:
    for name in ("figures.json", "provenance.json"):
        (folder / name).unlink(missing_ok=True)
    model = read_exported(folder)
    assert (model.figures, model.headline, model.manifest) == ({}, {}, "")


def test_an_altered_or_missing_file_is_named(folder: Path) -> None:
    (folder / "golden.jpg").write_bytes(b"another")
    with pytest.raises(ModelError, match=r"golden\.jpg was altered"):
        read_exported(folder)
    (folder / "golden.jpg").unlink()
    with pytest.raises(ModelError, match=r"golden\.jpg cannot be read"):
        read_exported(folder)


def test_figures_that_are_no_json_are_named(folder: Path) -> None:
    (folder / "figures.json").write_text("[")
    with pytest.raises(ModelError, match=r"figures\.json is not what an export writes"):
        read_exported(folder)


def test_average_precisions_are_told_from_other_numbers(tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text(json.dumps({"voc": SET}))
    assert figures_of(tmp_path / "figures.json") == {"voc/map50": 0.9, "voc/classes/with_mask/ap50": 0.7}
    assert figures_of(tmp_path / "none.json") == {}


def test_what_is_no_number_is_left_out() -> None:
    assert dict(flat({"a": True, "b": None, "c": "x", "d": [1, {"e": 2.5}]})) == {"d/0": 1.0, "d/1/e": 2.5}
    assert dict(headline({"a": {"map50": None}, "b": {"map50": 1}, "c": [1]})) == {"b": "1.000"}
