"""Videos as people send them: real files, a real process that decodes."""

import io
import struct
from itertools import pairwise

import av
import numpy as np
import psutil
import pytest
import simplejpeg

from maskwatch.errors import PictureError
from producers.video import VideoLimits, is_video, stills

SIZE = (160, 90)
FRAMES_A_SECOND = 10
LIMITS = VideoLimits(rate=1, longest_s=10, max_pixels=10**6)


def video(seconds: float, kind: str = "mp4", codec: str = "mpeg4", size: tuple[int, int] = SIZE) -> bytes:
    """A video whose left half is bright and whose right half grows brighter by 20 a second."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=FRAMES_A_SECOND)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(round(seconds * FRAMES_A_SECOND)):
            pixels = np.full((size[1], size[0], 3), 20 * (number // FRAMES_A_SECOND), np.uint8)
            pixels[:, : size[0] // 2] = 250
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def sound() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def turned_clockwise(mp4: bytes) -> bytes:
    """The same video with the note that phones write when they are held upright."""
    at = mp4.index(b"tkhd") + 44
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    return mp4[:at] + matrix + mp4[at + len(matrix) :]


def why(data: bytes, limits: VideoLimits = LIMITS) -> str:
    with pytest.raises(PictureError) as error:
        stills(data, limits)
    return str(error.value)


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "mpeg4"), ("mov", "mjpeg"), ("webm", "libvpx"), ("avi", "mpeg4")])
def test_a_picture_is_taken_of_every_second(kind: str, codec: str) -> None:
    data = video(3.5, kind, codec)
    assert is_video(data)
    found = stills(data, LIMITS)
    assert [round(still.seconds, 1) for still in found] == [0, 1, 2, 3]
    pictures = [simplejpeg.decode_jpeg(still.jpeg, "GRAY")[..., 0] for still in found]
    assert all(picture.shape == (SIZE[1], SIZE[0]) for picture in pictures)
    brightness = [float(picture[:, SIZE[0] * 3 // 4 :].mean()) for picture in pictures]
    assert all(later - earlier > 10 for earlier, later in pairwise(brightness))


def test_more_pictures_of_a_second_when_told_so() -> None:
    assert len(stills(video(2), LIMITS._replace(rate=5))) == 10
    assert len(stills(video(2), LIMITS._replace(rate=30))) == 2 * FRAMES_A_SECOND


def test_a_phones_video_is_turned_upright() -> None:
    (still,) = stills(turned_clockwise(video(0.5)), LIMITS)
    picture = simplejpeg.decode_jpeg(still.jpeg, "GRAY")[..., 0]
    assert picture.shape == SIZE
    # What was at the left is above now.
    assert picture[: SIZE[0] // 4].mean() > 200
    assert picture[-SIZE[0] // 4 :].mean() < 50


def test_more_than_is_taken_is_refused_with_the_limit() -> None:
    assert why(video(3), LIMITS._replace(longest_s=2)) == "the video is longer than 2 s"
    assert why(video(1), LIMITS._replace(max_pixels=1000)) == "pictures of the video have more than 1000 pixels"
    assert why(video(1), LIMITS._replace(timeout_s=0)) == "the video took longer than 0 s to decode"


@pytest.mark.parametrize(
    "data",
    [
        video(1)[:300],
        b"\0\0\0\x18ftypmp42" + bytes(500),
        b"\x1aE\xdf\xa3" + bytes(500),
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    ],
)
def test_what_is_no_video_is_refused(data: bytes) -> None:
    assert why(data) == "the video is truncated, corrupt or of a kind that is not read"


def test_a_video_that_was_cut_off_is_refused() -> None:
    whole = video(6, "webm", "libvpx")
    assert len(stills(whole, LIMITS)) == 6
    assert "the video is truncated: it ends after " in why(whole[: len(whole) // 2])


def test_sound_alone_is_refused() -> None:
    assert is_video(sound())
    assert why(sound()) == "the file holds no video"


def test_a_decoder_that_crashes_costs_nothing_else() -> None:
    # No rate is none at all: the process divides by it and dies.
    assert "has crashed" in why(video(1), LIMITS._replace(rate=0))
    names = [process.name() for process in psutil.Process().children(recursive=True)]
    assert "video" not in names
