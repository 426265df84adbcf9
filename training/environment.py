"""Where a training runs, as far as its result may depend on it: versions, processor, the commit of this code."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from maskwatch import __version__
from maskwatch.settings import PROJECT

PACKAGES = ("torch", "ultralytics-opencv-headless", "numpy", "opencv-python-headless", "openvino", "nncf", "mlflow")
GIT_TIMEOUT_S = 10


def describe() -> dict[str, str]:
    """Return what MLflow is to know about this machine and this code, as tags.

    ``mlflow.source.git.commit`` is what MLflow's pages show as the version; it ends in ``+changes`` where the code is
    not the commit's. It is missing where there is no Git.
    """
    told = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1),
        "memory_gib": f"{psutil.virtual_memory().total / 2**30:.1f}",
        "maskwatch": __version__,
    }
    for package in PACKAGES:
        try:
            told[package] = version(package)
        except PackageNotFoundError:
            continue
    tags = {f"environment.{name}": value for name, value in told.items()}
    tags["mlflow.source.name"] = Path(sys.argv[0]).name
    if commit := _git("rev-parse", "HEAD"):
        changes = "+changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
        tags["mlflow.source.git.commit"] = commit + changes
    return tags


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # constant arguments
            ["git", "-C", str(PROJECT), *arguments],  # noqa: S607  # found on PATH, as everywhere
            capture_output=True,
            text=True,
            check=False,
            timeout=GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
