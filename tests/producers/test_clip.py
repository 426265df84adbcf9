import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
import structlog

from maskwatch.errors import SourceError
from producers.clip import Clip, Folder
from producers.source import Source
from tests.support.sources import FakeTime, picture

VIDEOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"
FRAMES = 25


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two and a half seconds at 10 frames a second, each frame brighter than the one before."""
    path = tmp_path_factory.mktemp("clip") / "grey.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(FRAMES):
        writer.write(picture(level=10 * number))
    writer.release()
    return path


def opened(path: Path, time: FakeTime, *, rate: float = 60, loop: bool = False, real_time: bool = True) -> Clip:
    return Clip(path, rate=rate, loop=loop, real_time=real_time, clock=time.clock, wait=time.wait)


def numbers(source: Source, most: int = 1000) -> list[int]:
    found: list[int] = []
    while len(found) < most and (shot := source.read()) is not None:
        assert shot.image.shape == (48, 64, 3)
        found.append(round(float(shot.image.mean()) / 10))
    source.close()
    return found


def test_every_frame_comes_when_its_time_has_come(clip: Path) -> None:
    time = FakeTime()
    assert numbers(opened(clip, time)) == list(range(FRAMES))
    assert time.waits == pytest.approx([0.1] * (FRAMES - 1))


def test_a_lower_rate_passes_frames_over_and_keeps_the_clip_s_time(clip: Path) -> None:
    time = FakeTime()
    assert numbers(opened(clip, time, rate=2)) == [0, 5, 10, 15, 20]
    assert time.now == pytest.approx(102.0)


def test_fast_is_without_a_wait(clip: Path) -> None:
    time = FakeTime()
    assert numbers(opened(clip, time, rate=5, real_time=False)) == list(range(0, FRAMES, 2))
    assert time.waits == []


def test_a_loop_goes_on_in_the_same_step(clip: Path) -> None:
    time = FakeTime()
    assert numbers(opened(clip, time, loop=True), most=60) == [number % FRAMES for number in range(60)]
    assert time.waits == pytest.approx([0.1] * 59)


def test_a_short_delay_is_caught_up_and_a_long_one_is_not(clip: Path) -> None:
    time = FakeTime()
    source = opened(clip, time)
    source.read()
    time.now += 0.45
    for _ in range(5):
        source.read()
    assert time.waits == pytest.approx([0.05])
    time.now += 30
    source.read()
    source.read()
    assert time.waits == pytest.approx([0.05, 0.1])


def test_a_clip_ends_when_told_to_stop(clip: Path) -> None:
    time = FakeTime()
    source = opened(clip, time)
    source.read()
    time.stopped = True
    assert source.read() is None


def test_a_clip_that_is_told_to_stop_while_it_waits_ends(clip: Path) -> None:
    time = FakeTime()
    source = Clip(
        clip,
        rate=60,
        loop=False,
        real_time=True,
        clock=time.clock,
        wait=lambda seconds: time.wait(seconds) or seconds > 0,
    )
    assert source.read() is not None
    assert source.read() is None


def test_a_missing_clip_and_one_that_is_none_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no clip at"):
        opened(tmp_path / "nothing.mp4", FakeTime())
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(SourceError, match=r"text\.mp4 is no video that FFmpeg reads"):
        opened(text, FakeTime())


def test_a_clip_without_pictures_does_not_loop_for_ever(tmp_path: Path, clip: Path) -> None:
    cut = tmp_path / "cut.avi"
    data = clip.read_bytes()
    cut.write_bytes(data[: data.index(b"movi") + 4])
    with pytest.raises(SourceError, match=r"cut\.avi"):
        opened(cut, FakeTime(), loop=True).read()


def test_a_clip_that_vanishes_while_it_loops_is_a_failure(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "clip.avi"
    path.write_bytes(clip.read_bytes())
    source = opened(path, FakeTime(), loop=True)
    path.unlink()
    with pytest.raises(SourceError, match="no clip at"):
        numbers(source)


def test_a_gif_keeps_the_times_of_its_frames(tmp_path: Path) -> None:
    path = tmp_path / "slow.gif"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=2", str(path)]
    try:
        subprocess.run(command, check=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("ffmpeg is not installed")
    time = FakeTime()
    source = opened(path, time)
    assert len([*iter(source.read, None)]) == 10
    assert time.now == pytest.approx(101.8)


@pytest.mark.parametrize(
    ("name", "frames", "seconds"),
    [
        ("classroom.gif", 45, 2.9),
        ("head-pose-face-detection-female-and-male.gif", 56, 4.58),
        ("diazonic_mask.mp4", 414, 16.52),
    ],
)
def test_real_clips_are_read_to_their_end(name: str, frames: int, seconds: float) -> None:
    path = VIDEOS / name
    if not path.is_file():
        pytest.skip(f"no {path}: the development videos are not on this machine")
    time = FakeTime()
    source = opened(path, time)
    assert len([*iter(source.read, None)]) == frames
    assert time.now - 100 == pytest.approx(seconds, abs=0.15)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("b.png", "a.jpg", "c.BMP"), start=1):
        cv2.imwrite(str(tmp_path / name), picture(level=10 * number))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_folder_is_read_in_order(folder: Path) -> None:
    assert numbers(Folder(folder, loop=False)) == [2, 1, 3]


def test_a_folder_loops_and_sees_what_is_new(folder: Path) -> None:
    source = Folder(folder, loop=True)
    assert numbers(source, most=3) == [2, 1, 3]
    cv2.imwrite(str(folder / "d.jpg"), picture(level=40))
    assert numbers(source, most=5) == [2, 1, 3, 4, 2]


def test_what_is_corrupt_or_cut_off_is_passed_over_with_one_warning(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    whole = cv2.imencode(".jpg", noise)[1].tobytes()
    (folder / "aa.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "ab.png").write_bytes(b"")
    (folder / "ac.png").write_bytes(b"no picture")
    with structlog.testing.capture_logs() as logs:
        assert numbers(Folder(folder, loop=True), most=9) == [2, 1, 3] * 3
    assert [Path(entry["file"]).name for entry in logs] == ["aa.jpg", "ab.png", "ac.png"]
    assert {entry["log_level"] for entry in logs} == {"warning"}


def test_a_folder_without_a_readable_picture_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no folder at"):
        Folder(tmp_path / "nothing", loop=True)
    with pytest.raises(SourceError, match=r"no picture in .*; read are \.bmp, \.jpeg"):
        Folder(tmp_path, loop=True)
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"no picture in .* can be read"):
        Folder(tmp_path, loop=True).read()
