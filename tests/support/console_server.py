"""A stand-in for the API that can bring the console into every state.

It speaks the contract of `api/app.py` (`GET /cameras`, `/health`, `/ready`, `POST /session`, `WS /live/{camera}`, and
what :mod:`tests.support.console_drift`, `console_labels`, `console_models` and `console_system` add), serves the real
console, and does with each camera what its script says. Tests change the scripts while it runs. Pictures are drawn,
faces in flat colours, so that a test can tell from one pixel whether a box belongs to its frame.
"""

import asyncio
import json
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

import cv2
import numpy as np
import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.base import RequestResponseEndpoint

from api.routers.pages import ForBrowsers
from tests.support.console_drift import DriftStandIn
from tests.support.console_labels import LabelStandIn
from tests.support.console_models import ModelStandIn
from tests.support.console_system import SystemStandIn

CONSOLE = Path(__file__).parents[2] / "api" / "console"
LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
SKIN = (224, 172, 140)
"""The colour of every drawn face, as red, green and blue."""
SHA256 = "9f2c" * 16
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
MAY_BE_UNACKNOWLEDGED = 2
TOO_LATE = 5.0
"""Seconds to start or stop."""

Behaviour = Literal["live", "stale", "silent", "busy", "gone", "garbage"]


@dataclass(frozen=True)
class Picture:
    """One picture of a camera and what a model saw on it."""

    jpeg: bytes
    width: int
    height: int
    objects: list[dict[str, Any]]


@dataclass
class Script:
    """One camera and what it does. Everything may be changed while the server runs.

    `live` sends frames, `stale` sends the last one and says so, `silent` sends nothing, `busy` closes with 1013, `gone`
    closes with 4404, `garbage` sends broken messages between good ones.
    """

    id: str
    pictures: Sequence[Picture]
    name: str = ""
    source: str = "scene"
    state: Literal["online", "offline", "unknown"] = "online"
    since: datetime | None = None
    reason: str = ""
    managed: bool = False
    paused: bool = False
    rate: float = 10.0
    behaviour: Behaviour = "live"
    age: float = 0.06
    """Seconds from a frame's publication to its sending."""
    dropped: int = 0
    version: str = "v1"
    sent: int = 0
    connections: int = 0
    """Viewers at this moment."""
    most_unacknowledged: int = 0
    sequence: int = 0


