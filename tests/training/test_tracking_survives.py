"""A training that is killed anywhere, and an MLflow that is killed and comes back: nothing is lost, nothing twice."""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.settings import PROJECT, MlflowSettings, Settings
from tests.support.mlflow_server import MlflowServer
from training.artefact.exported import read_exported
from training.journal import read
from training.tracking import send, track

if importlib.util.find_spec("mlflow") is None:
    pytest.skip("the training packages are not here: make test TRAIN=1", allow_module_level=True)

from training.registry import LOGGED, Registry

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # MLflow's own
]
FEWEST_KILLS = 15
"""Fewer would mean that writes were not met."""


def test_a_training_that_is_killed_between_any_two_writes_is_logged_once_and_whole(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_training", str(tmp_path / "data"), str(tmp_path / "trainings")],
        cwd=PROJECT, capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    kills = int(done.stdout)
    assert kills >= FEWEST_KILLS
    settings = Settings(data_dir=tmp_path / "data")
    client = Registry(settings).client
    (experiment,) = (found for found in client.search_experiments() if found.name == settings.mlflow.experiment)
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [f"killed-{moment:03}" for moment in range(1, kills + 2)]
    for run in runs:
        name, identity = run.info.run_name, run.info.run_id
        assert run.info.status == "FINISHED", name
        assert run.data.params == {"epochs": "2"}, name
        losses = [(metric.step, metric.value) for metric in client.get_metric_history(identity, "loss")]
        assert losses == [(1, 1.0), (2, 0.5)], name
        assert len(client.get_metric_history(identity, "mAP50")) == 2, name
        assert [file.path for file in client.list_artifacts(identity, "curves")] == ["curves/curves.png"], name
        assert run.data.tags[LOGGED] == str(len(list(read(tmp_path / "trainings" / name)))), name


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def test_a_server_that_is_killed_and_comes_back_has_everything_once(server: MlflowServer, tmp_path: Path) -> None:
    folder = tmp_path / "training"
    mlflow = MlflowSettings.model_validate({"tracking_uri": server.url, "retry_after_s": 0.2, "timeout_s": 10})
    settings = Settings(data_dir=tmp_path / "data", mlflow=mlflow)
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"png")
    with track(folder, "outlives its server", settings) as training:
        training.parameters({"epochs": 60})
        for epoch in range(1, 21):
            training.metrics(epoch, {"loss": 1 / epoch})
        # Somewhere in the middle of it.
        time.sleep(0.5)
        server.kill()
        for epoch in range(21, 41):
            training.metrics(epoch, {"loss": 1 / epoch})
        training.keep(picture, "curves")
        server.start()
        for epoch in range(41, 61):
            training.metrics(epoch, {"loss": 1 / epoch})
    send(folder, settings)
    registry = Registry(settings)
    (run,) = registry.client.search_runs(["1"])
    identity = run.info.run_id
    history = registry.client.get_metric_history(identity, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(epoch, 1 / epoch) for epoch in range(1, 61)]
    assert run.info.status == "FINISHED"
    assert [file.path for file in registry.client.list_artifacts(identity, "curves")] == ["curves/curves.png"]
    # The same server keeps models, with files that go through it.
    version = registry.register(read_exported(PROJECT / "data/models/default"))
    registry.promote(version.number)
    assert registry.version("champion").number == version.number
    fetched = registry.fetch(version, "model.json", tmp_path)
    assert fetched.read_bytes() == (PROJECT / "data/models/default/model.json").read_bytes()
