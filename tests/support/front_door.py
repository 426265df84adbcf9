"""The API on a socket of its own, for tests: the real server, with whatever store of pictures a test gives it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect

from api.app import DEAD_PEER_MS, create_app, end, listening, run_server
from api.bodies import Holding
from api.broadcasts import Broadcasts
from api.broker import Broker
from api.commanding import Commanding
from api.dependencies import Services
from api.drift_feed import DriftFeed
from api.label_feed import LabelFeed
from api.labelling import Labelling
from api.leases import ValkeyLeases
from api.ledger import Ledger
from api.model_feed import ModelFeed
from api.roster import FEEDS, RosterFeed
from api.stream import DetectionStream
from api.system import ReadinessCheck, SystemMonitor
from api.upload_index import ValkeyIndex
from api.uploads import Uploads
from api.viewers import Hub, Patience, Pictures
from maskwatch.embedded.broker import free_port
from maskwatch.label_checks import frozen_test
from maskwatch.messages import Camera, CameraStatus, LiveFrame
from maskwatch.overlay import unpack
from maskwatch.settings import Settings
from maskwatch.store import Store
from maskwatch.topics import Name
from tests.support import stack
from tests.support.overlay import START, DictPictures

TOO_LONG = 20
"""Seconds that nothing here may take."""


class FrontDoor:
    """A running API."""

    def __init__(self, services: Services, port: int, stop: asyncio.Event) -> None:
        self.services = services
        self.stop = stop
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_camera(self, camera: str, state: Literal["online", "offline"] | None = None, reason: str = "") -> None:
        roster = self.services.cameras.roster
        roster.take(Name.CAMERAS, camera.encode(), msgspec.json.encode(Camera(camera, "scene")))
        if state is not None:
            roster.take(
                Name.CAMERA_STATUS, camera.encode(), msgspec.json.encode(CameraStatus(camera, state, START, reason))
            )

    def client(self, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=TOO_LONG, headers=headers)

    def watch(self, camera: str = "door", headers: Mapping[str, str] | None = None) -> connect:
        address = f"ws://127.0.0.1:{self.port}/live/{camera}"
        return connect(address, compression=None, max_size=None, additional_headers=headers, proxy=None)


async def hear(viewer: ClientConnection) -> dict[str, Any] | tuple[LiveFrame, bytes]:
    """Return the next message: an event, or a picture, which is acknowledged."""
    async with asyncio.timeout(TOO_LONG):
        message = await viewer.recv()
    if isinstance(message, str):
        event: dict[str, Any] = json.loads(message)
        return event
    await viewer.send("ack")
    return unpack(message)


async def see(viewer: ClientConnection) -> LiveFrame:
    """Return what is known of the next picture, which is acknowledged; events before it are passed over."""
    while not isinstance(heard := await hear(viewer), tuple):
        pass
    return heard[0]


@asynccontextmanager
async def front_door(  # noqa: PLR0913  # whatever a test wants otherwise
    home: Path,
    pictures: Pictures | None = None,
    *,
    fresh_s: float = 60,
    patience: Patience | None = None,
    checks: Mapping[str, ReadinessCheck] | None = None,
    api: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    dead_peer_ms: int = DEAD_PEER_MS,
    kafka: bool = False,
) -> AsyncIterator[FrontDoor]:
    """Run the API; a camera «door» is known. With `kafka`, that of the settings is used."""
    settings = settings or stack.settings_for(home, "127.0.0.1:1", {"api": api or {}})
    address = settings.api.model_copy(update={"port": free_port(stack.PORTS)})
    pictures = pictures or DictPictures()
    stop = asyncio.Event()
    feed = RosterFeed(settings)
    drift = DriftFeed(settings)
    label_feed = LabelFeed(settings)
    model_feed = ModelFeed(settings)
    with listening(address, dead_peer_ms) as listener:
        async with (
            aclosing(ValkeyIndex(settings)) as index,
            aclosing(ValkeyLeases(settings)) as leases,
            asyncio.TaskGroup() as tasks,
        ):
            ledger = Ledger(settings, index)
            broker = Broker(settings)
            taking = Uploads(settings, broker, index, ledger)
            hub = Hub(
                pictures,
                tasks,
                most=settings.api.max_viewers,
                fresh_s=fresh_s,
                why=feed.why_no_picture,
                erased=label_feed.table.is_erased,
            )
            shared = Services(
                settings,
                feed,
                hub,
                checks or {},
                broker,
                taking,
                Holding(settings.api.max_pending_bytes),
                DetectionStream(settings),
                Broadcasts(settings, broker, feed.roster),
                asyncio.Lock(),
                asyncio.Lock(),
                drift,
                SystemMonitor(settings, feed, pictures, checks or {}),
                label_feed,
                Labelling(
                    settings,
                    broker,
                    label_feed.table,
                    Store(settings),
                    leases,
                    frozen_test(settings.labels.frozen),
                    pictures.forget,
                ),
                model_feed,
                Commanding(settings, broker, model_feed),
                patience or Patience(),
            )
            door = FrontDoor(shared, address.port, stop)
            door.add_camera("door", "online")
            background = [tasks.create_task(hub.run())]
            if kafka:
                following = (
                    ledger.run(),
                    broker.run(),
                    shared.stream.run(),
                    *map(feed.follow, FEEDS),
                    drift.run(),
                    label_feed.run(),
                    model_feed.run(),
                )
                background += [tasks.create_task(work) for work in following]
            serving = tasks.create_task(run_server(create_app(door.services), listener, stop))
            try:
                yield door
            finally:
                stop.set()
                async with asyncio.timeout(TOO_LONG):
                    await serving
                await end(background)
