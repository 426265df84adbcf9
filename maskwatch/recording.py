"""Recordings: Kafka records in one compact file that can be replayed, attached to a bug report, or read without us.

The file is MCAP (https://mcap.dev): one channel a topic, each message a msgpack map of what Kafka keeps of a record
(:data:`SCHEMA`), in chunks that are compressed with zstd and carry a checksum. Chunks are given to the system as soon
as they are full, so that a writer that is killed leaves all but its last one; a file that is cut off is read up to the
cut. What is in a whole file stands at its end (:func:`summary`), so that asking costs no reading. Nothing in here
knows Kafka.
"""

import errno
import json
import os
import struct
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

import click
import msgspec
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Footer, Header, McapRecord, Message, Metadata, MetadataIndex, Schema
from mcap.stream_reader import breakup_chunk
from mcap.writer import MCAP0_MAGIC, Writer

from maskwatch import __version__
from maskwatch.errors import RecordingCutError, RecordingError, RecordingWriteError
from maskwatch.messages import JPEG, rfc3339
from maskwatch.quantities import say_duration, say_size

PROFILE = "maskwatch"
"""MCAP's profile: what tells a recording of ours from any other MCAP file."""

SCHEMA_NAME = "maskwatch.record.v1"
SCHEMA = msgspec.json.encode(
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA_NAME,
        "description": "One Kafka record as a msgpack map; bytes are msgpack's bin. The channel's topic is Kafka's "
        "without this installation's prefix; log_time is when the broker appended the record, or its producer's time "
        "on topics that keep that; publish_time is the CloudEvents time (ce_time) if there is one, else log_time.",
        "type": "object",
        "properties": {
            "key": {"description": "bin or nil"},
            "headers": {"description": "array of [str, bin or nil], in order, names may repeat", "type": "array"},
            "value": {"description": "bin or nil; of a frame, the JPEG"},
            "partition": {"type": "integer"},
            "offset": {"type": "integer"},
        },
        "required": ["key", "headers", "value", "partition", "offset"],
    }
)
"""The JSON Schema that every recording carries: what a message is, for whoever reads it without us."""

CHUNK_BYTES = 2**20
"""Before compression. What a killed writer loses at most, and about ten frames."""

_COUNTED = "maskwatch.contents"
"""Name of the metadata record in which the writer says what it counted (:class:`Contents`, as JSON)."""

_MESSAGE_ENCODING = "msgpack"
_HEAD = struct.Struct("<BQ")
_FOOTER_BYTES = _HEAD.size + 20 + len(MCAP0_MAGIC)
_NS_PER_MS = 1_000_000
_LATEST_MS = 2**63 // _NS_PER_MS
_LARGEST_CHUNK = 2**28
_EPOCH = datetime.fromtimestamp(0, UTC)
_CUT = "it ends in the middle of a chunk, because its writer was stopped or is still at work"
_PARSING_ERRORS = (McapError, zstandard.ZstdError, struct.error, ValueError, RuntimeError, OverflowError, IndexError)
"""What MCAP's reader raises on bytes that it cannot read; lz4 raises RuntimeError."""


