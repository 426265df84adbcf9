"""What the profile «train» adds to one machine: the retrainer in its own image, and MLflow."""

import os
from collections.abc import Iterator

import httpx
import pytest

from maskwatch.embedded.broker import free_port
from tests.support.composed import Composed, docker, engine_trouble, eventually
from tests.support.stack import PORTS

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3000)]

MLFLOW = "ghcr.io/mlflow/mlflow:v3.17.2"
LOG_A_RUN = """
import mlflow
mlflow.set_experiment("here")
with mlflow.start_run():
    mlflow.log_metric("map50", 0.5)
print(len(mlflow.search_runs(experiment_names=["here"], output_format="list")))
"""


@pytest.fixture(scope="module")
def learning() -> Iterator[Composed]:
    """Return an installation that trains, up."""
    if trouble := engine_trouble():
        pytest.skip(f"{trouble}: compose needs one")
    if not docker("image", "ls", "-q", MLFLOW) and "Error" in docker("pull", MLFLOW, timeout_s=900, check=False):
        pytest.skip(f"{MLFLOW} is neither here nor to be had")
    stack = Composed(f"mt{os.getpid()}")
    stack.env |= {"COMPOSE_PROFILES": "train", "MASKWATCH_MLFLOW_PORT": str(free_port(PORTS))}
    try:
        stack("build", timeout_s=2400)
        stack.up()
        yield stack
    finally:
        stack.down()


def test_a_round_that_somebody_asks_for_is_run_and_says_what_it_lacks(learning: Composed) -> None:
    with learning.client(learning.token) as client:
        assert client.post("/train", json={"why": "a new lamp"}).status_code == 202

        def ended() -> bool:
            rounds = client.get("/runs").json()["runs"]
            return bool(rounds) and rounds[0]["state"] == "failed"

        eventually(ended)
        assert "nobody has labelled a picture yet" in client.get("/runs").json()["runs"][0]["said"]


def test_mlflow_is_there_for_the_retrainer_and_for_this_machine_alone(learning: Composed) -> None:
    logged = learning(
        "exec", "-T", "-e", "MLFLOW_TRACKING_URI=http://mlflow:5000", "retrainer", "python", "-c", LOG_A_RUN
    )
    assert logged.splitlines()[-1] == "1"
    address = f"http://127.0.0.1:{learning.env['MASKWATCH_MLFLOW_PORT']}"
    found = f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=here"
    assert httpx.get(found, timeout=20).status_code == 200
    assert httpx.get(found, headers={"Host": "elsewhere"}, timeout=20).status_code == 403
    ports = learning.inspect("mlflow")["NetworkSettings"]["Ports"]
    assert {one["HostIp"] for found in ports.values() for one in found or []} == {"127.0.0.1"}


def test_the_training_image_serves_nobody(learning: Composed) -> None:
    retrainer = learning.inspect("retrainer")
    assert not retrainer["NetworkSettings"]["Ports"]
    assert retrainer["HostConfig"]["ReadonlyRootfs"] is True
    assert learning("exec", "-T", "retrainer", "id", "-u") == "10001"
