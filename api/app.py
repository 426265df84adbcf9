"""The front door: REST, the live socket, the console and the documentation, in one process.

:func:`create_app` puts the calls together; :func:`serve` runs them on a socket, beside what keeps the cameras and the
viewers' hub up to date. If any of these crashes, all of it ends, so that whoever started the process sees it.
"""

import asyncio
import socket
from collections.abc import Collection, Iterator, MutableMapping
from contextlib import aclosing, contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from api import problems
from api.bodies import Holding
from api.broadcasts import Broadcasts
from api.broker import Broker
from api.commanding import Commanding
from api.dependencies import Services, ValkeyPictures, readiness
from api.drift_feed import DriftFeed
from api.label_feed import LabelFeed
from api.labelling import Labelling
from api.leases import ValkeyLeases
from api.ledger import Ledger
from api.model_feed import ModelFeed
from api.roster import FEEDS, RosterFeed
from api.routers import (
    broadcast,
    cameras,
    detections,
    episodes,
    health,
    labels,
    live,
    models,
    pages,
    predict,
    runs,
    session,
    signals,
    system,
    topics,
)
from api.schemas import Problem
from api.stream import DetectionStream
from api.system import SystemMonitor
from api.upload_index import ValkeyIndex
from api.uploads import Uploads
from api.viewers import Hub
from maskwatch import __version__, worker
from maskwatch.errors import SettingsError, StackError, did_you_mean
from maskwatch.label_checks import frozen_test
from maskwatch.messages import LARGEST_JPEG
from maskwatch.settings import ApiSettings, Settings
from maskwatch.store import Store
from maskwatch.worker import Stage

ROUTERS: dict[str, ModuleType] = {
    part.__name__.rpartition(".")[2]: part
    for part in (
        health,
        system,
        cameras,
        detections,
        signals,
        episodes,
        labels,
        models,
        runs,
        predict,
        session,
        live,
        broadcast,
        topics,
    )
}
"""Groups of calls by the name of their module, in the order in which they are described."""

STOP_TIMEOUT_S = 5
KEEP_ALIVE_S = 75
"""Longer than proxies and clients keep idle connections (60 s): who closes first must not be who answers."""

LARGEST_MESSAGE = LARGEST_JPEG + 1024
"""Bytes of one message over a socket: a page that sends its own camera sends pictures."""

DEAD_PEER_MS = 20_000
_POLICY = {
    "default-src": "'self'",
    "img-src": "'self' blob: data:",
    "connect-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
_HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

_ABOUT = """\
Cameras, their live pictures, and how the server is.

The live pictures come over a WebSocket, `/live/{camera}`: first a text message
`{"event": "hello", "now": …}`, then binary ones: four bytes of length (big-endian), JSON, JPEG. Answer each with the
text `ack`; at most two are sent without an answer. While nothing fresh is there: the last known picture once, and
`{"event": "stale", "last_seen": …, "reason": …}` every few seconds. Close codes: 4404 no such camera, 4408 no answer,
1013 as many viewers as there may be.

Errors are explained [below](#problems).
"""


class _Headers:
    """Adds the headers that every answer has, unless the call has set its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _Api(FastAPI):
    """An app whose description knows that errors are problems and that a token may be needed."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description."""
        described = super().openapi()
        parts = described["components"]
        parts["schemas"] |= {"Problem": Problem.model_json_schema()}
        for generated in ("HTTPValidationError", "ValidationError"):
            parts["schemas"].pop(generated, None)
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "description": "api.token"}}
        described["security"] = [{}, {"token": []}]
        invalid = problems.documented((problems.INVALID, "1 value(s) do not fit.", "/session"))[422]
        malformed = problems.documented((problems.OTHER, "Bad request syntax or unsupported method", "/cameras"))[400]
        for calls in described["paths"].values():
            for call in calls.values():
                # What is no JSON at all is told before anything is looked at.
                if "application/json" in call.get("requestBody", {}).get("content", {}):
                    call["responses"].setdefault("400", malformed)
                generated = call["responses"].get("422")
                # Some calls say themselves what may not fit.
                if generated is not None and problems.MEDIA_TYPE not in generated["content"]:
                    call["responses"]["422"] = invalid
        return described


def create_app(services: Services, routers: Collection[str] = ()) -> FastAPI:
    """Put the calls together.

    Parameters
    ----------
    services
        What the calls share; already running, or about to.
    routers
        Which of :data:`ROUTERS` answer, `health` besides; without any all of them, and the pages.
    """
    app = _Api(title="Maskwatch", version=__version__, description=_ABOUT, docs_url=None, redoc_url=None)
    app.state.services = services
    app.add_middleware(pages.ForBrowsers)
    app.add_middleware(_Headers)
    problems.install(app)
    for name, part in ROUTERS.items():
        if not routers or name in {"health", *routers}:
            app.include_router(part.router)
    if not routers:
        pages.install(app)
    return app


