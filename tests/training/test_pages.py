"""``maskwatch mlflow``: MLflow's own pages, as a person opens them."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from maskwatch.settings import MlflowSettings, Settings
from tests.support.command import maskwatch
from tests.support.ports import free_port
from training.errors import TrackingError
from training.journal import Journal
from training.pages import serving, show
from training.tracking import send

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("mlflow") is None, reason="the training packages are not here: make test TRAIN=1"
    ),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # MLflow's own
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, mlflow=MlflowSettings(port=free_port()))


def test_the_pages_show_what_was_logged_until_ctrl_c(settings: Settings, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "training", "a name")
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"png")
    journal.keep(picture, "curves")
    send(tmp_path / "training", settings)
    variables = os.environ | {"MASKWATCH_DATA_DIR": str(tmp_path), "MASKWATCH_SETTINGS": ""}
    port = free_port()
    command = [sys.executable, "-m", "maskwatch", "mlflow", "--no-browser", "--port", str(port)]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as pages:
        assert pages.stdout is not None
        assert pages.stdout.readline().startswith(f"MLflow: http://127.0.0.1:{port} ")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            assert "<title>MLflow</title>" in client.get("/").text
            found = client.post("/api/2.0/mlflow/runs/search", json={"experiment_ids": ["1"]}).json()
            (run,) = found["runs"]
            assert run["info"]["run_name"] == "a name"
            where = {"run_uuid": run["info"]["run_id"], "path": "curves/curves.png"}
            assert client.get("/get-artifact", params=where).content == b"png"
        pages.send_signal(signal.SIGINT)
        assert pages.wait(60) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}")


def test_a_port_that_is_taken_is_said_with_another(settings: Settings) -> None:
    import socket  # noqa: PLC0415  # only here

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.mlflow.port))
        taken.listen()
        process = maskwatch(settings, "mlflow", "--no-browser", "--port", str(settings.mlflow.port))
        _, said = process.communicate(timeout=60)
    assert process.returncode == TrackingError.exit_code
    assert f"port {settings.mlflow.port} is taken by " in said
    assert "stop it, or maskwatch mlflow --port " in said


def test_pages_that_do_not_come_up_say_why(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow/mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(TrackingError, match=r"do not come up at .*; it said: ."), serving(settings, free_port()):
        pass


def test_a_server_of_one_s_own_is_named_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    mlflow = MlflowSettings.model_validate({"tracking_uri": "https://me:secret@mlflow.example"})
    show(Settings(mlflow=mlflow), None, browse=False)
    assert capsys.readouterr().out == "MLflow is your own server: https://mlflow.example\n"
