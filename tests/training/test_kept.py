"""Two models compared by kept answers, on cases whose outcome is known."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from maskwatch.cli import main
from maskwatch.messages import DetectedFace, MarkedFace, ModelRef
from maskwatch.model import Precision
from maskwatch.settings import MODELS
from training.artefact.exported import read_exported
from training.datasets.manifest import Entry, Manifest, save
from training.errors import EvaluationError
from training.evaluation.answers import Answers
from training.kept import compare_kept

BOX = (0.1, 0.1, 0.4, 0.5)
ENTRIES = tuple(
    Entry(f"{number:064x}", f"{number}.jpg", "photographs", 100, 100, "", "test", (MarkedFace("with_mask", BOX),))
    for number in range(40)
)
RIGHT, WRONG = DetectedFace("with_mask", 0.9, BOX), DetectedFace("without_mask", 0.9, BOX)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    save(Manifest(ENTRIES), tmp_path / "manifest.json")
    return tmp_path / "manifest.json"


def keep(folder: Path, sha256: str, right: int, *, view: str = "plain", precision: Precision = "fp32") -> None:
    """Let a model be right on the first pictures and wrong on the others."""
    faces = tuple((RIGHT,) if number < right else (WRONG,) for number in range(len(ENTRIES)))
    kept = Answers(
        ModelRef("tiny", sha256[:1], sha256), precision, "wide", (64, 64), view, tuple(e.sha256 for e in ENTRIES), faces
    )
    folder.mkdir(exist_ok=True)
    (folder / f"{kept.key}.json").write_bytes(msgspec.json.encode(kept))


def test_the_better_model_is_said_with_how_sure_that_is(manifest: Path, tmp_path: Path) -> None:
    kept = tmp_path / "answers"
    keep(kept, "a" * 64, 40)
    keep(kept, "b" * 64, 20)
    keep(kept, "b" * 64, 40, view="dim, strongly")  # of another view: not looked at
    (pair,) = compare_kept(manifest, kept, ["a" * 64], ["b" * 64])
    assert (pair.title, pair.pictures) == ("photographs; test; wide, fp32", 40)
    found = pair.differences["mAP50"]
    assert found.first == 1
    assert found.second < 0.6
    assert found.p_better == 1
    (same,) = compare_kept(manifest, kept, ["a" * 64], ["a" * 64])
    assert (same.differences["mAP50"].gain.value, same.differences["mAP50"].p_better) == (0, 0.5)


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_answers_to_another_question_are_not_compared(manifest: Path, tmp_path: Path, precision: Precision) -> None:
    keep(tmp_path / "answers", "a" * 64, 40)
    keep(tmp_path / "answers", "b" * 64, 40, precision=precision)
    with pytest.raises(EvaluationError, match="let both be asked: maskwatch evaluate MODEL --against OTHER"):
        compare_kept(manifest, tmp_path / "answers", ["a" * 64], ["b" * 64])


def test_the_command_compares_models_by_the_answers_of_their_files(manifest: Path, tmp_path: Path) -> None:
    model = read_exported(MODELS / "default")
    keep(tmp_path / "answers", model.files["model.onnx"], 40)
    command = ["models", "compare", "default", "default", "--manifest", str(manifest), "--kept", f"{tmp_path}/answers"]
    text = CliRunner().invoke(main, command).output
    assert "photographs; test; wide, fp32, 40 pictures" in text
    assert "P(better) 0.500" in text
    told = json.loads(CliRunner().invoke(main, [*command, "--json"]).output)
    assert told[0]["differences"]["mAP50"]["first"] == 1
