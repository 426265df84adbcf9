"""``maskwatch models``: folders without MLflow, versions with it."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maskwatch.cli import main
from maskwatch.settings import MODELS
from training.journal import Journal

REAL = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="the training packages are not here: make test TRAIN=1"
)
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # MLflow's own
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASKWATCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MASKWATCH_SETTINGS", "")
    return tmp_path / "data"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def rows(*arguments: str | Path) -> list[dict[str, object]]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def another(folder: Path, version: str, map50: float) -> Path:
    shutil.copytree(MODELS / "default", folder)
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | {"version": version}))
    (folder / "figures.json").write_text(json.dumps({"facemask-voc, wide, int8": {"map50": map50, "boxes": 7}}))
    return folder


def test_the_shipped_model_is_listed_without_mlflow_and_nothing_is_made(home: Path) -> None:
    result = run("models", "list")
    assert result.exit_code == 0
    assert "configured" in result.output
    assert "facemask-voc, wide, int8" in result.output
    (row, *_) = [row for row in rows("models", "list") if row["which"] == "default"]
    assert row["aliases"] == ["configured"]
    assert row["sha256"]
    assert not home.exists()


def test_a_model_elsewhere_that_is_configured_is_listed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = another(tmp_path / "elsewhere", "7", 0.5)
    monkeypatch.setenv("MASKWATCH_DETECTOR__MODEL", str(folder))
    assert [row["version"] for row in rows("models", "list") if row["aliases"] == ["configured"]] == ["7"]


def test_a_model_that_was_altered_is_said_and_the_others_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = another(tmp_path / "altered", "7", 0.5)
    (folder / "model.onnx").write_bytes(b"")
    monkeypatch.setenv("MASKWATCH_DETECTOR__MODEL", str(folder))
    result = run("models", "list")
    assert "model.onnx was altered" in result.stderr
    assert "default" in result.stdout


def test_listing_does_not_load_mlflow_or_torch() -> None:
    code = (
        "import sys; from maskwatch.cli import main\n"
        "try: main(['models', 'list'])\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'mlflow', 'openvino', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_model_is_shown_with_its_files() -> None:
    result = run("models", "show", "default")
    assert result.exit_code == 0
    assert "model.json" in result.output
    assert str(MODELS / "default") in result.output
    shown = run("models", "show", MODELS / "default", "--json")
    assert set(json.loads(shown.output)["files"]) == {path.name for path in (MODELS / "default").iterdir()}


def test_two_folders_are_compared_figure_by_figure(tmp_path: Path) -> None:
    first, second = another(tmp_path / "a", "1", 0.75), another(tmp_path / "b", "2", 0.5)
    assert rows("models", "compare", first, second) == [
        {"figure": "facemask-voc, wide, int8/map50", "first": 0.75, "second": 0.5, "difference": 0.25}
    ]
    text = run("models", "compare", first, second).output
    assert "0.750" in text
    assert "+0.250" in text


def test_models_without_a_common_figure_are_not_compared(tmp_path: Path) -> None:
    first, second = another(tmp_path / "a", "1", 0.75), another(tmp_path / "b", "2", 0.5)
    (second / "figures.json").unlink()
    result = run("models", "compare", first, second)
    assert result.exit_code != 0
    assert "have no figure in common; judge both: maskwatch evaluate" in result.output


WITHOUT_MLFLOW = """
import sys
sys.modules["mlflow"] = None
from maskwatch.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", [("models", "show", "champion"), ("models", "register", str(MODELS / "default"))])
def test_what_needs_mlflow_says_how_to_get_it(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MLFLOW, *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 69
    assert done.stderr == (
        "maskwatch: MLflow is not installed; «make .venv/.train» installs what training needs (3 GB)\n"
    )


@REAL
def test_models_are_registered_listed_shown_and_compared(tmp_path: Path) -> None:
    first, second = another(tmp_path / "a", "1", 0.5), another(tmp_path / "b", "2", 0.75)
    training = tmp_path / "training"
    Journal(training, "a training").close()
    assert run("models", "register", first, "--champion").output.startswith("version 1 (champion): ")
    for _ in range(2):
        result = run("models", "register", second, "--training", training, "--champion")
        assert result.output.startswith("version 2 (champion): ")
    listed = {str(row["which"]): row for row in rows("models", "list")}
    assert (listed["1"]["aliases"], listed["2"]["aliases"]) == (["previous"], ["champion"])
    assert listed["2"]["figures"] == {"facemask-voc, wide, int8": "0.750"}
    assert "champion" in run("models", "list").output
    assert json.loads(run("models", "show", "champion", "--json").output)["version"] == "2"
    assert rows("models", "compare", "champion", "previous")[0]["difference"] == 0.25
    assert rows("models", "compare", first, "2")[0]["difference"] == -0.25
    (first / "figures.json").unlink()
    run("models", "register", first)
    assert "have no figure in common; judge both" in run("models", "compare", "1", "2").output
    unknown = run("models", "show", "9")
    assert unknown.exit_code != 0
    assert "registered: 2 champion, 1 previous" in unknown.output


@REAL
def test_a_server_that_is_away_is_said_and_folders_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKWATCH_MLFLOW__TRACKING_URI", "http://127.0.0.1:9")
    result = run("models", "list")
    assert "MLflow at http://127.0.0.1:9 gives no answer" in result.stderr
    assert "default" in result.stdout


def test_a_training_that_was_not_tracked_is_said(tmp_path: Path) -> None:
    result = run("models", "register", MODELS / "default", "--training", tmp_path)
    assert "no training was tracked in" in result.output


@REAL
def test_what_trainings_could_not_send_is_sent(tmp_path: Path) -> None:
    for name in ("a", "b"):
        journal = Journal(tmp_path / "trainings" / name, name)
        journal.metrics(1, {"loss": 0.5})
        journal.close()
    for logged in (2, 0):
        result = run("mlflow", "sync", tmp_path / "trainings")
        assert result.output.splitlines() == [f"{tmp_path / 'trainings' / name}: {logged} logged" for name in "ab"]