class Recorded(msgspec.Struct, frozen=True):
    """One Kafka record as it was read."""

    topic: str
    """Without the prefix of the installation that it was recorded on."""
    partition: int
    offset: int
    timestamp_ms: int
    """Milliseconds since the epoch; the broker's append time on frame topics."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    """In order. As with any client, a value that a foreign producer left out is None."""


class CameraSummary(msgspec.Struct):
    """What a recording holds of one camera on one topic."""

    frames: int = 0
    bytes: int = 0
    """Of the pictures alone."""
    sizes: list[tuple[int, int]] = []  # msgspec copies defaults
    """Width and height in pixels, each pair once, in the order they came."""


class TopicSummary(msgspec.Struct):
    """What a recording holds of one topic."""

    records: int = 0
    bytes: int = 0
    """Of keys, values and headers, before compression."""
    cameras: dict[str, CameraSummary] = {}
    """By camera id; only of records that are frames."""


class Contents(msgspec.Struct):
    """What is in a recording, as its writer counted it."""

    topics: dict[str, TopicSummary] = {}
    first_ms: int | None = None
    last_ms: int | None = None
    """Earliest and latest time of a record, in milliseconds since the epoch; None without records."""

    @property
    def records(self) -> int:
        """Return how many records there are in all."""
        return sum(topic.records for topic in self.topics.values())

    @property
    def seconds(self) -> float:
        """Return the time from the first record to the last; 0 without records."""
        return 0.0 if self.first_ms is None or self.last_ms is None else (self.last_ms - self.first_ms) / 1000

    @property
    def cameras(self) -> list[str]:
        """Return the ids of all cameras, in alphabetical order."""
        return sorted({camera for topic in self.topics.values() for camera in topic.cameras})

    def told(self) -> str:
        """Say in words how much there is.

        Examples
        --------
        >>> Contents({"frames.live.v1": TopicSummary(3, 0, {"door": CameraSummary(2)})}).told()
        '2 frames of 1 camera and 1 other record'
        """
        frames = sum(camera.frames for topic in self.topics.values() for camera in topic.cameras.values())
        others = self.records - frames
        told = f"{frames} {_plural('frame', frames)} of {len(self.cameras)} {_plural('camera', len(self.cameras))}"
        if not frames:
            return f"{others} {_plural('record', others)}"
        return f"{told} and {others} other {_plural('record', others)}" if others else told

    def count(self, record: Recorded) -> None:
        """Count one record."""
        topic = self.topics.setdefault(record.topic, TopicSummary())
        value = record.value or b""
        topic.records += 1
        topic.bytes += _size(record)
        self.first_ms = record.timestamp_ms if self.first_ms is None else min(self.first_ms, record.timestamp_ms)
        self.last_ms = record.timestamp_ms if self.last_ms is None else max(self.last_ms, record.timestamp_ms)
        headers = dict(record.headers)
        if headers.get("content-type") != JPEG.encode() or not headers.get("ce_camera"):
            return
        camera = topic.cameras.setdefault(headers["ce_camera"].decode(errors="replace"), CameraSummary())
        camera.frames += 1
        camera.bytes += len(value)
        try:
            size = int(headers["ce_width"]), int(headers["ce_height"])
        except (KeyError, TypeError, ValueError):
            return
        if size not in camera.sizes:
            camera.sizes.append(size)


class Summary(msgspec.Struct, frozen=True):
    """What :func:`summary` tells of a file."""

    contents: Contents
    file_bytes: int
    cut: str
    """Why records at the end may be missing; empty if the file is whole."""
    written_by: str
    """Such as ``maskwatch 0.1.0``."""


class _Body(msgspec.Struct):
    """A message's data; a map, so that it explains itself and may grow: 35 bytes beside a frame of 50 kB."""

    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    value: bytes | None
    partition: int
    offset: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Body)


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
        return self.bytes + _size(record) * 257 // 256 + 128 + new

    def write(self, record: Recorded) -> None:
        """Write a record; may block on the disk.

        Raises
        ------
        RecordingWriteError
            If the disk is full or fails; the message says what was kept. Nothing more can be written then.
        """
        if self._closed or self._broken:
            raise RecordingWriteError(f"{self._name}: the recording is closed")
        log_time = min(max(0, record.timestamp_ms), _LATEST_MS) * _NS_PER_MS
        body = _encoder.encode(_Body(record.key, list(record.headers), record.value, record.partition, record.offset))
        channel = self._channels.get(record.topic)
        if channel is None:
            channel = self._mcap.register_channel(record.topic, _MESSAGE_ENCODING, self._schema)
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
                    self._mcap.add_metadata(_COUNTED, {"json": counted})
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


def read(path: Path) -> Generator[Recorded, None, None]:
    """Yield the records of a recording, in the order they were written.

    Parameters
    ----------
    path
        The file. One that is still being written is read as far as it has come.

    Raises
    ------
    RecordingCutError
        At the end, if the file ends in the middle or is damaged: all whole records before were yielded. A file of
        which only the index behind the records is missing is not cut off.
    RecordingError
        If there is no such file, or it is no recording of ours; nothing was yielded.
    """
    with _opened(path) as file:
        yield from _read(path, file)


