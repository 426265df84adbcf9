"""What compose/ promises, read from its files: no engine is needed."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from prometheus_client import Counter, Gauge, Histogram

from api.app import ROUTERS, stage
from maskwatch import __version__, metrics
from maskwatch.roles import ROLES
from maskwatch.secret_files import make_cluster, make_server
from maskwatch.settings import PROJECT
from tests.support.programs import find_program

COMPOSE = PROJECT / "compose"
ONCE = {"secrets", "topics", "users", "bucket"}
OFFICIAL = (
    "apache/kafka:", "redis:7-alpine", "nginx:stable", "ghcr.io/mlflow/mlflow:", "prom/prometheus:", "grafana/grafana:",
    "versity/versitygw:",
)  # fmt: skip


class _Overlay(yaml.SafeLoader):  # type: ignore[misc]  # it ships no types
    """Reads what an overlay takes away (`!reset`) or replaces (`!override`) as if it were said plainly."""


def _plain(loader: Any, node: Any) -> Any:  # noqa: ANN401  # it ships no types
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node) if node.value != "null" else None


for _tag in ("!reset", "!override"):
    _Overlay.add_constructor(_tag, _plain)


def services(file: str) -> dict[str, dict[str, Any]]:
    read = yaml.load((COMPOSE / file).read_text(), _Overlay)  # noqa: S506  # a safe loader, with two tags more
    return {name: service for name, service in read["services"].items() if service}


def whole() -> list[tuple[str, dict[str, Any]]]:
    """Return every service that is said as a whole, of both files."""
    said = [*services("compose.yaml").items(), *services("cluster.yaml").items()]
    return [(name, service) for name, service in said if "image" in service]


@pytest.mark.parametrize(("name", "service"), whole(), ids=[name for name, _ in whole()])
def test_every_service_is_looked_after(name: str, service: dict[str, Any]) -> None:
    image = service["image"]
    assert image.startswith((*OFFICIAL, "${MASKWATCH_IMAGE:-", "${MASKWATCH_TRAINING_IMAGE:-"))
    assert not image.endswith(":latest")
    assert service["logging"]["options"]["max-size"]
    assert "no-new-privileges:true" in service["security_opt"]
    if name in ONCE:
        return
    assert service["restart"] == "unless-stopped"
    assert service["deploy"]["resources"]["limits"].keys() == {"memory", "cpus"}
    check = service["healthcheck"]["test"]
    programs = re.findall(r"[^\s\"'$(]*(?:/bin/|python)[\w.-]*", " ".join(check))
    assert programs, check
    assert all(program.startswith("/") or program == "python" for program in programs), check


@pytest.mark.parametrize(("name", "service"), services("compose.yaml").items(), ids=list(services("compose.yaml")))
def test_ours_may_do_little_and_stop_in_their_own_time(name: str, service: dict[str, Any]) -> None:
    if "build" not in service:
        return
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "ports" not in service
    if name not in ONCE:
        assert service["stop_grace_period"] == "30s"
        assert service["init"] is True


def test_nothing_is_published_beyond_loopback_but_the_front_door() -> None:
    for file in ("compose.yaml", "cluster.yaml"):
        for name, service in services(file).items():
            for port in service.get("ports", []):
                assert port.startswith("${MASKWATCH_BIND:-127.0.0.1}:" if name == "nginx" else "127.0.0.1:"), name


def test_where_pictures_and_models_are_only_read_they_cannot_be_written() -> None:
    writers = {
        name
        for name, service in services("compose.yaml").items()
        if "store:/srv/maskwatch" in service.get("volumes", [])
    }
    assert writers == {"api", "api-status", "api-live", "api-drift", "archive", "dataset", "retrainer"}


def test_the_api_processes_share_all_calls_and_the_front_door_knows_which() -> None:
    door = (COMPOSE / "nginx" / "maskwatch.conf").read_text()
    for name, service in services("compose.yaml").items():
        command = service.get("command", [])
        if command[:1] == ["api"]:
            assert f"http://{name}:{service['environment']['MASKWATCH_API__PORT']}" in door
            asked = command[2].split(",") if command[1:] else []
            assert callable(stage(asked))
            assert set(asked) <= set(ROUTERS)


def test_the_image_says_the_version_of_the_code() -> None:
    said = re.search(r'org\.opencontainers\.image\.version="([^"]+)"', (PROJECT / "Dockerfile").read_text())
    assert said is not None
    assert said[1] == __version__
    assert f"maskwatch:{__version__}}}" in (COMPOSE / "compose.yaml").read_text()


def test_every_secret_of_the_cluster_is_made_and_each_role_gets_its_own(tmp_path: Path) -> None:
    made = set(make_cluster(tmp_path / "cluster", []))
    named = yaml.load((COMPOSE / "cluster.yaml").read_text(), _Overlay)["secrets"]  # noqa: S506  # see above
    assert {Path(secret["file"]).name for secret in named.values()} <= made
    for name, service in services("cluster.yaml").items():
        theirs = {Path(secret).stem for secret in service.get("secrets", []) if Path(secret).stem in ROLES}
        role = "operator" if name == "topics" else name.partition("-")[0]
        assert theirs <= {role}, name
        file = (service.get("environment") or {}).get("MASKWATCH_SETTINGS")
        assert file is None or Path(file).name in service["secrets"], name
    assert set(named) == set(services_secrets())


def services_secrets() -> list[str]:
    return [secret for service in services("cluster.yaml").values() for secret in service.get("secrets", [])]


def test_one_machine_finds_the_files_that_are_made_for_it(tmp_path: Path) -> None:
    made = set(make_server(tmp_path / "server", []))
    text = (COMPOSE / "compose.yaml").read_text() + (COMPOSE / "nginx" / "maskwatch.conf").read_text()
    assert set(re.findall(r"/run/secrets/([\w.-]+)", text)) <= made


def figures() -> set[str]:
    """Return the name of every sample that a process of ours can show."""
    names = set()
    for metric in vars(metrics).values():
        if isinstance(metric, Counter):
            names.add(f"{metric._name}_total")
        elif isinstance(metric, Histogram):
            names |= {f"{metric._name}{suffix}" for suffix in ("_bucket", "_count", "_sum")}
        elif isinstance(metric, Gauge):
            names.add(metric._name)
    return names


def labels_of(name: str) -> set[str]:
    stem = re.sub(r"_(total|bucket|count|sum)$", "", name)
    owner = next(
        one for one in vars(metrics).values() if isinstance(one, Counter | Histogram | Gauge) and one._name == stem
    )
    return {*owner._labelnames, "le", "service", "instance", "job"}


def queries() -> list[str]:
    rules = yaml.safe_load((COMPOSE / "observability" / "rules.yaml").read_text())
    board = json.loads((COMPOSE / "observability" / "grafana" / "maskwatch.json").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return asked + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("query", queries())
def test_what_is_asked_of_prometheus_is_there_to_be_asked(query: str) -> None:
    names = set(re.findall(r"maskwatch_\w+", query))
    assert names <= figures()
    grouped = {label.strip() for found in re.findall(r"by \(([^)]*)\)", query) for label in found.split(",")}
    for name in names:
        assert grouped <= labels_of(name)
    for name, asked in re.findall(r"(maskwatch_\w+)\{([^}]*)\}", query):
        assert set(re.findall(r"(\w+)=~?\"", asked)) <= labels_of(name)


def test_prometheus_looks_at_every_process_of_ours() -> None:
    said = yaml.safe_load((COMPOSE / "observability" / "prometheus.yaml").read_text())
    looked_at = set(said["scrape_configs"][0]["dns_sd_configs"][0]["names"])
    ours = {
        name
        for name, service in services("compose.yaml").items()
        if "build" in service and name not in ONCE and "profiles" not in service
    }
    assert looked_at == ours


def run(program: str, remedy: str, *arguments: str) -> None:
    """Run a program that finds fault with files."""
    found = find_program(program)
    if found is None:
        pytest.skip(f"no {program}: {remedy}")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_its_files_and_raises_each_alert_when_it_should() -> None:
    folder = COMPOSE / "observability"
    rules = yaml.safe_load((folder / "rules.yaml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load((folder / "rules.test.yaml").read_text())["tests"]
    assert [test["name"] for test in tests] == [rule["alert"] for rule in rules]
    for arguments in (
        ("check", "config", "--syntax-only", str(folder / "prometheus.yaml")),
        ("check", "rules", str(folder / "rules.yaml")),
        ("test", "rules", str(folder / "rules.test.yaml")),
    ):
        run("promtool", "apt-get install prometheus", *arguments)


def test_the_workflows_are_what_github_takes_and_run_nothing_that_can_be_exchanged() -> None:
    files = sorted((PROJECT / ".github" / "workflows").glob("*.yaml"))
    used = re.findall(r"uses: (\S+)(.*)", "".join(file.read_text() for file in files))
    assert len(used) > 10
    for action, beside in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", beside), action
    remedy = "go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.7"
    run("actionlint", remedy, "-no-color", *map(str, files))
