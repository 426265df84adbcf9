"""The socket that a page sends its own camera over.

The page sends binary messages, each a JPEG, and waits for a text after each: ``ack`` means that it was taken, ``drop``
that it was not. Close codes: 4404 no camera id, 4409 the id is taken, 4415 no picture, 4408 no picture for a while,
1013 as many pages as may, the same page has only just left, or Kafka is away.
"""

import asyncio
from contextlib import suppress
from typing import Annotated, NoReturn

from fastapi import APIRouter, Depends, Query, WebSocket, WebSocketDisconnect

from api.broadcasts import Broadcast, Broadcasts, CameraEndingError, CameraTakenError, TooManyBroadcastsError
from api.dependencies import Asking, Shared, known_origin
from maskwatch.errors import BrokerError, PictureError
from maskwatch.messages import is_camera_id

SILENCE_S = 60.0
NO_CAMERA, SILENT, TAKEN, NO_PICTURE, TRY_AGAIN_LATER = 4404, 4408, 4409, 4415, 1013

router = APIRouter()


@router.websocket("/broadcast/{camera}", dependencies=[Depends(known_origin)])
async def broadcast(
    socket: WebSocket,
    camera: str,
    shared: Shared,
    _: Asking,
    name: Annotated[str, Query(max_length=100)] = "",
) -> None:
    """Take one page's pictures until it leaves."""
    # The page may leave at any time, and before it can be told why it is to.
    with suppress(WebSocketDisconnect):
        await socket.accept()
        await socket.close(*await _why_it_ends(socket, shared.broadcasts, camera, name))


async def _why_it_ends(socket: WebSocket, broadcasts: Broadcasts, camera: str, name: str) -> tuple[int, str]:
    if not is_camera_id(camera):
        return NO_CAMERA, "only a-z, 0-9 and hyphens name a camera"
    try:
        async with broadcasts.begin(camera, name) as taking:
            await _take(socket, taking)
    except CameraTakenError as error:
        return TAKEN, str(error)
    except PictureError as error:
        return NO_PICTURE, str(error)
    except TimeoutError:
        return SILENT, f"no picture for {SILENCE_S:g} s"
    except (CameraEndingError, TooManyBroadcastsError) as error:
        return TRY_AGAIN_LATER, str(error)
    except BrokerError:
        return TRY_AGAIN_LATER, "Kafka is away"


async def _take(socket: WebSocket, taking: Broadcast) -> NoReturn:
    clock = asyncio.get_running_loop().time
    while True:
        async with asyncio.timeout(SILENCE_S):
            message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        # A page that pauses says so, to keep the connection.
        jpeg = message.get("bytes")
        taken = await taking.take(jpeg, clock()) if jpeg else False
        await socket.send_text("ack" if taken else "drop")
