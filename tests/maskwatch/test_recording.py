import errno
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.writer import Writer

from maskwatch.errors import RecordingCutError, RecordingError, RecordingWriteError
from maskwatch.recording.format import SCHEMA_NAME, Recorded
from maskwatch.recording.reading import read, summary
from maskwatch.recording.writing import RecordingWriter
from maskwatch.topics import Name
from tests.support.recordings import START_MS, frame, written

DOCS = Path(__file__).parents[2] / "docs" / "recording.md"
BYTES = st.none() | st.binary(max_size=300)
RECORDS = st.builds(
    Recorded,
    topic=st.sampled_from([name.value for name in Name]) | st.text(min_size=1, max_size=20),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.integers(0, 4_000_000_000_000),
    key=BYTES,
    value=BYTES,
    headers=st.lists(
        st.tuples(st.sampled_from(["ce_time", "ce_camera", "content-type"]) | st.text(max_size=20), BYTES), max_size=4
    ).map(tuple),
)


def whole_records(path: Path) -> tuple[list[Recorded], RecordingCutError | None]:
    found: list[Recorded] = []
    try:
        for record in read(path):
            found.append(record)  # noqa: PERF402  # what came before the error is looked at
    except RecordingCutError as error:
        return found, error
    return found, None


@settings(max_examples=60, deadline=None)
@given(records=st.lists(RECORDS, max_size=12), chunk_bytes=st.sampled_from([1, 200, 2**20]))
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, records: list[Recorded], chunk_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("recording") / "any.mcap"
    with RecordingWriter(path, chunk_bytes=chunk_bytes) as writer:
        for record in records:
            writer.write(record)
        assert writer.records == len(records)
        expected = writer.bytes
    assert list(read(path)) == records
    assert path.stat().st_size <= expected
    told = summary(path)
    assert told.cut == ""
    assert {name: topic.records for name, topic in told.contents.topics.items()} == {
        record.topic: sum(other.topic == record.topic for other in records) for record in records
    }


def test_a_binary_file_is_written_and_left_open() -> None:
    file = io.BytesIO()
    with RecordingWriter(file) as writer:
        writer.write(frame())
    assert file.getvalue().startswith(b"\x89MCAP0\r\n")
    assert file.getvalue().endswith(b"\x89MCAP0\r\n")


def test_the_summary_tells_what_is_in_a_file_and_a_scan_tells_the_same(tmp_path: Path) -> None:
    records = [frame("door", n, at_ms=100 * n, jpeg=b"x" * 1000) for n in range(5)]
    records.append(frame("hall", 0, at_ms=250))
    records.append(Recorded("detections.v1", 0, 0, START_MS + 700, b"door", b"{}", ()))
    path = written(tmp_path / "a.mcap", records)
    told = summary(path)
    assert told.file_bytes == path.stat().st_size
    assert re.fullmatch(r"maskwatch \d+\.\d+\S*", told.written_by)
    assert told.contents.records == 7
    assert told.contents.seconds == 0.7
    assert told.contents.cameras == ["door", "hall"]
    assert told.contents.told() == "6 frames of 2 cameras and 1 other record"
    door = told.contents.topics["frames.live.v1"].cameras["door"]
    assert (door.frames, door.bytes, door.sizes) == (5, 5000, [(1280, 720)])
    # Without the index at the end all is read instead.
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(path.read_bytes()[:-50])
    assert summary(cut).contents == told.contents
    assert summary(cut).cut == ""


def test_a_damaged_index_is_not_believed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mcap", [frame("door", n) for n in range(3)])
    data = bytearray(path.read_bytes())
    data[-60] ^= 0xFF
    path.write_bytes(data)
    assert summary(path).contents.records == 3


def test_wherever_a_file_is_cut_all_whole_chunks_are_read(tmp_path: Path) -> None:
    records = [frame("door", n, at_ms=100 * n, jpeg=os.urandom(400)) for n in range(6)]
    path = tmp_path / "whole.mcap"
    ends = []
    with RecordingWriter(path, chunk_bytes=1) as writer:
        header = path.stat().st_size
        for record in records:
            writer.write(record)
            ends.append(path.stat().st_size)
    data = path.read_bytes()
    cut = tmp_path / "cut.mcap"
    places = {*range(8, len(data), 11), *(end + step for end in (header, *ends) for step in (-1, 0, 1)), len(data)}
    for length in sorted(places):
        cut.write_bytes(data[:length])
        found, error = whole_records(cut)
        assert found == records[: len(found)]
        # An index of the chunk's messages follows it; the chunk itself is whole before.
        least = sum(end <= length for end in ends)
        assert least <= len(found) <= least + 1
        if length < ends[-1]:
            assert error is not None
            assert error.records == len(found)
            assert error.seconds == pytest.approx(0.1 * max(0, len(found) - 1))
            assert f"{cut} is cut off after {len(found)} records, at {error.seconds:.1f} s: " in str(error)
            assert summary(cut).contents.records == len(found)
            assert summary(cut).cut == str(error)
        if length < header:
            assert summary(cut).written_by == "unknown"
    # With the records whole only the end of the data may be missing.
    assert whole_records(cut) == (records, None)


