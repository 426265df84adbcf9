"""Cameras that are browsers: a page sends pictures, and they become the frames of a camera like any.

A page has one frame under way and sends the next when that is acknowledged, so that it sends as many as its line and
Kafka take. The camera is wished for while the page sends, and gone afterwards.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Literal

from api.broker import Broker
from api.roster import Roster
from maskwatch.errors import BrokerError, MaskwatchError, PictureError
from maskwatch.messages import LARGEST_JPEG, Camera, CameraStatus, FrameInfo
from maskwatch.pictures import jpeg_size
from maskwatch.settings import Settings
from producers.cadence import Cadence
from producers.publishing import FramePublisher, StatePublisher

SOURCE = "browser"
RATE = 15.0
"""Frames a second at most; pages that are faster lose the others."""

ENDED = "the page was closed"


class CameraTakenError(MaskwatchError):
    """Another page of this API process shows a camera of this id, or there is one that is no page's.

    The page of another API process is not told apart from one whose process died, and is no reason to refuse one.
    """


class CameraEndingError(MaskwatchError):
    """A page of this id has just left, and its camera is still being taken back."""


class TooManyBroadcastsError(MaskwatchError):
    """As many pages send as may."""


class Broadcasts:
    """Every page that sends pictures to this process.

    Parameters
    ----------
    settings
        Name the cluster, and how many may send.
    broker
        Publishes.
    roster
        The cameras that are known.
    """

    def __init__(self, settings: Settings, broker: Broker, roster: Roster) -> None:
        self._settings = settings
        self._broker = broker
        self._roster = roster
        self._process = f"api-{secrets.token_hex(4)}"
        self._open: set[str] = set()
        self._ending: set[str] = set()

    @asynccontextmanager
    async def begin(self, identity: str, name: str) -> AsyncIterator["Broadcast"]:
        """Show a page's pictures as a camera, until the end.

        Raises
        ------
        CameraTakenError
            If there is a camera of this id.
        CameraEndingError
            If there was one until just now; it may be tried again soon.
        TooManyBroadcastsError
            If as many pages send as may.
        BrokerError
            If Kafka is away.
        """
        if identity in self._ending:
            raise CameraEndingError(f"the camera «{identity}» is just ending")
        wish = self._roster.wishes().get(identity)
        if identity in self._open or (wish is not None and wish.camera.source != SOURCE):
            raise CameraTakenError(f"there is a camera «{identity}» already")
        if len(self._open) >= self._settings.api.max_broadcasts:
            raise TooManyBroadcastsError(f"{self._settings.api.max_broadcasts} pages send pictures, as many as may")
        states = StatePublisher(self._broker.producer, self._settings, self._process)
        self._open.add(identity)
        try:
            await states.wish(Camera(id=identity, source=SOURCE, name=name, rate=RATE))
            yield Broadcast(identity, self._settings, FramePublisher(self._broker.live, self._settings), states)
        finally:
            self._ending.add(identity)
            try:
                with suppress(BrokerError):
                    await states.status(_status(identity, "offline", ENDED))
                    await states.take_back(identity)
            finally:
                # Only now: the wish of a page that returns before would be taken back in place of this one.
                self._ending.discard(identity)
                self._open.discard(identity)


class Broadcast:
    """The pictures of one page."""

    def __init__(self, identity: str, settings: Settings, frames: FramePublisher, states: StatePublisher) -> None:
        self._identity = identity
        self._most_pixels = settings.detector.max_pixels
        self._frames = frames
        self._states = states
        self._session = f"{datetime.now(UTC):%Y%m%dt%H%M%S}-{secrets.token_hex(4)}"
        self._sequence = 0
        self._pace = Cadence(RATE)
        self._kept = Cadence(1.0)

    async def take(self, jpeg: bytes, now: float) -> bool:
        """Publish a picture.

        Parameters
        ----------
        jpeg
            As the page made it.
        now
            Seconds on a clock that never goes back.

        Returns
        -------
        bool
            Whether it was acknowledged; not so if the page is too fast, or Kafka away.

        Raises
        ------
        PictureError
            If it is no JPEG, or too large.
        """
        if len(jpeg) > LARGEST_JPEG:
            raise PictureError(f"{len(jpeg)} bytes are more than {LARGEST_JPEG}")
        width, height = jpeg_size(jpeg, self._most_pixels)
        if not self._pace.due(now):
            return False
        info = FrameInfo(self._identity, self._session, self._sequence, datetime.now(UTC), width, height)
        if self._sequence == 0:
            await self._states.status(_status(self._identity, "online", ""))
        self._sequence += 1
        return await self._frames.publish(info, jpeg, record=self._kept.due(now))


def _status(identity: str, state: Literal["online", "offline"], reason: str) -> CameraStatus:
    return CameraStatus(camera=identity, state=state, since=datetime.now(UTC), reason=reason)
