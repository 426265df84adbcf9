"""Read a recording, as far as it goes: one that is cut off is read up to the cut, and says so."""

import os
import struct
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO, cast

import msgspec
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Footer, Header, McapRecord, Message, Metadata, MetadataIndex, Schema
from mcap.stream_reader import breakup_chunk
from mcap.writer import MCAP0_MAGIC

from maskwatch.errors import RecordingCutError, RecordingError
from maskwatch.recording.contents import Contents
from maskwatch.recording.format import (
    COUNTED,
    MESSAGE_ENCODING,
    NS_PER_MS,
    PROFILE,
    SCHEMA_NAME,
    Recorded,
    decode_body,
)

_HEAD = struct.Struct("<BQ")
_FOOTER_BYTES = _HEAD.size + 20 + len(MCAP0_MAGIC)
_LARGEST_CHUNK = 2**28
_CUT = "it ends in the middle of a chunk, because its writer was stopped or is still at work"
_PARSING_ERRORS = (McapError, zstandard.ZstdError, struct.error, ValueError, RuntimeError, OverflowError, IndexError)
"""What MCAP's reader raises on bytes that it cannot read; lz4 raises RuntimeError."""


class Summary(msgspec.Struct, frozen=True):
    """What :func:`summary` tells of a file."""

    contents: Contents
    file_bytes: int
    cut: str
    """Why records at the end may be missing; empty if the file is whole."""
    written_by: str
    """Such as ``maskwatch 0.1.0``."""


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


class _Damage(Exception):  # noqa: N818  # never leaves this module
    """Here the file cannot be read on; why, for people."""


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
                if name != SCHEMA_NAME or part.message_encoding != MESSAGE_ENCODING:
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
        body = decode_body(message.data)
    except (KeyError, msgspec.MsgspecError) as error:
        raise _Damage(f"a record cannot be read ({error})") from error
    # A header's value may be None, as with every client; typed as maskwatch.kafka types them.
    headers = cast("tuple[tuple[str, bytes], ...]", tuple(body.headers))
    return Recorded(topic, body.partition, body.offset, message.log_time // NS_PER_MS, body.key, body.value, headers)


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
                if entry.name == COUNTED:
                    file.seek(entry.offset)
                    _, content = next(_blocks(file))
                    text = Metadata.read(ReadDataStream(BytesIO(content))).metadata["json"]
                    return msgspec.json.decode(text, type=Contents)
    except (*_PARSING_ERRORS, _Damage, OSError, KeyError, msgspec.MsgspecError):
        return None
    return None
