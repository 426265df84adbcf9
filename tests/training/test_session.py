"""What ``maskwatch train`` looks at before it trains, and tells of it. Needs the training packages, trains nothing."""

import importlib.util
from pathlib import Path
from typing import Any

import msgspec
import pytest

from maskwatch.settings import Settings
from tests.training.datasets.test_manifest import some
from training.datasets import manifest
from training.errors import ManifestError, TrainingError
from training.journal import Kept, Tags, read
from training.recipe import Recipe

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("ultralytics") is None, reason="the training packages are not here: make test TRAIN=1"
    ),
    pytest.mark.filterwarnings("default"),  # torch and MLflow warn about themselves
]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ultralytics import YOLO  # noqa: PLC0415  # seconds, and only here

    file = tmp_path_factory.mktemp("weights") / "start.pt"
    YOLO("yolov8n.yaml").save(file)
    return file


@pytest.fixture
def data(tmp_path: Path) -> manifest.Manifest:
    made = manifest.build([*some(tmp_path, range(30)), *some(tmp_path, range(40, 60), "portraits")])
    manifest.save(made, tmp_path / "data.json")
    return made


def command(place: Path, start: Path, **changes: object) -> None:
    from training.session import command  # noqa: PLC0415

    settings, data, out = Settings(data_dir=place / "state"), place / "data.json", place / "out"
    command(settings, data, out, recipe=None, model=str(start), online=False, hours=None, changes=changes)


def test_a_folder_of_another_training_is_told_nothing(tmp_path: Path, start: Path, data: manifest.Manifest) -> None:
    from training.train import claim  # noqa: PLC0415

    claim(tmp_path / "out", data, Recipe(weights=start))
    with pytest.raises(TrainingError, match="another recipe"):
        command(tmp_path, start, epochs=3)
    assert not (tmp_path / "out" / "tracking").exists()


def test_what_is_told_of_the_data_is_what_is_trained_on(tmp_path: Path, start: Path, data: manifest.Manifest) -> None:
    from training.train import claim  # noqa: PLC0415

    used = claim(tmp_path / "out", data, Recipe(weights=start, without=("portraits",)))
    assert used.sources == ["test"]
    (tmp_path / "out" / "done").touch()
    command(tmp_path, start, without=("portraits",))
    events = list(read(tmp_path / "out"))
    tags = {name: value for event in events if isinstance(event, Tags) for name, value in event.values.items()}
    assert (tags["manifest"], tags["sources"]) == (used.sha256, "test")
    (kept,) = (event.path for event in events if isinstance(event, Kept))
    assert manifest.load(tmp_path / "out" / "tracking" / "kept" / kept) == used


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights": "gone.pt"}, "no checkpoint at .*gone.pt"),
        ({"weights": "junk.pt"}, "junk.pt cannot be read"),
        ({"weights": "graph.onnx"}, "graph.onnx is no detector's checkpoint"),
        ({"weights": "it's.pt"}, "rename it"),
        ({"weights": "yolov5n.pt"}, "rename it"),
        ({"distil_from": "gone.pt"}, "no checkpoint at .*gone.pt"),
        ({"shares": {"portrait": 0.3}}, "shares: no source is called portrait; there are portraits, test"),
    ],
)
def test_what_cannot_be_trained_leaves_the_folder_to_the_right_command(
    tmp_path: Path, start: Path, data: manifest.Manifest, changes: dict[str, Any], says: str
) -> None:
    from training.train import claim  # noqa: PLC0415

    for name in ("junk.pt", "graph.onnx", "it's.pt", "yolov5n.pt"):
        (tmp_path / name).write_bytes(b"junk")
    right = Recipe(weights=start)
    paths = {name: tmp_path / value if isinstance(value, str) else value for name, value in changes.items()}
    with pytest.raises((TrainingError, ManifestError), match=says):
        claim(tmp_path / "out", data, msgspec.structs.replace(right, **paths))
    claim(tmp_path / "out", data, right)


def test_what_a_training_needs_is_looked_for_again_until_it_is_over(
    tmp_path: Path, start: Path, data: manifest.Manifest
) -> None:
    from training.train import claim  # noqa: PLC0415

    mine, teacher = tmp_path / "mine.pt", tmp_path / "teacher.pt"
    for file in (mine, teacher):
        file.write_bytes(start.read_bytes())
    recipe, out = Recipe(weights=mine, distil_from=teacher), tmp_path / "out"
    claim(out, data, recipe)
    mine.unlink()
    with pytest.raises(TrainingError, match=r"no checkpoint at .*mine\.pt"):  # Ultralytics would ask the network
        claim(out, data, recipe)
    (out / "run" / "weights").mkdir(parents=True)
    (out / "run" / "weights" / "last.pt").touch()
    claim(out, data, recipe)
    teacher.unlink()
    with pytest.raises(TrainingError, match=r"no checkpoint at .*teacher\.pt"):
        claim(out, data, recipe)
    (out / "done").touch()
    claim(out, data, recipe)
