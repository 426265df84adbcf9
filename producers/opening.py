"""From a camera that is wished for to a source that gives pictures: scene, webcam, clip or folder."""

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol

from maskwatch.errors import SourceError
from maskwatch.messages import Camera, SceneKnobs
from producers.cadence import Paced, Wait
from producers.camera import Webcam
from producers.clip import Clip, Folder
from producers.source import Shot, Source

SCENE = "scene"
_WEBCAM = re.compile(r"webcam:(\d{1,3})")
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")


class Turnable(Source, Protocol):
    """A scene."""

    def turn(self, knobs: SceneKnobs) -> None:
        """Turn all knobs; the next picture shows it."""


class Turned:
    """A scene whose knobs are looked up before each picture.

    Parameters
    ----------
    scene
        What is read and turned, both from the same thread.
    knobs
        Says how they stand by now.
    """

    def __init__(self, scene: Turnable, knobs: Callable[[], SceneKnobs]) -> None:
        self._scene = scene
        self._knobs = knobs
        self._turned = SceneKnobs()

    def read(self) -> Shot | None:
        """Return the scene's next picture."""
        knobs = self._knobs()
        if knobs != self._turned:
            self._scene.turn(knobs)
            self._turned = knobs
        return self._scene.read()

    def close(self) -> None:
        """Close the scene."""
        self._scene.close()


def webcam_index(source: str) -> int | None:
    """Return the number in ``webcam:N``; None for any other source.

    Examples
    --------
    >>> webcam_index("webcam:2")
    2
    """
    found = _WEBCAM.fullmatch(source)
    return int(found[1]) if found else None


def is_path(source: str) -> bool:
    """Tell whether a source is a clip or a folder.

    Raises
    ------
    SourceError
        If it is an address or a malformed webcam. What is quoted of an address holds no password.
    """
    if source == SCENE or webcam_index(source) is not None:
        return False
    if address := _ADDRESS.match(source):
        raise SourceError(f"{address[1]}:// cameras cannot be read yet; a source is {KINDS}")
    if not source or source.startswith("webcam"):
        raise SourceError(f"source «{source}» is not known; a source is {KINDS}")
    return True


KINDS = "scene, webcam:0 (or another number), or the path of a clip or of a folder of pictures"


def open_source(camera: Camera, knobs: Callable[[], SceneKnobs], wait: Wait) -> Source:
    """Open what a camera is to show; may take seconds.

    Parameters
    ----------
    camera
        The wish.
    knobs
        How the knobs of this camera's scene stand by now.
    wait
        Waits for some seconds; True when the source is to stop.

    Raises
    ------
    SourceError
        If it cannot be opened; the message says what to do.
    """
    if camera.source == SCENE:
        # Drawing people is heavy; a webcam does without.
        scene: Turnable = import_module("producers.scene").Scene(
            seed=camera.seed, cast=Path(camera.cast) if camera.cast else None
        )
        return Paced(Turned(scene, knobs), camera.rate, wait=wait)
    if (index := webcam_index(camera.source)) is not None:
        return Webcam(index, rate=camera.rate, longest_side=camera.longest_side)
    is_path(camera.source)
    path = Path(camera.source)
    if path.is_dir():
        folder = Folder(path, loop=camera.loop)
        return Paced(folder, camera.rate, wait=wait) if camera.pace == "real-time" else folder
    return Clip(path, rate=camera.rate, loop=camera.loop, real_time=camera.pace == "real-time", wait=wait)
