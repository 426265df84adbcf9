"""What figures were measured on, without anything that names whose machine it is; and where figures are kept."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil

from maskwatch.embedded.jars import KAFKA_VERSION
from maskwatch.settings import PROJECT


class Machine(msgspec.Struct, frozen=True):
    """Where and when."""

    cpu: str
    cores: int
    memory_gib: int
    system: str
    python: str
    kafka: str
    commit: str
    date: str

    def sentence(self) -> str:
        """Say it in one line."""
        return (
            f"{self.date}, commit {self.commit}: {self.cores} cores of {self.cpu}, {self.memory_gib} GiB, "
            f"{self.system}, Python {self.python}, Kafka {self.kafka}"
        )


def this_machine() -> Machine:
    """Look at this machine."""
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30),
        system=_system(),
        python=platform.python_version(),
        kafka=KAFKA_VERSION,
        commit=_commit(),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def _system() -> str:
    # Linux alone tells the distribution.
    return platform.freedesktop_os_release()["PRETTY_NAME"] if sys.platform == "linux" else platform.system()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(PROJECT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def write_between(page: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->`` of a page; all else is written by hand.

    Raises
    ------
    ValueError
        If the page has no such place.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} needs {begin} and {end}, one after the other")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