@pytest.mark.parametrize("length", range(8))
def test_a_file_without_its_first_bytes_is_no_recording(tmp_path: Path, length: int) -> None:
    path = tmp_path / "short.mcap"
    path.write_bytes(b"\x89MCAP0\r\n"[:length])
    with pytest.raises(RecordingError, match="is no recording; «maskwatch record") as caught:
        list(read(path))
    assert not isinstance(caught.value, RecordingCutError)
    with pytest.raises(RecordingError):
        summary(path)


def test_what_is_no_recording_is_refused_by_name(tmp_path: Path) -> None:
    missing = tmp_path / "missing.mcap"
    for path in (missing, tmp_path):
        with pytest.raises(RecordingError, match=re.escape(f"{path} cannot be read: ")):
            next(read(path))
    garbage = tmp_path / "garbage.mcap"
    garbage.write_bytes(os.urandom(4000))
    with pytest.raises(RecordingError, match="is no recording"):
        next(read(garbage))
    headless = tmp_path / "headless.mcap"
    headless.write_bytes(b"\x89MCAP0\r\n" + struct.pack("<BQ", 15, 4) + bytes(4))
    with pytest.raises(RecordingError, match="MCAP's header is missing"):
        next(read(headless))


def foreign(  # noqa: PLR0913  # what files differ in
    path: Path, profile: str, schema: str, encoding: str, data: bytes, *, chunked: bool = True
) -> Path:
    """An MCAP file that somebody else wrote."""
    with path.open("wb") as file:
        writer = Writer(file, use_chunking=chunked)
        writer.start(profile, "somebody 1.0")
        channel = writer.register_channel("topic", encoding, writer.register_schema(schema, "jsonschema", b"{}"))
        writer.add_message(channel, 5_000_000, data, 0)
        writer.finish()  # type: ignore[no-untyped-call]
    return path


def test_other_files_of_the_same_container_are_refused_by_name(tmp_path: Path) -> None:
    ros = foreign(tmp_path / "ros.mcap", "ros1", "std_msgs/String", "ros1", b"")
    with pytest.raises(RecordingError, match="MCAP file of another kind \\(profile 'ros1', expected 'maskwatch'\\)"):
        next(read(ros))
    newer = foreign(tmp_path / "newer.mcap", "maskwatch", "maskwatch.record.v9", "msgpack", b"")
    with pytest.raises(RecordingError, match=r"holds 'maskwatch\.record\.v9', expected maskwatch\.record\.v1"):
        next(read(newer))


@pytest.mark.parametrize("chunked", [True, False])
def test_a_recording_that_another_tool_has_rewritten_is_read(tmp_path: Path, *, chunked: bool) -> None:
    body = msgspec.msgpack.encode(
        {"key": b"k", "headers": [["a", None]], "value": None, "partition": 1, "offset": 2, "later": "field"}
    )
    path = foreign(tmp_path / "a.mcap", "maskwatch", SCHEMA_NAME, "msgpack", body, chunked=chunked)
    expected = [Recorded("topic", 1, 2, 5, b"k", None, (("a", None),))]  # type: ignore[arg-type]  # as with any client
    assert list(read(path)) == expected
    assert summary(path).contents.records == 1


