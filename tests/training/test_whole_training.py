"""A training of one epoch, from folders of pictures to a model that serves. Needs the training packages."""

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from producers.drawn import write_voc
from training.manifest import load

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("ultralytics") is None, reason="the training packages are not here: make test TRAIN=1"
    ),
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),  # torch's exporter and NNCF warn about themselves
]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "photographs"
    write_voc(folder, 40, 5)
    return folder


def test_folders_become_a_model_that_is_refused_while_it_sees_nothing(photographs: Path, tmp_path: Path) -> None:
    from ultralytics import YOLO  # noqa: PLC0415  # seconds, and only here

    from training.__main__ import main  # noqa: PLC0415

    # Start weights that need no download. After an epoch on forty pictures they have learnt nothing, and the golden
    # picture must show it: everything up to there, INT8 included, has run for real.
    weights = tmp_path / "start.pt"
    YOLO("yolov8n.yaml").save(weights)
    drawn = tmp_path / "drawn"
    write_voc(drawn, 4, 6)
    arguments = [
        "--photographs", str(photographs), "--drawn", str(drawn), "--weights", str(weights),
        "--golden", str(next((photographs / "images").iterdir())), "--work", str(tmp_path / "work"),
        "--out", str(tmp_path / "model"), "--epochs", "1", "--drawn-epochs", "1", "--image-size", "64",
    ]  # fmt: skip
    for _ in range(2):  # the second time both trainings are already finished
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1
        assert "the model sees no face on the golden picture" in result.output
    assert (tmp_path / "model" / "model-int8.xml").exists()
    assert (tmp_path / "work" / "with-drawn" / "run" / "weights" / "best.pt").exists()
    assert {entry.source for entry in load(tmp_path / "work" / "manifest-with-drawn.json").entries} == {
        "photographs",
        "drawn",
    }
