import threading
from pathlib import Path

import cv2
import pytest

from maskwatch.errors import SourceError
from maskwatch.messages import Camera, SceneKnobs
from producers.cadence import Paced
from producers.clip import Clip, Folder
from producers.opening import Turned, is_path, open_source, webcam_index
from producers.source import Source
from tests.support.sources import FakeScene, picture


def opened(source: str, **fields: str | bool) -> Source:
    camera = Camera(id="a", source=source, **fields)  # type: ignore[arg-type]
    return open_source(camera, SceneKnobs, threading.Event().wait)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "a.jpg"), picture())
    return tmp_path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    writer.write(picture())
    writer.release()
    return path


def test_a_folder_is_paced_unless_it_is_to_be_fast(folder: Path) -> None:
    assert isinstance(opened(str(folder)), Paced)
    assert isinstance(opened(str(folder), pace="fast"), Folder)


def test_a_clip_is_opened_and_ends_after_one_round_if_told_to(clip: Path) -> None:
    source = opened(str(clip), loop=False)
    assert isinstance(source, Clip)
    assert source.read() is not None
    assert source.read() is None
    source.close()


def test_the_scene_is_opened_with_its_cast_and_seed() -> None:
    pytest.importorskip("producers.scene", reason="the scene is not here yet")
    source = opened("scene")
    shot = source.read()
    assert shot is not None
    assert shot.image.shape == (720, 1280, 3)
    assert shot.truth is not None
    source.close()


def test_a_webcam_that_is_not_here_is_a_failure() -> None:
    with pytest.raises(SourceError, match="no webcam 999"):
        opened("webcam:999")


@pytest.mark.parametrize("source", ["webcam", "webcam:x", "webcam:-1", ""])
def test_what_is_no_source_is_refused(source: str) -> None:
    with pytest.raises(SourceError, match=r"is not known; a source is scene, webcam:0"):
        opened(source)


def test_an_address_of_another_kind_is_refused_and_its_password_is_not_repeated() -> None:
    with pytest.raises(SourceError, match="ftp:// is not read; cameras are rtsp://") as caught:
        is_path("ftp://admin:secret@door.example/1")
    assert "secret" not in str(caught.value)


def test_webcams_have_numbers() -> None:
    assert [webcam_index(source) for source in ("webcam:0", "webcam:12", "scene", "webcam:1.mp4")] == [
        0,
        12,
        None,
        None,
    ]


def test_a_scene_is_turned_before_the_picture_and_only_when_its_knobs_changed() -> None:
    scene = FakeScene()
    knobs = SceneKnobs()
    turned = Turned(scene, lambda: knobs)
    levels = [turned.read()]
    knobs = SceneKnobs(light=0.5)
    levels += [turned.read(), turned.read()]
    assert [int(shot.image[0, 0, 0]) for shot in levels if shot] == [80, 40, 40]
    assert scene.turns == [SceneKnobs(light=0.5)]
    turned.close()