@dataclass
class ConsoleServer:
    """Serves the console on a free port of the loopback while its context is open."""

    scripts: list[Script] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=lambda: [{"name": "kafka", "ok": True, "reason": ""}])
    cameras_status: int = 200
    """Any other status makes `GET /cameras` fail."""
    cameras_hang: bool = False
    """Keep `GET /cameras` without an answer."""
    token: str = ""
    """What a browser must give to `POST /session` before it is answered; empty asks for nothing."""
    clock_ahead: float = 0.0
    """Seconds by which this server's clock is wrong."""
    drift: DriftStandIn = field(default_factory=DriftStandIn)
    system: SystemStandIn = field(default_factory=SystemStandIn)
    labels: LabelStandIn = field(default_factory=LabelStandIn)
    models: ModelStandIn = field(default_factory=ModelStandIn)
    port: int = 0
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return the address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def script(self, camera: str) -> Script:
        """Return a camera's script."""
        return next(script for script in self.scripts if script.id == camera)

    def now(self) -> datetime:
        """Return the time by the server's clock."""
        return datetime.now(UTC) + timedelta(seconds=self.clock_ahead)

    def start(self) -> None:
        """Listen; after a stop, on the same port again."""
        config = uvicorn.Config(
            self._app(),
            host="127.0.0.1",
            port=self.port,
            lifespan="off",
            log_config=None,
            ws="websockets-sansio",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + TOO_LATE
        while not self._server.started:
            if time.monotonic() > deadline:
                raise TimeoutError("the console's stand-in server did not start")
            time.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close every connection and stop listening."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(TOO_LATE)

    def _app(self) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self._add_calls(app)
        self.drift.add_calls(app, lambda: self.token)
        self.system.add_calls(app, lambda: self.token)
        self.labels.add_calls(app, lambda: self.token)
        self.models.add_calls(app, lambda: self.token)
        app.add_middleware(ForBrowsers)
        app.middleware("http")(_with_headers)

        @app.websocket("/live/{camera}")
        async def live(socket: WebSocket, camera: str) -> None:
            await socket.accept()
            known = [script for script in self.scripts if script.id == camera]
            if not known or known[0].behaviour == "gone":
                await socket.close(4404)
            elif known[0].behaviour == "busy":
                await socket.close(1013, "Too many viewers.")
            else:
                await _Viewer(self, socket, known[0]).serve()

        for path in ("/", "/live", "/live/{camera}", "/review", "/drift", "/drift/{episode}", "/system"):
            app.get(path)(_index)
        app.mount("/console", _Assets(directory=CONSOLE))
        app.get("/{path:path}")(_no_such_page)
        return app

    def _add_calls(self, app: FastAPI) -> None:
        @app.get("/cameras")
        async def cameras(request: Request) -> Response:
            while self.cameras_hang:  # noqa: ASYNC110  # set from the test's thread
                await asyncio.sleep(0.05)
            if request.cookies.get("token", "") != self.token:
                return _problem(401, "The token is missing or not the right one.")
            if self.cameras_status != 200:
                return _problem(self.cameras_status, "Kafka does not answer.")
            return JSONResponse({"cameras": [_camera(script) for script in self.scripts]})

        @app.get("/health")
        async def health() -> dict[str, str]:
            return {"status": "ok", "version": "0.1.0", "source": "https://example.org/maskwatch"}

        @app.get("/ready")
        async def ready() -> Response:
            fine = all(check["ok"] for check in self.checks)
            return JSONResponse({"checks": self.checks}, 200 if fine else 503)

        @app.post("/session")
        async def session(request: Request) -> Response:
            if (await request.json())["token"] != self.token:
                return _problem(401, "That is not the token.")
            answer = Response(status_code=204)
            answer.set_cookie("token", self.token, httponly=True, samesite="strict")
            return answer


def _problem(status: int, detail: str) -> JSONResponse:
    problem = {"type": "/docs#not-ready", "title": "A problem", "status": status, "detail": detail}
    return JSONResponse(problem, status, media_type="application/problem+json")


async def _with_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _index() -> FileResponse:
    return FileResponse(CONSOLE / "index.html", headers=HEADERS)


async def _no_such_page() -> FileResponse:
    return FileResponse(CONSOLE / "index.html", 404, headers=HEADERS)


class _Assets(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401  # as Starlette has it
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response


class _Viewer:
    """One socket: sends while fewer than two messages are unacknowledged, newest wins."""

    def __init__(self, server: ConsoleServer, socket: WebSocket, script: Script) -> None:
        self.server = server
        self.socket = socket
        self.script = script
        self.unacknowledged = 0
        self.shown_last = False
        self.gone = asyncio.Event()

    async def serve(self) -> None:
        await self.socket.send_text(json.dumps({"event": "hello", "now": self.server.now().isoformat()}))
        self.script.connections += 1
        reader = asyncio.create_task(self._read())
        try:
            while not self.gone.is_set() and not getattr(self.server._server, "should_exit", False):
                await self._step()
                await asyncio.sleep(1 / self.script.rate)
        finally:
            self.script.connections -= 1
            reader.cancel()

    async def _read(self) -> None:
        async for text in self.socket.iter_text():
            if text == "ack":
                self.unacknowledged -= 1
        self.gone.set()

    async def _step(self) -> None:
        script = self.script
        script.sequence += 1
        if script.behaviour == "silent":
            return
        if script.behaviour == "stale":
            seen = self.server.now() - timedelta(seconds=script.age)
            if not self.shown_last:
                self.shown_last = True
                await self._send(message(script, self.server.now()))
            note = {"event": "stale", "last_seen": seen.isoformat(), "reason": "no detector has answered"}
            await self.socket.send_text(json.dumps(note))
            return
        if self.unacknowledged >= MAY_BE_UNACKNOWLEDGED:
            script.dropped += 1
            return
        if script.behaviour == "garbage":
            whole = message(script, self.server.now())
            for broken in (b"", b"\x7f\xff\xff\xff{}", b"\x00\x00\x00\x02{]", whole[:-500], whole[:40]):
                self.unacknowledged += 1
                await self.socket.send_bytes(broken)
            await self.socket.send_text("not JSON")
        await self._send(message(script, self.server.now()))

    async def _send(self, data: bytes) -> None:
        self.unacknowledged += 1
        self.script.most_unacknowledged = max(self.script.most_unacknowledged, self.unacknowledged)
        self.script.sent += 1
        await self.socket.send_bytes(data)


def _camera(script: Script) -> dict[str, Any]:
    return {
        "id": script.id,
        "name": script.name,
        "source": script.source,
        "rate": script.rate,
        "state": script.state,
        "since": None if script.since is None else script.since.isoformat(),
        "reason": script.reason,
        "managed": script.managed,
        "paused": script.paused,
        "recorded": 1.0,
    }


def message(script: Script, now: datetime) -> bytes:
    """Pack a camera's present frame as the live socket sends it: length, JSON, JPEG."""
    picture = script.pictures[script.sequence % len(script.pictures)]
    published = now - timedelta(seconds=script.age)
    frame = {
        "id": f"{script.id}:s1:{script.sequence}",
        "camera": script.id,
        "session": "s1",
        "sequence": script.sequence,
        "captured": (published - timedelta(seconds=0.02)).isoformat(),
        "width": picture.width,
        "height": picture.height,
        "topic": "frames.live.v1",
        "partition": 3,
        "offset": script.sequence,
    }
    live = {
        "frame": frame,
        "model": {"name": "maskwatch-yolov8n", "version": script.version, "sha256": SHA256},
        "detected": now.isoformat(),
        "objects": picture.objects,
        "published": published.isoformat(),
        "rate": script.rate * 0.97,
        "dropped": script.dropped,
    }
    head = json.dumps(live).encode()
    return struct.pack(">I", len(head)) + head + picture.jpeg


def draw_pictures(
    count: int = 12, *, size: tuple[int, int] = (640, 360), labels: Sequence[str] = LABELS, seed: int = 1
) -> list[Picture]:
    """Draw faces that jump by more than their own width from one picture to the next.

    Parameters
    ----------
    count
        Pictures; they are shown in a loop.
    size
        Width and height in pixels.
    labels
        The state of each face, one face per label.
    seed
        Where the faces stand follows from it.
    """
    random = np.random.default_rng(seed)
    width, height = size
    radius = height // 9
    pictures = []
    for step in range(count):
        image = np.full((height, width, 3), (96, 70, 48), np.uint8)
        cv2.rectangle(image, (0, height * 2 // 3), (width, height), (70, 52, 38), -1)
        objects = []
        for index, label in enumerate(labels):
            lane = width // len(labels)
            x = lane * index + int(random.integers(radius, max(radius + 1, lane - radius)))
            # High and low in turn: no pixel of a face is one in the next picture.
            y = height * (2 if (step + index) % 2 else 4) // 6
            axes = (radius * 3 // 4, radius)
            cv2.ellipse(image, (x, y), axes, 0, 0, 360, SKIN[::-1], -1, cv2.LINE_AA)
            if label != "without_mask":
                top = y + radius // 3 if label == "mask_weared_incorrect" else y + radius // 5
                cv2.rectangle(
                    image, (x - axes[0] // 2, top), (x + axes[0] // 2, y + radius * 4 // 5), (220, 190, 150), -1
                )
            box = [(x - axes[0]) / width, (y - radius) / height, (x + axes[0]) / width, (y + radius) / height]
            objects.append({"label": label, "score": round(0.95 - 0.07 * index, 3), "box": box})
        _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
        pictures.append(Picture(jpeg.tobytes(), width, height, objects))
    return pictures
