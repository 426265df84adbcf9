"""What figures were measured on; nothing that names whose machine it is."""

import os
import platform
import subprocess
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
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        kafka=KAFKA_VERSION,
        commit=_commit(),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


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
