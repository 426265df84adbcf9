"""Which cameras there are and whether they give frames, as two compacted topics tell it.

Every API process reads ``cameras.v1`` and ``camera-status.v1`` from their beginning, without a group, and keeps the
latest record of each camera. The table itself is pure; following the topics is a loop around it.
"""

import asyncio
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import structlog
from aiokafka.errors import KafkaError

from api.schemas import CameraState
from maskwatch import kafka, metrics
from maskwatch.errors import BrokerError, MessageError
from maskwatch.messages import Camera, CameraStatus, decode, is_camera_id
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count

MOST_CAMERAS = 10_000
"""Further ids are ignored: whoever may write to the topics must not fill our memory."""

RETRY_S = 5.0
WATCH_S = 5.0
KAFKA_AWAY = "Kafka is away; the picture comes back by itself"
FEEDS = (Name.CAMERAS, Name.CAMERA_STATUS)

_Record = TypeVar("_Record", Camera, CameraStatus)

log = structlog.get_logger(__name__)


class Roster:
    """The cameras that are wished for, and what capture says of them."""

    def __init__(self) -> None:
        self._wished: dict[str, Camera] = {}
        self._states: dict[str, CameraStatus] = {}

    def take(self, topic: Name, key: bytes | None, value: bytes | None) -> None:
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
            _take(self._wished, camera, value, Camera)
        else:
            _take(self._states, camera, value, CameraStatus)

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
        wished, state = self._wished[identity], self._states.get(identity)
        return CameraState(
            id=identity,
            name=wished.name or identity,
            source=without_user(wished.source),
            rate=wished.rate,
            recorded=wished.record_rate,
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
    """

    def __init__(self, settings: Settings, retry_s: float = RETRY_S, watch_s: float = WATCH_S) -> None:
        self.roster = Roster()
        self._retry_s = retry_s
        self._watch_s = watch_s
        self._away = False
        self._settings = settings
        self._caught_up = {name: asyncio.Event() for name in FEEDS}
        self._problem = ""

    @property
    def missing(self) -> str:
        """Why the roster is not complete yet; empty once it is."""
        waiting = [name for name, event in self._caught_up.items() if not event.is_set()]
        return (self._problem or f"reading {', '.join(waiting)}") if waiting else ""

    def why_no_picture(self, identity: str) -> str:
        """Say, for people, why a camera may have no fresh picture."""
        return KAFKA_AWAY if self._away else self.roster.why_no_picture(identity)

    async def watch(self) -> None:
        """Look for ever whether the cluster is there: a consumer does not tell, it waits."""
        while True:
            try:
                await kafka.check(self._settings, self._watch_s)
            except BrokerError:
                self._away = True
            else:
                self._away = False
            await asyncio.sleep(self._watch_s)

    async def follow(self, name: Name) -> None:
        """Follow one topic for ever; what keeps it from being read is waited out."""
        while True:
            try:
                async for record in kafka.follow(self._settings, name, partition_count(name), self._caught_up[name]):
                    self._problem = ""
                    self._take(name, record)
            except (BrokerError, KafkaError) as error:
                self._problem = str(error)
                log.warning("cameras cannot be read; trying again", topic=name, error=str(error))
            await asyncio.sleep(self._retry_s)

    def _take(self, name: Name, record: kafka.Record) -> None:
        try:
            self.roster.take(name, record.key, record.value)
        except MessageError as error:
            metrics.RECORDS_MALFORMED.labels(name).inc()
            log.warning(
                "malformed record skipped",
                topic=name,
                partition=record.partition,
                offset=record.offset,
                error=str(error),
            )


def _take(table: dict[str, _Record], camera: str, value: bytes | None, kind: type[_Record]) -> None:
    if not value:
        table.pop(camera, None)
    elif camera not in table and len(table) >= MOST_CAMERAS:
        raise MessageError(f"there are {MOST_CAMERAS} cameras already")
    else:
        table[camera] = decode(value, kind)


def without_user(address: str) -> str:
    """Return an address without user and password.

    Examples
    --------
    >>> without_user("rtsp://admin:secret@10.0.0.7/stream")
    'rtsp://10.0.0.7/stream'
    >>> without_user("webcam:0")
    'webcam:0'
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return address.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else address
