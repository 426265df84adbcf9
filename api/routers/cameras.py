"""Which cameras there are, whether they give frames, and how to add, change, pause, test and remove them."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Depends, Response

from api.dependencies import Asking, Services, Shared, known_origin
from api.problems import (
    AWAY,
    CAMERA_EXISTS,
    CAMERA_SILENT,
    CAMERA_TAKEN,
    INVALID_CAMERA,
    UNAUTHORIZED,
    UNKNOWN_CAMERA,
    ProblemError,
    documented,
)
from api.roster import Roster
from api.schemas import Cameras, CameraState, CameraTest, ChangedCamera, NewCamera
from maskwatch.errors import BrokerError, SettingsError, SourceError
from maskwatch.messages import Camera, SceneKnobs
from producers import wishing
from producers.addresses import is_address
from producers.jpeg import to_jpeg
from producers.logins import Logins
from producers.opening import open_source
from producers.publishing import StatePublisher
from producers.wishes import Wish

router = APIRouter(prefix="/cameras", tags=["cameras"])

RETRY_AFTER_S = 5
_DOOR = {
    "id": "door-2",
    "name": "Back door",
    "source": "webcam:0",
    "rate": 10.0,
    "recorded": 1.0,
    "paused": False,
    "managed": True,
    "state": "online",
    "since": "2026-11-01T12:00:00Z",
    "reason": "",
}
_WISHED = {**_DOOR, "source": "rtsp://10.0.0.7/stream1", "state": "unknown", "since": None}
_NO_TOKEN = (UNAUTHORIZED, "The token is missing or not the right one.", "/cameras")
_UNKNOWN = (UNKNOWN_CAMERA, "There is no camera of this id.", "/cameras/dor-2")
_TAKEN = (CAMERA_TAKEN, "It belongs to a «maskwatch camera» or a replay.", "/cameras/door-2")
_INVALID = (INVALID_CAMERA, "ftp:// is not read.", "/cameras")
_AWAY = (AWAY, "Kafka is away; nothing is lost.", "/cameras")


@router.get(
    "",
    operation_id="list_cameras",
    summary="Every camera",
    responses={
        200: {"content": {"application/json": {"example": {"cameras": [_DOOR]}}}},
        **documented(_NO_TOKEN),
    },
)
async def list_cameras(shared: Shared, _: Asking) -> Cameras:
    """List every camera by id. While the list is still being read, `/ready` says so."""
    return Cameras(cameras=shared.cameras.roster.cameras())


@router.get(
    "/{camera}",
    operation_id="get_camera",
    summary="One camera",
    responses={200: {"content": {"application/json": {"example": _DOOR}}}, **documented(_NO_TOKEN, _UNKNOWN)},
)
async def get_camera(camera: str, shared: Shared, _: Asking) -> CameraState:
    """Return one camera."""
    try:
        return shared.cameras.roster.camera(camera)
    except KeyError:
        raise ProblemError(UNKNOWN_CAMERA, "There is no camera of this id.") from None


@router.post(
    "",
    operation_id="add_camera",
    summary="Add a camera",
    status_code=201,
    dependencies=[Depends(known_origin)],
    responses={
        201: {"content": {"application/json": {"example": _WISHED}}},
        **documented(_NO_TOKEN, _INVALID, (CAMERA_EXISTS, "There is a camera of this id already.", "/cameras"), _AWAY),
    },
)
async def add_camera(camera: NewCamera, response: Response, shared: Shared, _: Asking) -> CameraState:
    """Wish for a network camera. User and password in the address are sealed; nobody is ever told them again."""
    wishes = shared.cameras.roster.wishes()
    fields = camera.model_dump(exclude_none=True)
    _refuse_local(fields["source"])
    new = await _made(lambda: wishing.new(shared.settings, fields.pop("source"), _renamed(fields), {}))
    if new.id in wishes:
        raise ProblemError(CAMERA_EXISTS, "There is a camera of this id already.")
    await _publish(shared, new)
    response.headers["Location"] = f"/cameras/{new.id}"
    return shared.cameras.roster.described(Wish(new))


@router.patch(
    "/{camera}",
    operation_id="change_camera",
    summary="Change, pause or resume a camera",
    dependencies=[Depends(known_origin)],
    responses={
        200: {"content": {"application/json": {"example": _DOOR}}},
        **documented(_NO_TOKEN, _UNKNOWN, _TAKEN, _INVALID, _AWAY),
    },
)
async def change_camera(camera: str, changes: ChangedCamera, shared: Shared, _: Asking) -> CameraState:
    """Change what is named; `{"paused": true}` lets it rest. Without any change an offline camera is tried at once."""
    wishes = shared.cameras.roster.wishes()
    _changeable(camera, wishes)
    fields = changes.model_dump(exclude_none=True)
    if "source" in fields:
        _refuse_local(fields["source"])
    after = await _made(lambda: wishing.changed(shared.settings, camera, _renamed(fields), wishes))
    await _publish(shared, after)
    return shared.cameras.roster.described(Wish(after))


@router.delete(
    "/{camera}",
    operation_id="remove_camera",
    summary="Remove a camera",
    status_code=204,
    dependencies=[Depends(known_origin)],
    responses=documented(_NO_TOKEN, _UNKNOWN, _TAKEN, _AWAY),
)
async def remove_camera(camera: str, shared: Shared, _: Asking) -> None:
    """Take the wish for a camera back, also for one whose process has ended; what was recorded stays for its time."""
    _removable(camera, shared.cameras.roster)
    await _publish(shared, camera)


@router.post(
    "/test",
    operation_id="try_camera",
    summary="Take one picture of an address",
    dependencies=[Depends(known_origin)],
    response_class=Response,
    responses={
        200: {"description": "a still", "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **documented(
            _NO_TOKEN, _INVALID, (CAMERA_SILENT, "rtsp://10.0.0.7/stream1: nothing listens there.", "/cameras/test")
        ),
    },
)
async def try_camera(camera: CameraTest, shared: Shared, _: Asking) -> Response:
    """Open a network camera from this server and take one picture; nothing is kept."""
    _refuse_local(camera.source)
    wish = await _made(lambda: wishing.new(shared.settings, camera.source, {"id": "test"}, {}))
    async with shared.testing:
        still = await asyncio.to_thread(_still, shared, wish)
    return Response(still, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _still(shared: Services, wish: Camera) -> bytes:
    try:
        source = open_source(wish, SceneKnobs, threading.Event().wait, Logins(shared.settings).open)
        try:
            shot = source.read()
        finally:
            source.close()
    except SourceError as error:
        raise ProblemError(CAMERA_SILENT, f"{error}.") from error
    jpeg = None if shot is None else to_jpeg(shot.image, wish)
    if jpeg is None:
        raise ProblemError(CAMERA_SILENT, "It gave no picture.")
    return jpeg.data


def _refuse_local(source: str) -> None:
    # Webcams, clips and folders are the capturing machine's: whoever may log in there names them there.
    if not is_address(source):
        raise ProblemError(INVALID_CAMERA, "Over HTTP only addresses can be named, such as rtsp://10.0.0.7/stream1.")


async def _made(make: Callable[[], Camera]) -> Camera:
    try:
        return await asyncio.to_thread(make)
    except SettingsError as error:
        raise ProblemError(INVALID_CAMERA, f"{error}.") from error


def _renamed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as a wish names them."""
    return {"record_rate" if name == "recorded" else name: value for name, value in fields.items()}


