"""The live socket: one camera's pictures, each with what was seen on it.

First a text message ``{"event": "hello", "now": …}``. Then binary ones: four bytes of length, big-endian, JSON, JPEG;
the viewer answers each with the text ``ack`` and never has more than two unanswered. When nothing fresh is there, the
last known picture, and ``{"event": "stale", "last_seen": …, "reason": …}`` every few seconds.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect

from api.dependencies import Asking, Services, Shared, known_origin
from api.viewers import Hello, Patience, TooManyViewersError, Viewer
from maskwatch import metrics
from maskwatch.messages import is_camera_id, rfc3339

ACK = "ack"
CLOSE_TIMEOUT_S = 1.0

UNKNOWN_CAMERA = 4404
SILENT = 4408
TOO_LARGE = 1009
LONGEST_WORD = 1024
"""Bytes: a viewer says «ack» and nothing else."""

TRY_AGAIN_LATER = 1013

router = APIRouter()


class Outcome(StrEnum):
    """Why a viewer is served no more."""

    LEFT = "left"
    SILENT = "silent"
    STUCK = "stuck"
    LOUD = "loud"


@router.websocket("/live/{camera}", dependencies=[Depends(known_origin)])
async def live(socket: WebSocket, camera: str, shared: Shared, _: Asking) -> None:
    """Show one camera to one viewer until it leaves, or answers no more."""
    # Accepted even when it ends at once: a browser tells a page the close code, but not why a handshake failed.
    # A viewer may leave before it can be told why it is to.
    with suppress(WebSocketDisconnect):
        await socket.accept()
        if not _is_known(camera, shared):
            await socket.close(UNKNOWN_CAMERA, "There is no camera of this id.")
            return
        try:
            async with shared.hub.viewing(camera) as viewer:
                await serve(socket, viewer, shared.patience)
        except TooManyViewersError as error:
            await socket.close(TRY_AGAIN_LATER, str(error))


def _is_known(camera: str, shared: Services) -> bool:
    # Until the list was read, every name that could be a camera's gets the benefit of the doubt.
    return camera in shared.cameras.roster or (bool(shared.cameras.missing) and is_camera_id(camera))


async def serve(socket: WebSocket, viewer: Viewer, patience: Patience) -> Outcome:
    """Send a viewer what it is offered, until it leaves or is given up.

    Parameters
    ----------
    socket
        Accepted.
    viewer
        Registered with the hub.
    patience
        How long it may be silent or stuck.

    Returns
    -------
    Outcome
        Why it ended.
    """
    tasks = [
        asyncio.create_task(_read(socket, viewer)),
        asyncio.create_task(_write(socket, viewer, patience.send_s)),
        asyncio.create_task(_watch(viewer, patience.ack_s)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    outcome = done.pop().result()
    why = {
        Outcome.SILENT: (SILENT, f"no acknowledgement for {patience.ack_s:g} s"),
        Outcome.LOUD: (TOO_LARGE, f"a message of more than {LONGEST_WORD} bytes"),
    }.get(outcome)
    if why is not None:
        with suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await socket.close(*why)
    return outcome


async def _read(socket: WebSocket, viewer: Viewer) -> Outcome:
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        said = message.get("text") or message.get("bytes") or ""
        if len(said) > LONGEST_WORD:
            return Outcome.LOUD
        if said == ACK:
            viewer.acknowledge()
    return Outcome.LEFT


async def _write(socket: WebSocket, viewer: Viewer, timeout_s: float) -> Outcome:
    try:
        await _send(socket, msgspec.json.encode(Hello(rfc3339(datetime.now(UTC)))).decode(), timeout_s)
        while True:
            await _send(socket, await viewer.next(), timeout_s)
    except WebSocketDisconnect:
        return Outcome.LEFT
    except TimeoutError:
        return Outcome.STUCK


async def _send(socket: WebSocket, message: bytes | str, timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        if isinstance(message, str):
            await socket.send_text(message)
        else:
            await socket.send_bytes(message)
            metrics.FRAMES_SENT.inc()


async def _watch(viewer: Viewer, limit_s: float) -> Outcome:
    await viewer.silence(limit_s)
    return Outcome.SILENT
