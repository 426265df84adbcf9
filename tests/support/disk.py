"""A disk that can be filled to the last byte, without a mock and without harm to the machine's own."""

import contextlib
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psutil

CHUNK = b"\0" * 2**16
ALL_BUT_NOTHING = 4096


class Disk(Protocol):
    """A disk, or what behaves like one towards those who write."""

    folder: Path
    says_so: bool
    """Whether the system tells that it is full before anybody writes."""

    def fill(self, *writers: psutil.Process) -> None:
        """Leave these no room for another byte; what they start inherits it."""

    def free(self) -> None:
        """Leave them room again."""


class _Memory:
    """A small file system of its own, in memory, and a file that takes what is left of it."""

    says_so = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, *_: psutil.Process) -> None:
        with contextlib.suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
            while True:
                ballast.write(CHUNK)

    def free(self) -> None:
        self._ballast.unlink()


class _Limit:
    """A limit on the size of every file, where nothing may be mounted: to those who write it is the same."""

    says_so = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writers: tuple[psutil.Process, ...] = ()

    def fill(self, *writers: psutil.Process) -> None:
        self._writers = writers
        self._limit(ALL_BUT_NOTHING)

    def free(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        for writer in self._writers:
            with contextlib.suppress(psutil.NoSuchProcess):
                writer.rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    """Give a disk of this size, at a folder that is there for as long as the block lasts."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        yield _Limit(folder)
        return
    try:
        yield _Memory(folder)
    finally:
        # Lazily: a file that is still open must not keep the next test from running.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def bytes_below(folder: Path, pattern: str) -> int:
    """Return what files take on the disk, holes left out; those that vanish meanwhile count as nothing."""
    found = 0
    for file in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            found += file.stat().st_blocks * 512
    return found
