"""An installation of compose/cluster.yaml: three brokers that know everybody by name, and any of which may be lost."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from maskwatch.certificates import authority, issue
from maskwatch.secret_files import USERS, make_cluster, passwords
from tests.compose.test_one_machine import Answers, is_live
from tests.support.composed import COMPOSE, Composed, build_gateway, docker, engine_trouble, eventually
from tests.support.programs import find_program

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

BACK_S = 15


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """Return a cluster, up; at the end nothing of it is left."""
    if trouble := engine_trouble():
        pytest.skip(f"{trouble}: compose needs one")
    if (program := find_program("versitygw")) is not None:
        build_gateway(program, tmp_path_factory.mktemp("gateway"))
    elif not docker("image", "ls", "-q", "versity/versitygw:v1.8.0"):
        pytest.skip("no S3 server: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
    make_cluster(COMPOSE / "secrets", [])
    cluster = Composed(f"mc{os.getpid()}", "compose.yaml", "cluster.yaml")
    try:
        cluster.up("--build")
        yield cluster
    finally:
        cluster.down()
    assert cluster.left() == []


def test_a_frame_goes_from_a_camera_to_a_detection_and_an_upload_is_answered(cluster: Composed) -> None:
    with cluster.client(cluster.token) as client:
        assert is_live(client)
        answers = Answers(client)
        with answers:
            eventually(lambda: len(answers.accepted) > 5)
        answers.check()


def test_secrets_are_in_no_variable_or_log(cluster: Composed) -> None:
    known = [
        line.partition(" = ")[2].strip('"')
        for file in ("users.toml", "redis.toml", "s3.toml", "shared.toml")
        for line in (COMPOSE / "secrets" / file).read_text().splitlines()
        if " = " in line
    ]
    assert len(known) > 15
    seen = cluster("logs", "--no-color")
    for container in cluster("ps", "--all", "-q").splitlines():
        seen += docker("inspect", container)
    assert not [secret for secret in known if secret in seen]


def test_each_container_has_the_secrets_of_its_role_alone(cluster: Composed) -> None:
    listed = cluster("exec", "-T", "detector", "ls", "/run/secrets").split()
    assert sorted(listed) == ["ca.crt", "detector.toml", "s3-credentials"]


def test_who_is_not_let_in_says_why_in_one_line_and_names_the_setting(cluster: Composed, tmp_path: Path) -> None:
    said = cluster.refused("detector", MASKWATCH_KAFKA__PASSWORD="guessed")  # noqa: S106  # the point
    assert "see kafka.username and kafka.password" in said
    camera = passwords(COMPOSE / "secrets" / USERS)["camera"]
    said = cluster.refused("drift", MASKWATCH_KAFKA__USERNAME="camera", MASKWATCH_KAFKA__PASSWORD=camera)
    assert "it does not let «camera» use" in said
    assert "its ACLs decide that" in said
    late = issue(authority("late"), "admin", (), timedelta(days=-1))
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "admin.crt").write_bytes(late.certificate)
    (tmp_path / "late" / "admin.key").write_bytes(late.key)
    files = {"CERT_FILE": "/srv/late/admin.crt", "KEY_FILE": "/srv/late/admin.key"}
    mounted = ("--volume", f"{tmp_path / 'late'}:/srv/late:ro")
    said = cluster.refused("users", *mounted, **{f"MASKWATCH_KAFKA__{name}": path for name, path in files.items()})
    assert re.search(r"kafka\.cert_file /srv/late/admin\.crt has expired on \d{4}-\d\d-\d\d", said), said
    assert camera not in said


def test_a_secret_that_is_missing_is_named(cluster: Composed, tmp_path: Path) -> None:
    (tmp_path / "lost.yaml").write_text(f"secrets: {{ detector.toml: {{ file: {tmp_path}/detector.toml }} }}")
    files = cluster.env["COMPOSE_FILE"]
    cluster.env["COMPOSE_FILE"] = f"{files}:{tmp_path / 'lost.yaml'}"
    try:
        assert f"{tmp_path}/detector.toml" in cluster.refused("detector")
    finally:
        cluster.env["COMPOSE_FILE"] = files


@pytest.mark.parametrize("broker", ["kafka-1", "kafka-2", "kafka-3"])
def test_no_broker_is_missed(cluster: Composed, broker: str) -> None:
    with cluster.client(cluster.token) as client:
        answers = Answers(client)
        with answers:
            eventually(lambda: len(answers.accepted) > 3)
            cluster("kill", broker)
            back = eventually(lambda: is_live(client))
            print(f"{broker} killed: the next detection came after {back:.1f} s")  # noqa: T201  # for docs/operate.md
            assert back < BACK_S
            eventually(lambda: len(answers.accepted) > 8)
        cluster("up", "-d", "--wait", "--no-deps", "--no-recreate", broker)
        answers.check()