def _changeable(camera: str, wishes: Mapping[str, Wish]) -> None:
    if _wish(camera, wishes).capturer is not None:
        raise ProblemError(
            CAMERA_TAKEN, "It belongs to a «maskwatch camera» or a replay, which alone says how it is captured."
        )


def _removable(camera: str, roster: Roster) -> None:
    # A process that ends leaves its camera, whose recording goes on to be there, and says that it is offline.
    if _wish(camera, roster.wishes()).capturer is not None and roster.camera(camera).state != "offline":
        raise ProblemError(
            CAMERA_TAKEN, "It belongs to a «maskwatch camera» or a replay that is not known to have ended."
        )


def _wish(camera: str, wishes: Mapping[str, Wish]) -> Wish:
    try:
        return wishes[camera]
    except KeyError:
        raise ProblemError(UNKNOWN_CAMERA, "There is no camera of this id.") from None


async def _publish(shared: Services, camera: Camera | str) -> None:
    try:
        publisher = StatePublisher(shared.broker.producer, shared.settings, wishing.WHO, for_all=True)
        if isinstance(camera, str):
            await publisher.take_back(camera)
        else:
            await publisher.wish(camera)
    except BrokerError as error:
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        raise ProblemError(AWAY, "Kafka is away; nothing was changed.", headers=headers) from error
