"""Which cameras there are and whether they give frames, as two compacted topics tell it.

Every API process reads ``cameras.v1`` and ``camera-status.v1`` from their beginning, without a group, and keeps the
latest record of each camera. The table itself is pure; following the topics is a loop around it.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from api.following import RETRY_S, Following
from api.schemas import CameraState
from maskwatch import kafka
from maskwatch.addresses import without_user
from maskwatch.errors import BrokerError, MessageError
from maskwatch.messages import CameraStatus, decode, is_camera_id
from maskwatch.settings import Settings
from maskwatch.topics import Name
from producers.wishes import Wish, read_wish

MOST_CAMERAS = 10_000
"""Further ids are ignored: whoever may write to the topics must not fill our memory."""

WATCH_S = 5.0
KAFKA_AWAY = "Kafka is away; the picture comes back by itself"
FEEDS = (Name.CAMERAS, Name.CAMERA_STATUS)

_Record = TypeVar("_Record", Wish, CameraStatus)


class Roster:
    """The cameras that are wished for, and what capture says of them."""

    def __init__(self) -> None:
        self._wished: dict[str, Wish] = {}
        self._states: dict[str, CameraStatus] = {}

    def take(
        self, topic: Name, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Take one record; an empty value removes what its key names.

        Raises
        ------
        MessageError
            If the record is not what its topic promises, or there is no room for it.
        """
        camera = (key or b"").decode(errors="replace")
        if not is_camera_id(camera):
            raise MessageError("the key is no camera id")
        if topic is Name.CAMERAS:
            _take(self._wished, camera, read_wish(key, value, headers)[1])
        else:
            _take(self._states, camera, decode(value, CameraStatus) if value else None)

    def __contains__(self, camera: object) -> bool:
        return camera in self._wished

    def cameras(self) -> list[CameraState]:
        """Return every camera, by id."""
        return [self.camera(identity) for identity in sorted(self._wished)]

    def camera(self, identity: str) -> CameraState:
        """Return one camera.

        Raises
        ------
        KeyError
            If there is no such camera.
        """
        return self.described(self._wished[identity])

    def wishes(self) -> Mapping[str, Wish]:
        """Return what is wished for, by camera id."""
        return self._wished

    def described(self, wish: Wish) -> CameraState:
        """Return a wish as it is answered, with what is known of the camera's state."""
        camera, state = wish.camera, self._states.get(wish.camera.id)
        return CameraState(
            id=camera.id,
            name=camera.name or camera.id,
            source=without_user(camera.source),
            rate=camera.rate,
            recorded=camera.record_rate,
            paused=camera.paused,
            managed=wish.capturer is None,
            state=state.state if state else "unknown",
            since=state.since if state else None,
            reason=state.reason if state else "",
        )

    def why_no_picture(self, identity: str) -> str:
        """Say, for people, why a camera may have no fresh picture."""
        state = self._states.get(identity)
        if state is None:
            return "The camera has not been started yet."
        if state.state == "offline":
            return state.reason or "The camera is offline."
        return "The camera is online, but nothing is detected on it: is a detector running?"


class RosterFeed:
    """Keeps a roster up to date.

    Parameters
    ----------
    settings
        Name the cluster.
    retry_s
        Seconds between two tries while it cannot be read.
    watch_s
        Seconds between two looks at whether the cluster is there, and for its answer.

    Attributes
    ----------
    roster : Roster
        What is known so far.
    away : bool
        Whether the cluster did not answer when it was last looked for.
    """

    def __init__(self, settings: Settings, retry_s: float = RETRY_S, watch_s: float = WATCH_S) -> None:
        self.roster = Roster()
        self._watch_s = watch_s
        self._settings = settings
        self._following = Following(
            settings,
            dict.fromkeys(FEEDS, math.inf),
            lambda name, record: self.roster.take(name, record.key, record.value, record.headers),
            retry_s=retry_s,
        )
        self.away = False

    @property
    def missing(self) -> str:
        """Why the roster is not complete yet; empty once it is."""
        return self._following.missing

    def why_no_picture(self, identity: str) -> str:
        """Say, for people, why a camera may have no fresh picture."""
        return KAFKA_AWAY if self.away else self.roster.why_no_picture(identity)

    async def watch(self) -> None:
        """Look for ever whether the cluster is there: a consumer does not tell, it waits."""
        while True:
            try:
                await kafka.check(self._settings, self._watch_s)
            except BrokerError:
                self.away = True
            else:
                self.away = False
            await asyncio.sleep(self._watch_s)

    async def follow(self, *names: Name) -> None:
        """Follow some of the topics for ever, with one consumer; what keeps them from being read is waited out."""
        await self._following.follow(*names)


def _take(table: dict[str, _Record], camera: str, record: _Record | None) -> None:
    if record is None:
        table.pop(camera, None)
    elif camera not in table and len(table) >= MOST_CAMERAS:
        raise MessageError(f"there are {MOST_CAMERAS} cameras already")
    else:
        table[camera] = record
