import json
import shutil
from pathlib import Path

import pytest

from maskwatch.errors import ModelError
from maskwatch.model import ModelFile, check_file, read_card
from maskwatch.settings import MODELS, DetectorSettings, Settings

MODEL = Settings().detector.model


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL, tmp_path / "model"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda card: card.pop("classes"), "does not describe a model"),
        (lambda card: card.update(classes=["mask", "no-mask"]), "expected"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(copy: Path, change: object, says: str) -> None:
    card = json.loads((copy / "model.json").read_text())
    assert callable(change)
    change(card)
    (copy / "model.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=says):
        read_card(copy)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"set detector\.model"):
        read_card(tmp_path)


def test_the_card_s_hashes_are_those_of_the_files() -> None:
    card = read_card(MODEL)
    for file in card.files.values():
        check_file(MODEL, file.path, file.sha256)
    check_file(MODEL, card.golden.path, card.golden.sha256)


def test_a_model_of_ours_is_chosen_by_its_name_and_any_other_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "default").mkdir()
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert DetectorSettings(model=Path("default")).model == MODELS / "default"
    assert DetectorSettings(model=tmp_path / "default").model == tmp_path / "default"
    assert DetectorSettings(model=Path("mine")).model == Path("mine")
    monkeypatch.setenv("MASKWATCH_DETECTOR__MODEL", "default")
    assert Settings().detector.model == MODELS / "default"


def test_models_of_one_architecture_are_told_apart_by_their_weights() -> None:
    # OpenVINO's FP16 graph names no number that was learnt: all of them lie in the file beside it.
    one, other = (ModelFile("model.xml", "ab" * 32, {"model.bin": weights * 32}) for weights in ("01", "02"))
    assert one.identity != other.identity
    assert ModelFile("model.onnx", "ab" * 32).identity == "ab" * 32