def stage(routers: Collection[str]) -> Stage:
    """Return the stage that serves some of the calls; without any named, all of them.

    Raises
    ------
    SettingsError
        If there is no such group of calls; the message offers the nearest.
    """
    for name in routers:
        if name not in ROUTERS:
            hint = did_you_mean(name, ROUTERS, otherwise=f"there are {', '.join(ROUTERS)}")
            raise SettingsError(f"--routers: there are no calls named {name}; {hint}")
    return partial(serve, routers=routers)


async def serve(settings: Settings, stop: asyncio.Event, routers: Collection[str] = ()) -> None:
    """Serve until told to stop, then let open calls end and close the viewers' sockets.

    Parameters
    ----------
    settings
        The whole tree.
    stop
        Ends it.
    routers
        See :func:`create_app`.

    Raises
    ------
    StackError
        If the address cannot be listened on.
    """
    feed = RosterFeed(settings)
    drift = DriftFeed(settings)
    label_feed = LabelFeed(settings)
    model_feed = ModelFeed(settings)
    store = Store(settings)
    frozen = frozen_test(settings.labels.frozen)
    async with (
        aclosing(ValkeyPictures(settings)) as pictures,
        aclosing(ValkeyIndex(settings)) as index,
        aclosing(ValkeyLeases(settings)) as leases,
    ):
        ledger = Ledger(settings, index)
        broker = Broker(settings)
        uploads = Uploads(settings, broker, index, ledger)
        stream = DetectionStream(settings)
        with listening(settings.api) as listener:
            async with asyncio.TaskGroup() as tasks:
                hub = Hub(
                    pictures,
                    tasks,
                    most=settings.api.max_viewers,
                    fresh_s=settings.live.fresh_s,
                    why=feed.why_no_picture,
                    erased=label_feed.table.is_erased,
                )
                checks = readiness(settings, feed, pictures, uploads)
                system_monitor = SystemMonitor(settings, feed, pictures, checks)
                services = Services(
                    settings,
                    feed,
                    hub,
                    checks,
                    broker,
                    uploads,
                    Holding(settings.api.max_pending_bytes),
                    stream,
                    Broadcasts(settings, broker, feed.roster),
                    asyncio.Lock(),
                    asyncio.Lock(),
                    drift,
                    system_monitor,
                    label_feed,
                    Labelling(settings, broker, label_feed.table, store, leases, frozen, pictures.forget),
                    model_feed,
                    Commanding(settings, broker, model_feed),
                )
                work = (
                    hub.run(),
                    feed.watch(),
                    ledger.run(),
                    broker.run(),
                    stream.run(),
                    system_monitor.run(),
                    feed.follow(*FEEDS),
                    drift.run(),
                    label_feed.run(),
                    model_feed.run(),
                )
                background = [tasks.create_task(one) for one in work]
                await run_server(create_app(services, routers), listener, stop, settings.api)
                await end(background)


async def end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended."""
    # More than once: Python 3.11's wait_for, which the clients use, can lose a cancellation.
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=1)


class _Server(uvicorn.Server):
    """Leaves signals to the stage runner, and tells it when the door is open."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        worker.notify_ready("answering")


async def run_server(
    app: FastAPI, listener: socket.socket, stop: asyncio.Event, api: ApiSettings | None = None
) -> None:
    """Run an app on a socket that listens, until told to stop.

    Parameters
    ----------
    app
        What answers.
    listener
        Where; it is closed at the end.
    stop
        Ends it: open calls have a few seconds more.
    api
        Name the certificate; plain HTTP without.
    """
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=LARGEST_MESSAGE,
            ws_per_message_deflate=False,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
            ssl_certfile=api.cert_file if api else None,
            ssl_keyfile=api.key_file if api else None,
        )
    )
    serving = asyncio.create_task(server.serve([listener]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving


def listening(api: ApiSettings, dead_peer_ms: int = DEAD_PEER_MS) -> socket.socket:
    """Open the socket that the settings name.

    Parameters
    ----------
    api
        Address and port.
    dead_peer_ms
        The system gives a connection up after so many milliseconds without its peer taking anything (Linux).

    Raises
    ------
    StackError
        If that cannot be done; the message names a way out.
    """
    try:
        listener = socket.create_server(
            (api.host, api.port), family=socket.AF_INET6 if ":" in api.host else socket.AF_INET
        )
    except OSError as error:
        raise StackError(
            f"{api.host}:{api.port} cannot be listened on ({error.strerror}): stop what has it, or take another, "
            f"MASKWATCH_API__PORT={api.port + 1}"
        ) from error
    # A viewer that vanished, or takes nothing any more, would keep its connection and what was written to it.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, dead_peer_ms)
    return listener
