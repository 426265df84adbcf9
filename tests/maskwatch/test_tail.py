import asyncio
import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maskwatch import kafka as clients
from maskwatch.errors import SettingsError
from maskwatch.messages import (
    CameraStatus,
    DetectedFace,
    Detection,
    FrameInfo,
    FrameRef,
    ModelRef,
    Prediction,
    encode,
    frame_headers,
)
from maskwatch.settings import Settings
from maskwatch.subscribe import Frame
from maskwatch.tail import line_of, tail, wish
from maskwatch.topics import Name
from tests.support.command import maskwatch
from tests.support.stack import CreateTopics
from tests.support.topic import put
from tests.support.waiting import eventually

NOON = datetime(2026, 11, 1, 12, 0, 0, 250_000, tzinfo=UTC)
CLOCK = f"{NOON.astimezone():%H:%M:%S}.250"
SEEN = (DetectedFace("with_mask", 0.91, (0, 0, 1, 1)), DetectedFace("without_mask", 0.55, (0, 0, 1, 1)))
FRAME = FrameRef("door:s:7", "door", "s", 7, NOON, 4, 3, "frames.live.v1", 0, 7)
DETECTION = Detection(FRAME, ModelRef("m", "1", "ab"), NOON, SEEN)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (DETECTION, f"{CLOCK}  door  2 faces: with_mask 0.91, without_mask 0.55"),
        (Prediction("u1", "done", NOON, objects=SEEN[:1]), f"{CLOCK}  u1  1 face: with_mask 0.91"),
        (Prediction("u1", "done", NOON), f"{CLOCK}  u1  no face"),
        (Prediction("u1", "failed", NOON, reason="cut off"), f"{CLOCK}  u1  failed: cut off"),
        (CameraStatus("door", "online", NOON), f"{CLOCK}  door  online"),
        (CameraStatus("door", "offline", NOON, "no frame"), f"{CLOCK}  door  offline: no frame"),
    ],
)
def test_a_line_says_what_and_when(message: Any, line: str) -> None:  # noqa: ANN401  # any of them
    assert line_of(message, wish("detections")) == line


def test_json_is_the_message() -> None:
    assert json.loads(line_of(DETECTION, wish("detections", as_json=True)) or "")["frame"]["sequence"] == 7


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"labels": ("with_mask",)}, True),
        ({"labels": ("mask_weared_incorrect",)}, False),
        ({"least_score": 0.9}, True),
        ({"least_score": 0.95}, False),
        ({"labels": ("without_mask",), "least_score": 0.6}, False),
        ({"labels": ("without_mask", "with_mask"), "least_score": 0.6}, True),
    ],
)
def test_labels_and_scores_narrow_it_down(options: dict[str, Any], *, shown: bool) -> None:
    assert (line_of(DETECTION, wish("detections", **options)) is not None) == shown


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        ("detections", {"since_s": 60.0, "from_beginning": True}, "give --since or --from-beginning"),
        ("detections", {"since_s": 60.0, "group": "mine"}, "leave --since out"),
        ("frames", {}, "maskwatch tail frames --save FOLDER"),
        ("status", {"save": Path("x")}, "--save is for frames, not for status"),
        ("status", {"labels": ("with_mask",)}, "for detections and predictions, not for status"),
    ],
)
def test_wishes_that_do_not_fit_are_refused(kind: str, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        wish(kind, **options)


def test_a_frame_is_saved_within_its_folder_whatever_it_calls_itself(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    frame = Frame(FrameInfo("door", "../../etc/passwd", 7, NOON, 4, 3), b"jpeg")
    line = line_of(frame, wish("frames", save=folder)) or ""
    (file,) = folder.iterdir()
    assert file.read_bytes() == b"jpeg"
    assert str(file) in line
    told = json.loads(line_of(frame, wish("frames", save=folder, as_json=True)) or "")
    assert (told["camera"], told["bytes"], told["file"]) == ("door", 4, str(file))
    with pytest.raises(SettingsError, match="cannot be written"):
        line_of(frame, wish("frames", save=tmp_path / "missing"))


@pytest.fixture
async def ours(settings: Settings, create_topics: CreateTopics) -> Settings:
    await create_topics(settings, Name.DETECTIONS, Name.FRAMES_LIVE)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for objects in ((), SEEN):
            value, headers = encode(
                Detection(FRAME, DETECTION.model, NOON, objects), kind="x", source="/x", id="door:s:7", time=NOON
            )
            await put(producer, settings, Name.DETECTIONS, "door", value, headers)
        await put(producer, settings, Name.DETECTIONS, "door", b"{")
        info = FrameInfo("door", "s1", 7, NOON, 4, 3)
        await put(producer, settings, Name.FRAMES_LIVE, "door", b"jpeg", frame_headers(info))
    return settings


async def test_it_ends_after_so_many_and_says_what_it_left_out(ours: Settings, tmp_path: Path) -> None:
    lines: list[str] = []
    said: list[str] = []
    stop = asyncio.Event()
    asked = wish("detections", labels=("without_mask",), from_beginning=True, count=1)
    assert await tail(ours, asked, stop, lines.append, said.append) == 1
    assert lines == [f"{CLOCK}  door  2 faces: with_mask 0.91, without_mask 0.55"]
    saving = wish("frames", save=tmp_path / "new" / "folder", from_beginning=True, count=1)
    assert await tail(ours, saving, stop, lines.append, said.append) == 1
    assert (tmp_path / "new" / "folder" / "door-s1-7.jpg").read_bytes() == b"jpeg"
    every = asyncio.create_task(tail(ours, wish("detections", from_beginning=True), stop, lines.append, said.append))
    await eventually(lambda: said)
    stop.set()
    assert await every == 2
    assert "left out: not a Detection" in said[0]


async def test_the_command_line(ours: Settings) -> None:
    with maskwatch(ours, "tail", "detections", "--from-beginning", "--json", "--count", "2") as process:
        output, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, errors
    assert [len(json.loads(line)["objects"]) for line in output.splitlines()] == [0, 2]
    with maskwatch(ours, "tail", "detections", "--from-beginning") as process:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    assert "Traceback" not in errors
    with maskwatch(ours, "tail", "frames") as process:
        _, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 78
    assert errors == "maskwatch: frames are saved: maskwatch tail frames --save FOLDER\n"


async def test_a_reader_that_has_gone_ends_it_without_a_word(ours: Settings) -> None:
    with maskwatch(ours, "tail", "detections", "--from-beginning") as process:
        assert process.stdout is not None
        process.stdout.close()
        errors = await asyncio.to_thread(process.stderr.read) if process.stderr else ""
        await asyncio.to_thread(process.wait)
    assert "Traceback" not in errors
    assert process.returncode == 0