def summary(path: Path) -> Summary:
    """Tell what is in a recording: from its end if it is whole, else by reading all of it.

    Raises
    ------
    RecordingError
        If there is no such file, or it is no recording of ours.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        counted = _counted(file, size)
        contents, cut, written_by = counted or Contents(), "", "unknown"
        try:
            file.seek(0)
            with suppress(_Damage):
                written_by = _header(path, file).library
            if counted is not None:
                return Summary(counted, size, cut, written_by)
            file.seek(0)
            for record in _read(path, file):
                contents.count(record)
        except RecordingCutError as error:
            cut = str(error)
        return Summary(contents, size, cut, written_by)


def show(path: Path, *, as_json: bool) -> None:
    """Print what is in a recording.

    Parameters
    ----------
    path
        The file.
    as_json
        Print JSON, for scripts.

    Raises
    ------
    RecordingError
        If there is no such file, or it is no recording of ours.
    """
    found = summary(path)
    contents = found.contents
    first, last = ("-" if ms is None else _moment(ms) for ms in (contents.first_ms, contents.last_ms))
    if as_json:
        tree = {
            "file": str(path),
            "file_bytes": found.file_bytes,
            "written_by": found.written_by,
            "cut": found.cut,
            "records": contents.records,
            "seconds": contents.seconds,
            "first": None if contents.first_ms is None else first,
            "last": None if contents.last_ms is None else last,
            "topics": msgspec.to_builtins(contents.topics),
        }
        click.echo(json.dumps(tree, indent=2))
        return
    click.echo(f"{path}: {contents.told()}, {say_size(found.file_bytes)}, written by {found.written_by}")
    click.echo(f"  {say_duration(contents.seconds)}, from {first} to {last}")
    for name, topic in contents.topics.items():
        click.echo(f"  {name}  {topic.records} {_plural('record', topic.records)}, {say_size(topic.bytes)}")
        for identity, camera in sorted(topic.cameras.items()):
            sizes = ", ".join(f"{width}x{height}" for width, height in camera.sizes)
            told = f"{camera.frames} {_plural('frame', camera.frames)}, {sizes}, {say_size(camera.bytes)}"
            click.echo(f"    {identity}  {told}")
    if found.cut:
        click.echo(f"maskwatch: {found.cut}", err=True)


def _moment(ms: int) -> str:
    try:
        return rfc3339(datetime.fromtimestamp(ms / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


class _Damage(Exception):  # noqa: N818  # never leaves this module
    """Here the file cannot be read on; why, for people."""


def _open_new(path: Path, *, force: bool) -> IO[bytes]:
    try:
        return path.open("wb" if force else "xb")
    except FileExistsError as error:
        raise RecordingWriteError(f"{path} exists already: choose another name, or replace it with --force") from error
    except OSError as error:
        raise RecordingWriteError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        yield file


def _read(path: Path, file: IO[bytes]) -> Iterator[Recorded]:
    records = 0
    first = last = None
    try:
        _header(path, file)
        for record in _records(path, file):
            yield record
            records += 1
            first = record.timestamp_ms if first is None else min(first, record.timestamp_ms)
            last = record.timestamp_ms if last is None else max(last, record.timestamp_ms)
    except _Damage as damage:
        seconds = 0.0 if first is None or last is None else (last - first) / 1000
        raise RecordingCutError(
            f"{path} is cut off after {records} records, at {seconds:.1f} s: {damage}", records, seconds
        ) from damage


def _header(path: Path, file: IO[bytes]) -> Header:
    if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
        raise RecordingError(f"{path} is no recording; «maskwatch record {path.name}» makes one")
    opcode, payload = next(_blocks(file))
    if opcode != Opcode.HEADER:
        raise RecordingError(f"{path} is no recording: MCAP's header is missing")
    with _parsing():
        header: Header = Header.read(ReadDataStream(BytesIO(payload)))
    if header.profile != PROFILE:
        raise RecordingError(
            f"{path} is an MCAP file of another kind (profile {header.profile!r}, expected {PROFILE!r}); "
            "«maskwatch record» makes one that can be read here"
        )
    return header


def _records(path: Path, file: IO[bytes]) -> Iterator[Recorded]:
    schemas: dict[int, str] = {}
    topics: dict[int, str] = {}
    for opcode, payload in _blocks(file):
        if opcode in {Opcode.DATA_END, Opcode.FOOTER}:
            return
        for part in _parts(opcode, payload):
            if isinstance(part, Schema):
                schemas[part.id] = part.name
            elif isinstance(part, Channel):
                name = schemas.get(part.schema_id, "")
                if name != SCHEMA_NAME or part.message_encoding != _MESSAGE_ENCODING:
                    raise RecordingError(
                        f"{path} holds {name or part.message_encoding!r}, expected {SCHEMA_NAME}: "
                        "it was written by another version of Maskwatch; read it with that one"
                    )
                topics[part.id] = part.topic
            elif isinstance(part, Message):
                yield _recorded(topics, part)


def _blocks(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield MCAP's records, each as opcode and content; a length that leads beyond the end is never read."""
    size = os.fstat(file.fileno()).st_size
    while True:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise _Damage(_CUT)
        opcode, length = _HEAD.unpack(head)
        if length > size - file.tell():
            raise _Damage(_CUT)
        payload = file.read(length)
        if len(payload) < length:
            raise _Damage(_CUT)
        yield opcode, payload


