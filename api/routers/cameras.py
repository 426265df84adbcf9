"""Which cameras there are, and whether they give frames."""

from fastapi import APIRouter

from api.dependencies import Asking, Shared
from api.problems import UNAUTHORIZED, UNKNOWN_CAMERA, ProblemError, documented
from api.schemas import Cameras, CameraState

router = APIRouter(prefix="/cameras", tags=["cameras"])

_DOOR = {
    "id": "door-2",
    "name": "Back door",
    "source": "webcam:0",
    "rate": 10.0,
    "recorded": 1.0,
    "state": "online",
    "since": "2026-11-01T12:00:00Z",
    "reason": "",
}
_NO_TOKEN = (UNAUTHORIZED, "The token is missing or not the right one.", "/cameras")


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
    responses={
        200: {"content": {"application/json": {"example": _DOOR}}},
        **documented(_NO_TOKEN, (UNKNOWN_CAMERA, "There is no camera of this id.", "/cameras/dor-2")),
    },
)
async def get_camera(camera: str, shared: Shared, _: Asking) -> CameraState:
    """Return one camera."""
    try:
        return shared.cameras.roster.camera(camera)
    except KeyError:
        raise ProblemError(UNKNOWN_CAMERA, "There is no camera of this id.") from None
