"""A real MLflow server that can be killed and started again on what it had."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.support.ports import free_port

START_S = 300


class MlflowServer:
    """Serves a SQLite database and files of a folder of its own.

    Its settings differ from those of `maskwatch mlflow`: it stands for one of somebody's own.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{self.home}/server.db",
            "--artifacts-destination", f"file://{self.home}/artifacts", "--port", str(self.port), "--workers", "1",
        ]  # fmt: skip
        variables = os.environ | {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        with (self.home / "server.log").open("ab") as said:
            self._process = subprocess.Popen(
                command, cwd=self.home, env=variables, stdout=said, stderr=said, start_new_session=True
            )
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health", timeout=2).is_success:
                    return
            time.sleep(0.1)
        raise TimeoutError(f"MLflow does not come up: {(self.home / 'server.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill it with all its processes, as a crash of its machine would."""
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._process = None
        # The worker is its child, not ours.
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)):
                    return
            time.sleep(0.05)