def _parts(opcode: int, payload: bytes) -> list[McapRecord]:
    stream = ReadDataStream(BytesIO(payload))
    with _parsing():
        match opcode:
            case Opcode.CHUNK:
                chunk = Chunk.read(stream)
                if chunk.uncompressed_size > _LARGEST_CHUNK or (
                    chunk.compression == "zstd" and zstandard.frame_content_size(chunk.data) > _LARGEST_CHUNK
                ):
                    raise _Damage(f"a chunk of more than {_LARGEST_CHUNK} bytes")
                return breakup_chunk(chunk, validate_crc=True)
            # Chunks are a choice of the writer's; another tool may have rewritten the file without.
            case Opcode.SCHEMA:
                return [Schema.read(stream)]
            case Opcode.CHANNEL:
                return [Channel.read(stream)]
            case Opcode.MESSAGE:
                return [Message.read(stream, len(payload))]
    return []


@contextmanager
def _parsing() -> Iterator[None]:
    try:
        yield
    except _PARSING_ERRORS as error:
        raise _Damage(f"what follows is damaged ({type(error).__name__})") from error


def _recorded(topics: Mapping[int, str], message: Message) -> Recorded:
    try:
        topic = topics[message.channel_id]
        body = _decoder.decode(message.data)
    except (KeyError, msgspec.MsgspecError) as error:
        raise _Damage(f"a record cannot be read ({error})") from error
    # A header's value may be None, as with every client; typed as maskwatch.kafka types them.
    headers = cast("tuple[tuple[str, bytes], ...]", tuple(body.headers))
    return Recorded(topic, body.partition, body.offset, message.log_time // _NS_PER_MS, body.key, body.value, headers)


def _counted(file: IO[bytes], size: int) -> Contents | None:
    """Return what the writer counted; None if the file does not end as a whole one does."""
    try:
        file.seek(size - _FOOTER_BYTES)
        footer_record = file.read(_FOOTER_BYTES - len(MCAP0_MAGIC))
        if file.read() != MCAP0_MAGIC or footer_record[0] != Opcode.FOOTER:
            return None
        footer = Footer.read(ReadDataStream(BytesIO(footer_record[_HEAD.size :])))
        file.seek(footer.summary_start)
        index = file.read(size - _FOOTER_BYTES - footer.summary_start)
        if not footer.summary_start or zlib.crc32(index + footer_record[:-4]) != footer.summary_crc:
            return None
        file.seek(footer.summary_start)
        for opcode, payload in _blocks(file):
            if opcode == Opcode.FOOTER:
                return None
            if opcode == Opcode.METADATA_INDEX:
                entry = MetadataIndex.read(ReadDataStream(BytesIO(payload)))
                if entry.name == _COUNTED:
                    file.seek(entry.offset)
                    _, content = next(_blocks(file))
                    text = Metadata.read(ReadDataStream(BytesIO(content))).metadata["json"]
                    return msgspec.json.decode(text, type=Contents)
    except (*_PARSING_ERRORS, _Damage, OSError, KeyError, msgspec.MsgspecError):
        return None
    return None


def _size(record: Recorded) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


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