def test_a_record_that_cannot_be_read_ends_the_recording(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.mcap", "maskwatch", SCHEMA_NAME, "msgpack", b"\xc1")
    assert whole_records(path)[0] == []
    with pytest.raises(RecordingCutError, match="a record cannot be read"):
        list(read(path))


@pytest.mark.parametrize("where", ["length", "content", "compressed"])
def test_a_damaged_chunk_ends_the_recording_and_never_fills_the_memory(tmp_path: Path, where: str) -> None:
    path = tmp_path / "a.mcap"
    with RecordingWriter(path, chunk_bytes=1) as writer:
        writer.write(frame("door", 0, jpeg=os.urandom(500)))
        start = path.stat().st_size
        writer.write(frame("door", 1, jpeg=os.urandom(500)))
    data = bytearray(path.read_bytes())
    if where == "length":
        data[start + 1 : start + 9] = struct.pack("<Q", 2**62)
    elif where == "content":
        data[start + 300] ^= 0xFF
    else:
        data[start + 9 + 16 : start + 9 + 24] = struct.pack("<Q", 2**40)
    path.write_bytes(data)
    found, error = whole_records(path)
    assert len(found) == 1
    assert error is not None


def test_what_exists_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mcap", [frame()])
    before = path.read_bytes()
    with pytest.raises(RecordingWriteError, match=r"exists already: .*--force"):
        RecordingWriter(path)
    assert path.read_bytes() == before
    RecordingWriter(path, force=True).close()
    assert list(read(path)) == []
    with pytest.raises(RecordingWriteError, match="cannot be written: No such file"):
        RecordingWriter(tmp_path / "no" / "folder.mcap")


def test_a_closed_recording_takes_nothing_more(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "a.mcap")
    writer.close()
    writer.close()
    with pytest.raises(RecordingWriteError, match="is closed"):
        writer.write(frame())


def test_a_killed_writer_leaves_all_but_its_last_chunk(tmp_path: Path) -> None:
    path = tmp_path / "killed.mcap"
    code = (
        "import sys; from pathlib import Path; from maskwatch.recording.format import *\n"
        "from maskwatch.recording.writing import *\n"
        "writer = RecordingWriter(Path(sys.argv[1]), chunk_bytes=100_000)\n"
        "for n in range(10**9):\n"
        "    writer.write(Recorded('frames.live.v1', 0, n, 1000 + n, b'door', bytes([n % 256]) * 30_000))\n"
        "    print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 50:
                break
        process.send_signal(signal.SIGKILL)
        last = max([50, *(int(line) for line in process.stdout if line.endswith("\n"))])
    found, error = whole_records(path)
    assert [record.offset for record in found] == list(range(len(found)))
    assert error is not None
    # 4 records fill a chunk; one more may have been under way.
    assert len(found) >= last + 1 - 4
    assert summary(path).contents.records == len(found)


def test_a_full_disk_ends_the_recording_and_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "full.mcap"
    # The system's limit on a file's size stands for the disk; it is set for a process of its own.
    code = (
        "import os, resource, signal, sys; from pathlib import Path\n"
        "from maskwatch.recording.format import *; from maskwatch.recording.writing import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    with RecordingWriter(Path(sys.argv[1]), chunk_bytes=20_000) as writer:\n"
        "        for n in range(100): writer.write(Recorded('t', 0, n, n, None, os.urandom(5000)))\n"
        "except RecordingWriteError as error: print(error)\n"
        # What is measured of this process is written when it ends.
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    told = re.search(r"cannot be written on: File too large. It holds the first (\d+) of (\d+) records", done.stdout)
    assert told is not None, done
    assert done.stderr == ""
    found, error = whole_records(path)
    assert len(found) == int(told[1]) >= 12
    assert int(told[2]) > int(told[1])
    assert error is not None
    assert summary(path).contents.records == len(found)


def test_the_error_of_a_full_disk_says_so(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        full = False

        def write(self, data: object) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)  # type: ignore[arg-type]

    file = Full()
    writer = RecordingWriter(file)
    writer.write(frame("door", 0))
    writer.flush()
    writer.write(frame("door", 1))
    file.full = True
    with pytest.raises(RecordingWriteError, match=r"the disk is full\. It holds the first 1 of 2 records"):
        writer.close()
    with pytest.raises(RecordingWriteError):
        writer.write(frame())
    path = tmp_path / "kept.mcap"
    path.write_bytes(file.getvalue())
    assert [record.offset for record in whole_records(path)[0]] == [100]


def test_a_recording_is_read_without_maskwatch_as_the_page_says(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert "maskwatch" not in code.replace("maskwatch.", "")
    written(tmp_path / "visit.mcap", [frame("door", n, jpeg=b"jpeg %d" % n) for n in range(3)])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert len(done.stdout.splitlines()) == 3
    assert "door:recorded:2" in done.stdout
    assert (tmp_path / "door-2.jpg").read_bytes() == b"jpeg 2"


def test_flushing_gives_what_was_written_to_readers(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "a.mcap") as writer:
        writer.write(frame())
        assert whole_records(tmp_path / "a.mcap")[0] == []
        writer.flush()
        writer.flush()
        assert len(whole_records(tmp_path / "a.mcap")[0]) == 1


def test_the_publish_time_is_that_of_the_event(tmp_path: Path) -> None:
    odd = [b"yesterday", b"2026-01-01T00:00:00", b"1950-01-01T00:00:00Z", b"\xff"]
    headers = [(("ce_time", value),) for value in odd]
    path = written(
        tmp_path / "a.mcap",
        [frame(), *(Recorded("t", 0, n, 7, None, None, header) for n, header in enumerate(headers))],
    )
    from mcap.reader import make_reader  # noqa: PLC0415  # what others would read it with

    with path.open("rb") as file:
        times = [(message.log_time, message.publish_time) for _, _, message in make_reader(file).iter_messages()]
    assert times[-1] == (START_MS * 10**6, (START_MS - 20) * 10**6)
    assert times[:-1] == [(7_000_000, 7_000_000)] * 4


def test_a_written_json_of_the_contents_is_what_the_page_names(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mcap", [frame()])
    from mcap.reader import make_reader  # noqa: PLC0415

    with path.open("rb") as file:
        (metadata,) = make_reader(file).iter_metadata()
    assert metadata.name == "maskwatch.contents"
    assert json.loads(metadata.metadata["json"])["topics"]["frames.live.v1"]["records"] == 1
