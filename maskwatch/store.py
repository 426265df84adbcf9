"""Pictures, what is said about them, and models, kept by content at any place that fsspec reaches.

``{store.url}/pictures/ab/ab12….jpg`` is the JPEG whose SHA-256 is its name; ``labels/cd/cd34….json`` is the label of
the frame whose id has that SHA-256, as `labels.v1` has it; ``models/ef56…/`` are a model's files. Files are written
whole or not at all, and a picture is on the disk when :meth:`Store.put` returns. The calls block: give them to a
thread.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from maskwatch.errors import StoreError
from maskwatch.files import Place
from maskwatch.settings import Settings

PICTURES, LABELS, MODELS = "pictures", "labels", "models"

_T = TypeVar("_T")


def name_of(data: bytes) -> str:
    """Return the name of a picture: the SHA-256 of its bytes."""
    return hashlib.sha256(data).hexdigest()


class Store:
    """Keeps pictures by their hash, and labels by their frame.

    Parameters
    ----------
    settings
        Name the place.

    Raises
    ------
    SettingsError
        If there is no such kind of place, or what reaches it is not installed; the message names the package.
    """

    def __init__(self, settings: Settings) -> None:
        url = settings.store.url or (settings.data_dir.resolve() / "store").as_uri()
        self._place = Place(url, "store.url", settings.store.timeout_s)
        self._files, self._root = self._place.files, self._place.root

    async def within(self, work: Callable[..., _T], *arguments: object) -> _T:
        """Let a thread do one of the calls below, within the time-out.

        Raises
        ------
        StoreError
            If it takes longer, or fails.
        """
        return await self._place.within(work, *arguments)

    def put(self, jpeg: bytes) -> str:
        """Keep a picture and return its name; on return it is on the disk, and as new as if it had not been there.

        Raises
        ------
        StoreError
            If that cannot be done.
        """
        name = name_of(jpeg)
        with self._errors(name):
            self._place.write(self._path(PICTURES, name), jpeg)
        return name

    def get(self, name: str) -> bytes | None:
        """Return a picture, None if it is not there.

        Raises
        ------
        StoreError
            If it cannot be read, or is not what its name says.
        """
        with self._errors(name):
            jpeg = self._read(self._path(PICTURES, name))
        if jpeg is not None and name_of(jpeg) != name:
            raise StoreError(f"{self._path(PICTURES, name)} was altered: it is not what its name says")
        return jpeg

    def has(self, name: str) -> bool:
        """Tell whether a picture is there.

        Raises
        ------
        StoreError
            If that cannot be told.
        """
        with self._errors(name):
            return bool(self._files.exists(self._path(PICTURES, name)))

    def remove(self, name: str) -> None:
        """Remove a picture; one that is not there is as good.

        Raises
        ------
        StoreError
            If that cannot be done.
        """
        with self._errors(name):
            self._remove(self._path(PICTURES, name))

    def write_label(self, frame: str, label: bytes) -> None:
        """Keep what is said about a frame, in place of what was said before.

        Raises
        ------
        StoreError
            If that cannot be done.
        """
        with self._errors(frame):
            self._place.write(self._label(frame), label)

    def read_label(self, frame: str) -> bytes | None:
        """Return what is said about a frame, None if nothing is.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        with self._errors(frame):
            return self._read(self._label(frame))

    def remove_label(self, frame: str) -> None:
        """Forget what is said about a frame.

        Raises
        ------
        StoreError
            If that cannot be done.
        """
        with self._errors(frame):
            self._remove(self._label(frame))

    def labels(self) -> Iterator[bytes]:
        """Yield all that is said about frames, in the order of the files' names.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        with self._errors(LABELS):
            for path in sorted(self._found(LABELS, ".json")):
                if (label := self._read(path)) is not None:
                    yield label

    def pictures(self) -> dict[str, datetime]:
        """Return the names of all pictures, and when each was written.

        Raises
        ------
        StoreError
            If that cannot be told.
        """
        with self._errors(PICTURES):
            found = self._found(PICTURES, ".jpg")
            return {path.rpartition("/")[2].removesuffix(".jpg"): _written(entry) for path, entry in found.items()}

    def write_model(self, model: str, file: str, data: bytes) -> None:
        """Keep a file of a model, which is named by the SHA-256 of its ``model.json``.

        Raises
        ------
        StoreError
            If that cannot be done.
        """
        with self._errors(file):
            self._place.write(f"{self._root}/{MODELS}/{model}/{file}", data)

    def read_model(self, model: str, file: str) -> bytes:
        """Return a file of a model; whether it is the right one is for the caller to check.

        Raises
        ------
        StoreError
            If it is not there, or cannot be read.
        """
        with self._errors(file):
            if (data := self._read(f"{self._root}/{MODELS}/{model}/{file}")) is None:
                raise StoreError(f"{file} of the model {model[:12]} is not in {self._root}")
        return data

    def _path(self, kind: str, name: str, suffix: str = ".jpg") -> str:
        # A hash comes from whoever writes a label, and must not lead out of the folder.
        if not name.isalnum():
            raise StoreError(f"{name!r} is no hash")
        return f"{self._root}/{kind}/{name[:2]}/{name}{suffix}"

    def _label(self, frame: str) -> str:
        # A frame's id is whatever its producer says, and must not lead out of the folder.
        return self._path(LABELS, hashlib.sha256(frame.encode()).hexdigest(), ".json")

    def _found(self, kind: str, suffix: str) -> dict[str, Any]:
        root = f"{self._root}/{kind}"
        if not self._files.exists(root):
            return {}
        return {path: entry for path, entry in self._files.find(root, detail=True).items() if path.endswith(suffix)}

    def _read(self, path: str) -> bytes | None:
        try:
            return bytes(self._files.cat_file(path))
        except FileNotFoundError:
            return None

    def _remove(self, path: str) -> None:
        try:
            self._files.rm_file(path)
        except FileNotFoundError:
            return

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # each kind of store has errors of its own
            raise StoreError(f"{what} cannot be kept or found at {self._root} (store.url): {error!r}") from error


def _written(entry: dict[str, Any]) -> datetime:
    # Local files say «mtime», objects in S3 «LastModified».
    written = entry.get("mtime", entry.get("LastModified", entry.get("created")))
    return written if isinstance(written, datetime) else datetime.fromtimestamp(float(written or 0), UTC)
