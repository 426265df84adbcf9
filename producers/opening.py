"""From a camera that is wished for to a source that gives pictures: scene, webcam, network camera, clip or folder."""

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol

from maskwatch.errors import SourceError
from maskwatch.messages import Camera, SceneKnobs
from producers.addresses import Credentials, Network, is_address, separate
from producers.cadence import Paced, Wait
from producers.camera import Webcam
from producers.clip import Clip, Folder
from producers.source import Shot, Source

SCENE = "scene"
_WEBCAM = re.compile(r"webcam:(\d{1,3})")


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
        If it is an address that is not read, or a malformed webcam. What is quoted of an address holds no password.
    """
    if source == SCENE or webcam_index(source) is not None:
        return False
    if is_address(source):
        separate(source)
        return False
    if not source or source.startswith("webcam"):
        raise SourceError(f"source «{source}» is not known; a source is {KINDS}")
    return True


KINDS = "scene, webcam:0 (or another number), rtsp://…, http://…, or the path of a clip or of a folder of pictures"


def open_network(
    camera: Camera,
    wait: Wait,
    credentials: Credentials | None = None,
    allowed: tuple[Network, ...] | None = None,
) -> Source:
    """Open a network camera; what is wrong with it is said by the first picture.

    Parameters
    ----------
    camera, wait
        As for :func:`open_source`.
    credentials
        If it asks for them.
    allowed
        Networks that it may lead to though they are not cameras'; None: it may lead anywhere.
    """
    # FFmpeg is heavy; a webcam does without.
    opened: Source = import_module("producers.network").NetworkCamera(
        camera.source, credentials, rate=camera.rate, longest_side=camera.longest_side, wait=wait, allowed=allowed
    )
    return opened


def open_source(
    camera: Camera,
    knobs: Callable[[], SceneKnobs],
    wait: Wait,
    network: Callable[[Camera, Wait], Source] = open_network,
) -> Source:
    """Open what a camera is to show; may take seconds.

    Parameters
    ----------
    camera
        The wish.
    knobs
        How the knobs of this camera's scene stand by now.
    wait
        Waits for some seconds; True when the source is to stop.
    network
        Opens network cameras.

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
    if not is_path(camera.source):
        return network(camera, wait)
    path = Path(camera.source)
    if path.is_dir():
        folder = Folder(path, loop=camera.loop)
        return Paced(folder, camera.rate, wait=wait) if camera.pace == "real-time" else folder
    return Clip(path, rate=camera.rate, loop=camera.loop, real_time=camera.pace == "real-time", wait=wait)
