"""What calls need: who asks, the cameras, the viewers' hub, and what the server itself depends on.

Also the API's side of Valkey: reading pictures and the notices of new ones.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Literal, cast
from urllib.parse import SplitResult, urlsplit

import msgspec
from fastapi import Depends
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from starlette.requests import HTTPConnection

from api import valkey
from api.bodies import Holding
from api.broadcasts import Broadcasts
from api.broker import Broker
from api.commanding import Commanding
from api.drift_feed import DriftFeed
from api.label_feed import LabelFeed
from api.labelling import Labelling
from api.model_feed import ModelFeed
from api.problems import FORBIDDEN_ORIGIN, UNAUTHORIZED, UNKNOWN_HOST, ProblemError
from api.roster import RosterFeed
from api.stream import DetectionStream
from api.system import ReadinessCheck, SystemMonitor
from api.uploads import Uploads
from api.viewers import Hub, Patience
from maskwatch import kafka
from maskwatch.errors import StoreError
from maskwatch.overlay import camera_of, last_key, live_key, unpack
from maskwatch.settings import Settings

COOKIE = "maskwatch_token"
CONNECTIONS = 8
"""To Valkey, at most, the one for notices included."""

NOTICE_TIMEOUT_S = 10.0
"""After so long without a notice Valkey is asked whether it is there."""

CHECK_TIMEOUT_S = 2.5
"""Less than any check may take (:data:`api.system.PATIENCE_S`): so the reason names Kafka, and where it was sought."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_QUIET = "maskwatch:quiet"


class Principal(msgspec.Struct, frozen=True):
    """Who asks."""

    id: str
    role: Literal["operator"]


OPERATOR = Principal("local", "operator")


class Services(msgspec.Struct, frozen=True):
    """What the calls share."""

    settings: Settings
    cameras: RosterFeed
    hub: Hub
    checks: Mapping[str, ReadinessCheck]
    broker: Broker
    uploads: Uploads
    holding: Holding
    stream: DetectionStream
    broadcasts: Broadcasts
    testing: asyncio.Lock
    """One camera is tried at a time."""
    unpacking: asyncio.Lock
    """One batch is unpacked at a time."""
    drift: DriftFeed
    system: SystemMonitor
    label_feed: LabelFeed
    labels: Labelling
    models: ModelFeed
    commanding: Commanding
    patience: Patience = Patience()


def services(connection: HTTPConnection) -> Services:
    """Return what the calls share."""
    shared: Services = connection.app.state.services
    return shared


def principal(connection: HTTPConnection, shared: Annotated[Services, Depends(services)]) -> Principal:
    """Return who asks.

    Raises
    ------
    ProblemError
        If a token is needed and not given, or if, without one, we were called by a name that is not ours.
    """
    api = shared.settings.api
    token = api.token.get_secret_value()
    if not token:
        _refuse_foreign_names(connection, api.host, api.origins)
        return OPERATOR
    scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
    given = bearer if scheme.lower() == "bearer" else connection.cookies.get(COOKIE, "")
    if not same_token(given, token):
        raise ProblemError(
            UNAUTHORIZED, "The token is missing or not the right one.", headers={"WWW-Authenticate": "Bearer"}
        )
    return OPERATOR


def same_token(given: str, expected: str) -> bool:
    """Compare tokens in a time that tells nothing about them."""
    return secrets.compare_digest(given.encode(), expected.encode())


def known_origin(connection: HTTPConnection, shared: Annotated[Services, Depends(services)]) -> None:
    """Refuse pages of other sites; programs send no origin and may connect.

    Raises
    ------
    ProblemError
        If the page's origin is neither ours nor in `api.origins`.
    """
    origin = connection.headers.get("origin")
    if origin is None or origin in shared.settings.api.origins:
        return
    where = _split(origin).netloc
    if not where or where != connection.headers.get("host"):
        raise ProblemError(FORBIDDEN_ORIGIN, "The page that asks is not from this server, nor in api.origins.")


Shared = Annotated[Services, Depends(services)]
Asking = Annotated[Principal, Depends(principal)]


