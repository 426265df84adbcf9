"""Write a recording: chunk by chunk, so that a writer that is killed, or a full disk, leaves what can be replayed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec
from mcap.writer import Writer

from maskwatch import __version__
from maskwatch.errors import RecordingWriteError
from maskwatch.recording.contents import Contents
from maskwatch.recording.format import (
    COUNTED,
    MESSAGE_ENCODING,
    NS_PER_MS,
    PROFILE,
    SCHEMA,
    SCHEMA_NAME,
    Recorded,
    encode_body,
)

CHUNK_BYTES = 2**20
"""Before compression. What a killed writer loses at most, and about ten frames."""

_LATEST_MS = 2**63 // NS_PER_MS
_EPOCH = datetime.fromtimestamp(0, UTC)


class RecordingWriter:
    """Writes a recording; a context manager that finishes the file.

    Parameters
    ----------
    target
        A path, or a binary file that tells its position; a file is not closed.
    force
        Replace what lies at the path.
    chunk_bytes
        How much is gathered before it is compressed and given to the system, in bytes.

    Raises
    ------
    RecordingWriteError
        If there is something at the path already, or it cannot be written.

    Notes
    -----
    Not thread-safe: one thread at a time. What was written last reaches the system when a chunk is full, by
    :meth:`flush`, or at the end; call :meth:`flush` every second where records are rare.
    """

    def __init__(self, target: Path | IO[bytes], *, force: bool = False, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._name = str(target) if isinstance(target, Path) else getattr(target, "name", "the recording")
        self._own = isinstance(target, Path)
        self._file = _open_new(target, force=force) if isinstance(target, Path) else target
        self._chunk_bytes = chunk_bytes
        self._contents = Contents()
        self._channels: dict[str, int] = {}
        self._pending = self._pending_records = self._chunks = 0
        self._kept_records = self._kept_bytes = 0
        self._broken = self._closed = False
        # Chunks are ended by flush() alone: so it is known what has reached the system.
        self._mcap = Writer(self._file, chunk_size=2**62)
        with self._writing():
            self._mcap.start(PROFILE, f"maskwatch {__version__}")
            self._schema = self._mcap.register_schema(SCHEMA_NAME, "jsonschema", SCHEMA)
            self._file.flush()
            self._kept_bytes = self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def records(self) -> int:
        """How many records were written."""
        return self._contents.records

    @property
    def contents(self) -> Contents:
        """What was written so far; do not change it."""
        return self._contents

    @property
    def bytes(self) -> int:
        """The file's size in bytes if it were closed now, at most."""
        per_chunk = 256 + 32 * len(self._channels)
        ending = 4096 + 512 * sum(1 + len(topic.cameras) for topic in self._contents.topics.values())
        # What zstd cannot compress grows by this at most; each record has 16 bytes in an index.
        pending = self._pending + self._pending // 256 + 16 * self._pending_records + per_chunk
        return self._kept_bytes + pending + self._chunks * per_chunk + ending

    def size_with(self, record: Recorded) -> int:
        """Return the file's size in bytes if this record were written and the file closed, at most."""
        new = 1024 if record.topic not in self._channels else 0
        return self.bytes + record.size * 257 // 256 + 128 + new

    def write(self, record: Recorded) -> None:
        """Write a record; may block on the disk.

        Raises
        ------
        RecordingWriteError
            If the disk is full or fails; the message says what was kept. Nothing more can be written then.
        """
        if self._closed or self._broken:
            raise RecordingWriteError(f"{self._name}: the recording is closed")
        log_time = min(max(0, record.timestamp_ms), _LATEST_MS) * NS_PER_MS
        body = encode_body(record)
        channel = self._channels.get(record.topic)
        if channel is None:
            channel = self._mcap.register_channel(record.topic, MESSAGE_ENCODING, self._schema)
            self._channels[record.topic] = channel
        self._mcap.add_message(channel, log_time, body, _event_time(record) or log_time)
        self._contents.count(record)
        self._pending += len(body) + 31
        self._pending_records += 1
        if self._pending >= self._chunk_bytes:
            self.flush()

    def flush(self) -> None:
        """Give everything to the system, so that it outlives this process; may block on the disk.

        Raises
        ------
        RecordingWriteError
            As :meth:`write`.
        """
        if not self._pending_records or self._broken:
            return
        with self._writing():
            self._mcap.flush()  # type: ignore[no-untyped-call]  # mcap names no result
            self._kept_bytes = self._file.tell()
        self._kept_records = self._contents.records
        self._chunks += 1
        self._pending = self._pending_records = 0

    def close(self) -> None:
        """Write the summary and end the file; more than once does nothing.

        Raises
        ------
        RecordingWriteError
            As :meth:`write`.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if not self._broken:
                self.flush()
                with self._writing():
                    counted = msgspec.json.encode(self._contents).decode()
                    self._mcap.add_metadata(COUNTED, {"json": counted})
                    self._mcap.finish()  # type: ignore[no-untyped-call]
                    self._file.flush()
                    self._kept_bytes = self._file.tell()
        finally:
            if self._own and not self._broken:
                self._file.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> RecordingWriteError:
        """Cut off what was written by half, and say what is left."""
        self._broken = True
        if self._own:
            # By the descriptor, and closed below the buffer: what that still holds must not be written any more.
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), self._kept_bytes)
            with suppress(OSError):
                self._file.raw.close()  # type: ignore[attr-defined]  # ours is a BufferedWriter
        why = "the disk is full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else error.strerror or str(error)
        return RecordingWriteError(
            f"{self._name} cannot be written on: {why}. It holds the first {self._kept_records} of "
            f"{self._contents.records} records and can be replayed as it is; make room, or choose another disk"
        )


def _open_new(path: Path, *, force: bool) -> IO[bytes]:
    try:
        return path.open("wb" if force else "xb")
    except FileExistsError as error:
        raise RecordingWriteError(f"{path} exists already: choose another name, or replace it with --force") from error
    except OSError as error:
        raise RecordingWriteError(f"{path} cannot be written: {error.strerror}") from error


def _event_time(record: Recorded) -> int | None:
    """Return the CloudEvents time in nanoseconds since the epoch; None if there is none that makes sense."""
    text = dict(record.headers).get("ce_time")
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text.decode())
    except ValueError:
        return None
    if time.tzinfo is None or time < _EPOCH:
        return None
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000
