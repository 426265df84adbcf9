"""MLflow's own pages, on this machine alone, until Ctrl-C."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import webbrowser
from collections.abc import Iterator
from http import HTTPStatus

import click

from maskwatch.addresses import without_user
from maskwatch.embedded.ground import is_free, owner
from maskwatch.settings import Settings
from maskwatch.training_packages import PackagesMissingError
from training.errors import TrackingError

HOST = "127.0.0.1"
START_S = 300
"""It takes seconds, but ten times as many on a machine that is busy training."""
STOP_S = 10
_POLL_S = 0.2
_TAIL = 5


def show(settings: Settings, port: int | None, *, browse: bool) -> None:
    """Serve MLflow's pages until Ctrl-C; with a server of one's own, name that.

    Raises
    ------
    PackagesMissingError
        If MLflow is not installed.
    TrackingError
        If the port is taken, or the pages do not come up.
    """
    uri = settings.mlflow_uri
    if uri.startswith(("http://", "https://")):
        click.echo(f"MLflow is your own server: {without_user(uri)}")
        if browse:
            webbrowser.open(uri)
        return
    with serving(settings, port or settings.mlflow.port) as (address, process):
        click.echo(f"MLflow: {address}   Ctrl-C ends it; what is logged stays.")
        if browse:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            process.wait()


@contextlib.contextmanager
def serving(settings: Settings, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start MLflow's server on loopback, and stop it at the end.

    Yields
    ------
    address, process
        Where it answers, and the process.

    Raises
    ------
    PackagesMissingError
        If MLflow is not installed.
    TrackingError
        If the port is taken, or it does not come up.
    """
    if importlib.util.find_spec("mlflow") is None:
        raise PackagesMissingError("MLflow")
    if not is_free(port):
        other = next(number for number in range(port + 1, 65_536) if is_free(number))
        raise TrackingError(f"port {port} is taken by {owner(port)}: stop it, or maskwatch mlflow --port {other}")
    home = settings.data_dir.resolve() / "mlflow"
    home.mkdir(parents=True, exist_ok=True)
    address = f"http://{HOST}:{port}"
    # Not in the list of processes, which everybody may read: a database of one's own has a password.
    variables = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": settings.mlflow_uri,
        "MLFLOW_ARTIFACTS_DESTINATION": f"file://{home}/artifacts",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Jobs are for language models; they cost two further processes.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603  # our own arguments
            command, env=variables, cwd=home, stdout=said, stderr=said, start_new_session=True
        )
        try:
            if not _comes_up(process, address):
                said.seek(0)
                lines = said.read().decode(errors="replace").splitlines()[-_TAIL:]
                raise TrackingError(f"MLflow's pages do not come up at {address}; it said: {' | '.join(lines)}")
            yield address, process
        finally:
            _stop(process)


def _comes_up(process: subprocess.Popen[bytes], address: str) -> bool:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=2) as answer:  # noqa: S310  # http
            if answer.status == HTTPStatus.OK:
                return True
        time.sleep(_POLL_S)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    # The whole session: it has a process of its own for the pages.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_S)
