"""An installation of compose/ for the tests: a project of its own, on ports that nobody else has."""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from maskwatch import __version__
from maskwatch.embedded.broker import free_port
from maskwatch.settings import PROJECT
from tests.support.stack import PORTS

COMPOSE = PROJECT / "compose"
UP_TIMEOUT_S = 900
"""With its images to be built, on two cores."""

PATIENCE_S = 120


def engine_trouble() -> str:
    """Say why no engine can be used; empty if one can."""
    if shutil.which("docker") is None:
        return "no «docker» on PATH"
    done = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else f"no Docker engine answers: {done.stderr.strip()[-200:]}"


def docker(*arguments: str, timeout_s: float = 120, check: bool = True) -> str:
    """Run the engine's command and return what it says."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False)
    if check and done.returncode:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip()[-3000:]}")
    return done.stdout.strip()


def eventually(seen: Callable[[], object], patience_s: float = PATIENCE_S) -> float:
    """Wait until something is so, and return how many seconds that took."""
    began = time.monotonic()
    while True:
        try:
            if seen():
                return time.monotonic() - began
        except (httpx.TransportError, RuntimeError):
            pass
        assert time.monotonic() - began < patience_s, f"not so after {patience_s} s"
        time.sleep(0.25)


def laid_over(files: Sequence[str]) -> list[Path]:
    """Return the files of compose/, and what a stand-in for Kafka's image needs where it is one."""
    chosen = [COMPOSE / file for file in files]
    # Kafka's own image has this program, which goes on where a folder is formatted already.
    if docker("run", "--rm", "--entrypoint", "cat", "apache/kafka:4.2.0", "/etc/kafka/docker/launch", check=False):
        return chosen
    name = "standin-cluster.yaml" if "cluster.yaml" in files else "standin.yaml"
    return [*chosen, PROJECT / "tests" / "compose" / name]


class Composed:
    """One installation.

    Parameters
    ----------
    project
        Its name, which its containers, networks and volumes carry.
    files
        Of compose/, laid over each other.
    """

    def __init__(self, project: str, *files: str) -> None:
        self.project = project
        self.port = free_port(PORTS)
        self.env = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": project,
            "COMPOSE_FILE": ":".join(map(str, laid_over(files or ("compose.yaml",)))),
            "MASKWATCH_PORT": str(self.port),
            "MASKWATCH_KAFKA_PORT": str(free_port(range(PORTS.start, self.port))),
            "MASKWATCH_IMAGE": f"maskwatch:{__version__}",
        }

    def __call__(self, *arguments: str, timeout_s: float = UP_TIMEOUT_S) -> str:
        """Run a command of compose and return what it says."""
        return self.run(["docker", "compose", *arguments], timeout_s)

    def run(self, command: Sequence[str], timeout_s: float = UP_TIMEOUT_S) -> str:
        """Run a command that looks at this installation."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=self.env, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-3000:]}")
        return done.stdout.strip()

    def refused(self, service: str, *options: str, **variables: str) -> str:
        """Run a service once that cannot begin, and return what it says."""
        told = [option for name, value in variables.items() for option in ("--env", f"{name}={value}")]
        with pytest.raises(RuntimeError) as error:
            self("run", "--rm", "-T", "--no-deps", *told, *options, service, timeout_s=120)
        # What comes before is the command, with the variables.
        return str(error.value).partition(f" {service}: ")[2]

    def up(self, *arguments: str) -> float:
        """Bring everything up, and return how many seconds that took."""
        began = time.monotonic()
        try:
            self("up", "-d", "--wait", *arguments)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self.troubles()}") from error
        return time.monotonic() - began

    def down(self) -> None:
        """Take everything away, what it keeps too."""
        self("down", "--volumes", "--remove-orphans", "--timeout", "30")

    def troubles(self) -> str:
        """Return the last lines of those who are not well."""
        rows = [json.loads(line) for line in self("ps", "--all", "--format", "json").splitlines()]
        ill = [row["Service"] for row in rows if row["Health"] not in {"", "healthy"} or row["ExitCode"]]
        return "\n".join([str([(row["Service"], row["State"], row["Health"]) for row in rows]), self.logs(*ill)])

    def logs(self, *names: str) -> str:
        """Return the last lines of these services."""
        return self("logs", "--no-color", "--tail", "40", *names) if names else ""

    def left(self) -> list[str]:
        """Return what there still is of it."""
        mine = f"label=com.docker.compose.project={self.project}"
        kinds = (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
        return [name for kind in kinds for name in docker(*kind, "-q", "--filter", mine).splitlines()]

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what the engine knows of a service's first container."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", self("ps", "--all", "-q", name).splitlines()[0]))
        return found[0]

    def kill(self, name: str) -> None:
        """Let a service's container die as by a crash, so that the engine starts it again."""
        # «docker kill» counts as a wish, after which nothing is restarted. An init passes no SIGKILL on.
        pid = self.inspect(name)["State"]["Pid"]
        os.kill(pid, signal.SIGKILL)

    @property
    def token(self) -> str:
        """What lets a person in."""
        text = self("exec", "-T", "api", "cat", "/run/secrets/api.toml")
        found = re.search(r'token = "([^"]+)"', text)
        assert found is not None
        return found[1]

    def client(self, token: str = "") -> httpx.Client:
        """Return a client of the front door, which checks its certificate."""
        trusted = ssl.create_default_context(cadata=self("exec", "-T", "nginx", "cat", "/run/secrets/tls.crt"))
        # The door's own certificate is trusted, not who signed it.
        trusted.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=f"https://localhost:{self.port}", verify=trusted, headers=headers, timeout=20)


def build_gateway(program: str, folder: Path) -> None:
    """Stand in for Versity's image where no registry can be reached; its own keeps the program in the same place."""
    tag = "versity/versitygw:v1.8.0"
    if docker("image", "ls", "-q", tag):
        return
    shutil.copy(program, folder / "versitygw")
    (folder / "Dockerfile").write_text(
        "FROM debian:bookworm-slim\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends wget && mkdir /data\n"
        "COPY --chmod=755 versitygw /usr/local/bin/versitygw\n"
    )
    docker("build", "-q", "-t", tag, str(folder), timeout_s=300)
