"""Files that are there whole or not at all, whatever dies while they are written: here, or wherever fsspec reaches."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import fsspec  # type: ignore[import-untyped]  # it ships no types

from maskwatch.errors import SettingsError, StoreError

_T = TypeVar("_T")


class Place:
    """A folder anywhere: ``file:///srv/maskwatch``, ``s3://bucket/maskwatch`` and the like. Its calls block.

    Parameters
    ----------
    url
        Where.
    setting
        What names it, for messages.
    timeout_s
        Longest wait for one file, in seconds.

    Attributes
    ----------
    files
        Of fsspec.
    root : str
        The folder's path there.

    Raises
    ------
    SettingsError
        If there is no such kind of place, or what reaches it is not installed; the message names the package.
    """

    def __init__(self, url: str, setting: str, timeout_s: float) -> None:
        try:
            filesystem, root = fsspec.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"{setting} cannot be used: {error}") from error
        self.files: Any = filesystem
        self.root = str(root).rstrip("/")
        kinds = filesystem.protocol
        self._local = "file" in ({kinds} if isinstance(kinds, str) else {*kinds})
        self._timeout_s = timeout_s

    async def within(self, work: Callable[..., _T], *arguments: object) -> _T:
        """Let a thread do something here, within the time-out.

        Raises
        ------
        StoreError
            If it takes longer, or fails.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.to_thread(work, *arguments)
        except TimeoutError as error:
            raise StoreError(f"{self.root} does not answer within {self._timeout_s:g} s") from error

    def write(self, path: str, data: bytes) -> None:
        """Write a file, whole or not at all.

        Raises
        ------
        Exception
            Whatever the place has to say; each kind has errors of its own.
        """
        if self._local:
            write_whole(Path(path), data)
        else:
            # Stores of objects show one whole or not at all.
            self.files.pipe_file(path, data)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, in place of what was there; on return it is on the disk.

    Parameters
    ----------
    path
        Where; folders that are missing are made.
    data
        All of it.

    Raises
    ------
    OSError
        If it cannot be written; what was there is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