def _refuse_foreign_names(connection: HTTPConnection, host: str, origins: tuple[str, ...]) -> None:
    # A page whose own name was pointed at 127.0.0.1 (DNS rebinding) is told apart from ours by nothing but the name.
    name = _split(f"//{connection.headers.get('host', '')}").hostname
    if name not in {*_LOOPBACK, host, *(_split(origin).hostname for origin in origins)}:
        raise ProblemError(UNKNOWN_HOST, "Without a token this server answers to loopback names only.")


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def readiness(
    settings: Settings, cameras: RosterFeed, pictures: "ValkeyPictures", uploads: Uploads
) -> dict[str, ReadinessCheck]:
    """Return what the server needs, by name, and how to see whether it is there."""

    async def kafka_is_there() -> str:
        await kafka.check(settings, CHECK_TIMEOUT_S)
        return ""

    async def valkey_is_there() -> str:
        await pictures.ping()
        return ""

    async def cameras_are_read() -> str:
        return cameras.missing

    async def uploads_are_taken() -> str:
        return uploads.missing

    return {
        "kafka": kafka_is_there,
        "valkey": valkey_is_there,
        "cameras": cameras_are_read,
        "uploads": uploads_are_taken,
    }


class ValkeyPictures:
    """Pictures in Valkey, as :class:`api.viewers.Pictures` wants them.

    Parameters
    ----------
    settings
        Name the store and its time-outs.
    """

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.valkey.timeout_s
        self._client = valkey.client(settings, CONNECTIONS)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def ping(self) -> None:
        """See whether Valkey is there.

        Raises
        ------
        StoreError
            If it does not answer in time.
        """
        with _store_errors():
            async with asyncio.timeout(self._timeout_s):
                await self._client.ping()

    async def get(self, key: str) -> bytes | None:
        """Return a record, None if there is none.

        Raises
        ------
        StoreError
            If Valkey does not answer in time.
        """
        with _store_errors():
            async with asyncio.timeout(self._timeout_s):
                return cast("bytes | None", await self._client.get(key))

    async def forget(self, camera: str, frame: str) -> None:
        """Remove what is kept of a camera if it is this very frame, as after an erasure.

        Raises
        ------
        StoreError
            If Valkey does not answer in time.
        """
        for key in (live_key(camera), last_key(camera)):
            record = await self.get(key)
            if record is None or unpack(record)[0].frame.id != frame:
                continue
            with _store_errors():
                async with asyncio.timeout(self._timeout_s):
                    await self._client.delete(key)

    @asynccontextmanager
    async def notices(self) -> AsyncIterator["ValkeyNotices"]:
        """Open a connection for notices.

        Raises
        ------
        StoreError
            If it cannot be opened.
        """
        async with self._client.pubsub(ignore_subscribe_messages=True) as channel:
            notices = ValkeyNotices(channel, self)
            await notices.open()
            yield notices


class ValkeyNotices:
    """One subscribed connection to Valkey."""

    def __init__(self, channel: PubSub, pictures: ValkeyPictures) -> None:
        self._channel = channel
        self._pictures = pictures

    async def open(self) -> None:
        """Connect. The client reads nothing before it is subscribed, so there is one channel that is always quiet."""
        with _store_errors():
            await self._channel.subscribe(_QUIET)

    async def add(self, camera: str) -> None:
        """Tell of this camera from now on."""
        with _store_errors():
            await self._channel.subscribe(live_key(camera))

    async def remove(self, camera: str) -> None:
        """Tell of this camera no more."""
        with _store_errors():
            await self._channel.unsubscribe(live_key(camera))

    async def next(self) -> str:
        """Wait for a notice and return its camera."""
        while True:
            with _store_errors():
                message = await self._channel.get_message(timeout=NOTICE_TIMEOUT_S)
            if message is not None and message["type"] == "message":
                return camera_of(message["channel"].decode())
            if message is None:
                await self._pictures.ping()


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except (RedisError, TimeoutError, OSError) as error:
        raise StoreError(f"Valkey does not answer: {error!r}") from error
