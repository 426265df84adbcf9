import sys
from pathlib import Path

import cv2
import pytest

from maskwatch.errors import SourceError
from producers.camera import Webcam
from tests.support.sources import FakeTime, FakeWebcam, picture


def test_every_frame_is_taken_and_only_due_ones_are_decoded() -> None:
    time = FakeTime()
    device = FakeWebcam([picture(level=number) for number in range(90)], time, 1 / 30)
    webcam = Webcam(0, rate=10, longest_side=1280, open_device=lambda _: device, clock=time.clock)
    levels = [int(webcam.read().image[0, 0, 0]) for _ in range(30)]
    assert levels == list(range(0, 90, 3))
    assert device.decoded == 30


def test_it_asks_for_compressed_frames_no_buffer_and_the_size() -> None:
    device = FakeWebcam([], FakeTime(), 1)
    Webcam(0, rate=10, longest_side=1280, open_device=lambda _: device)
    assert device.asked == {
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG"),
        cv2.CAP_PROP_FRAME_WIDTH: 1280,
        cv2.CAP_PROP_FRAME_HEIGHT: 720,
        cv2.CAP_PROP_BUFFERSIZE: 1,
    }


def test_a_frame_that_is_cut_off_is_passed_over() -> None:
    time = FakeTime()
    device = FakeWebcam([None, picture(level=9)], time, 1)
    webcam = Webcam(0, rate=10, longest_side=640, open_device=lambda _: device, clock=time.clock)
    assert webcam.read().image[0, 0, 0] == 9


def test_a_webcam_that_is_unplugged_says_so() -> None:
    device = FakeWebcam([picture()], FakeTime(), 1)
    webcam = Webcam(2, rate=10, longest_side=640, open_device=lambda _: device)
    webcam.read()
    with pytest.raises(SourceError, match="webcam 2 gives no frames any more"):
        webcam.read()
    webcam.close()
    assert device.released == 1


def test_a_webcam_that_cannot_be_used_is_let_go() -> None:
    device = FakeWebcam([], FakeTime(), 1, opened=False)
    with pytest.raises(SourceError, match="no webcam 0: it is not plugged in, another program uses it"):
        Webcam(0, rate=10, longest_side=640, open_device=lambda _: device)
    assert device.released == 1


@pytest.mark.skipif(sys.platform != "linux", reason="webcams are files on Linux only")
def test_a_webcam_that_is_not_there_is_said_to_be_missing() -> None:
    assert not Path("/dev/video999").exists()
    with pytest.raises(SourceError, match=r"no webcam 999: there is no /dev/video999; «ls /dev/video\*» lists"):
        Webcam(999, rate=10, longest_side=640)
