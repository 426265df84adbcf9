"""Errors over HTTP: application/problem+json (RFC 9457), each kind explained once and linked to its explanation.

A kind's `type` is an address below ``/docs``, where the table of all kinds is shown. No problem repeats what a client
sent, and none tells what went wrong inside.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

MEDIA_TYPE = "application/problem+json"


class Kind(msgspec.Struct, frozen=True):
    """One kind of problem."""

    name: str
    status: HTTPStatus
    title: str
    remedy: str

    @property
    def type(self) -> str:
        """Return the address of the explanation."""
        return f"/docs#{self.name}"


NOT_FOUND = Kind("not-found", HTTPStatus.NOT_FOUND, "Nothing is here", "Look at the list of calls above.")
UNKNOWN_CAMERA = Kind(
    "unknown-camera", HTTPStatus.NOT_FOUND, "No such camera", "GET /cameras lists every camera; ids are lower-case."
)
CAMERA_EXISTS = Kind(
    "camera-exists", HTTPStatus.CONFLICT, "There is such a camera", "Change that one, or give the new one another id."
)
CAMERA_TAKEN = Kind(
    "camera-taken",
    HTTPStatus.CONFLICT,
    "That camera belongs to a process",
    "It was started with «maskwatch camera» or a replay, and is changed there. Once that process has ended the camera "
    "is offline, and DELETE removes it; one that was killed has to be started once more and ended.",
)
INVALID_CAMERA = Kind(
    "invalid-camera",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "That is no camera that can be captured",
    "rtsp://, rtsps://, http:// and https:// addresses are read; the detail says what does not fit.",
)
CAMERA_SILENT = Kind(
    "camera-silent",
    HTTPStatus.BAD_GATEWAY,
    "The camera gives no picture",
    "The detail says why. Try the address with «ffplay» from the same network.",
)
UNAUTHORIZED = Kind(
    "unauthorized",
    HTTPStatus.UNAUTHORIZED,
    "A token is needed",
    "Send the value of api.token as «Authorization: Bearer …», or POST it to /session once in a browser.",
)
FORBIDDEN_ORIGIN = Kind(
    "forbidden-origin",
    HTTPStatus.FORBIDDEN,
    "Pages from there may not connect",
    "Add the page's origin to api.origins if it is yours.",
)
UNKNOWN_HOST = Kind(
    "unknown-host",
    HTTPStatus.FORBIDDEN,
    "This server does not go by that name",
    "Without a token only loopback names are answered, so that no other site's name can be pointed here. Set "
    "api.token, or add the name's origin to api.origins.",
)
INVALID = Kind(
    "invalid", HTTPStatus.UNPROCESSABLE_ENTITY, "The request does not fit", "The member «errors» says what and where."
)
EMPTY = Kind(
    "empty-upload", HTTPStatus.BAD_REQUEST, "Nothing was sent", "Send a JPEG, PNG or WebP as the body, or as «file»."
)
MALFORMED_BODY = Kind(
    "malformed-body",
    HTTPStatus.BAD_REQUEST,
    "The body is not what its headers say",
    "Let an HTTP library make the request: multipart/form-data with a field «file», or the picture alone.",
)
UNREADABLE = Kind(
    "unreadable-picture",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "That is no picture that can be read",
    "JPEG, PNG and WebP are read, whole, within the pixels that detector.max_pixels allows.",
)
TOO_LARGE = Kind(
    "too-large",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "That is more than is taken",
    "The detail names the limit; scale the picture down, send less at once, or raise the setting.",
)
BAD_ARCHIVE = Kind(
    "bad-archive",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "That archive cannot be read",
    "Pack pictures into a plain ZIP: not encrypted, not within another, files with the limits of single uploads.",
)
TOO_SLOW = Kind(
    "too-slow", HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time", "Send it again; see api.body_timeout_s."
)
KEY_REUSED = Kind(
    "key-reused",
    HTTPStatus.CONFLICT,
    "That Idempotency-Key belongs to something else",
    "Make a new key for every new upload, and repeat one only with the same body.",
)
UNKNOWN_UPLOAD = Kind(
    "unknown-upload",
    HTTPStatus.NOT_FOUND,
    "No such upload",
    "Answers are kept for seven days; the id is that of the upload's answer.",
)
UNKNOWN_EPISODE = Kind(
    "unknown-episode",
    HTTPStatus.NOT_FOUND,
    "No such episode",
    "GET /episodes lists those of the last thirty days.",
)
UNKNOWN_ALERT = Kind(
    "unknown-alert",
    HTTPStatus.NOT_FOUND,
    "No such alert",
    "GET /alerts lists them; an episode that came soon after another has none.",
)
PICTURE_GONE = Kind(
    "picture-gone",
    HTTPStatus.GONE,
    "That picture is not there any more",
    "Pictures are recorded for a day, at the rate that the camera's «recorded» says; label requests stay for 30.",
)
UNKNOWN_FRAME = Kind(
    "unknown-frame",
    HTTPStatus.NOT_FOUND,
    "No such frame",
    "GET /labels/queue lists the frames that people are asked to label; PUT /labels/pictures takes others.",
)
LABEL_REFUSED = Kind(
    "label-refused",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "That label cannot count",
    "The detail says why; docs/labels.md says what a label must be.",
)
FRAME_HELD = Kind(
    "frame-held",
    HTTPStatus.CONFLICT,
    "Somebody else holds that frame",
    "Take another with POST /labels/queue; what was said about it by then is in GET /labels.",
)
UNKNOWN_MODEL = Kind(
    "unknown-model",
    HTTPStatus.NOT_FOUND,
    "No such model",
    "GET /models lists every version; where several have one name, its SHA-256 tells them apart.",
)
CHAMPION_CHANGED = Kind(
    "champion-changed",
    HTTPStatus.CONFLICT,
    "Another model serves by now",
    "GET /models says which; ask again with what it says as «champion».",
)
CHAMPION_SERVES = Kind(
    "champion-serves",
    HTTPStatus.CONFLICT,
    "That model serves already",
    "Nothing is to be done; GET /models lists the others.",
)
NOTHING_BEFORE = Kind(
    "nothing-before",
    HTTPStatus.CONFLICT,
    "There is nothing to go back to",
    "A rollback leads to the model that served before the last promotion.",
)
UNKNOWN_RUN = Kind("unknown-run", HTTPStatus.NOT_FOUND, "No such round", "GET /runs lists the rounds of training.")
RUN_OVER = Kind(
    "run-over", HTTPStatus.CONFLICT, "That round has ended", "GET /runs says how; POST /train asks for another."
)
BUSY = Kind(
    "busy",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "There is too much in hand",
    "Send it again after the time in Retry-After; with an Idempotency-Key it is answered once.",
)
AWAY = Kind(
    "away",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Something that is needed is away",
    "Send it again after the time in Retry-After; with an Idempotency-Key it is answered once.",
)
NOT_READY = Kind(
    "not-ready",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Something that is needed is away",
    "The member «checks» says what and why.",
)
INTERNAL = Kind(
    "internal", HTTPStatus.INTERNAL_SERVER_ERROR, "That is our fault", "The server's log says what happened; report it."
)
OTHER = Kind("other", HTTPStatus.BAD_REQUEST, "That cannot be done", "The title and the status are those of HTTP.")

KINDS = (
    NOT_FOUND,
    UNKNOWN_CAMERA,
    CAMERA_EXISTS,
    CAMERA_TAKEN,
    INVALID_CAMERA,
    CAMERA_SILENT,
    UNAUTHORIZED,
    FORBIDDEN_ORIGIN,
    UNKNOWN_HOST,
    INVALID,
    EMPTY,
    MALFORMED_BODY,
    UNREADABLE,
    TOO_LARGE,
    BAD_ARCHIVE,
    TOO_SLOW,
    KEY_REUSED,
    UNKNOWN_UPLOAD,
    UNKNOWN_EPISODE,
    UNKNOWN_ALERT,
    PICTURE_GONE,
    UNKNOWN_FRAME,
    LABEL_REFUSED,
    FRAME_HELD,
    UNKNOWN_MODEL,
    CHAMPION_CHANGED,
    CHAMPION_SERVES,
    NOTHING_BEFORE,
    UNKNOWN_RUN,
    RUN_OVER,
    BUSY,
    AWAY,
    NOT_READY,
    INTERNAL,
    OTHER,
)


class ProblemError(Exception):
    """A request that ends with a problem.

    Parameters
    ----------
    kind
        What kind of problem.
    detail
        What is the matter this time, for people.
    more
        Further members of the answer.
    headers
        Further headers of the answer.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.more = dict(more or {})
        self.headers = dict(headers or {})


def body(kind: Kind, detail: str, instance: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # RFC 9457's extensions
    """Return the members of a problem."""
    return {
        "type": kind.type,
        "title": kind.title,
        "status": int(kind.status),
        "detail": detail,
        "instance": instance,
        **more,
    }


def documented(*kinds: tuple[Kind, str, str]) -> dict[int | str, dict[str, Any]]:
    """Return the problems of a call as OpenAPI shows them.

    Parameters
    ----------
    kinds
        Kind, an example of its detail, and an example of its instance.
    """
    return {
        int(kind.status): {
            "description": kind.title,
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": body(kind, detail, instance),
                }
            },
        }
        for kind, detail, instance in kinds
    }


def install(app: FastAPI) -> None:
    """Make every error of an app a problem."""
    app.add_exception_handler(ProblemError, _of_ours)  # type: ignore[arg-type]  # it serves both kinds of connection
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(Exception, _of_a_crash)


def _answer(problem: ProblemError, connection: HTTPConnection) -> JSONResponse:
    return JSONResponse(
        body(problem.kind, problem.detail, connection.url.path, **problem.more),
        status_code=problem.kind.status,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )


async def _of_ours(connection: Request | WebSocket, error: Exception) -> JSONResponse | None:
    assert isinstance(error, ProblemError)  # noqa: S101  # Starlette dispatches by class
    answer = _answer(error, connection)
    if isinstance(connection, WebSocket):
        await connection.send_denial_response(answer)
        return None
    return answer


async def _of_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # Starlette dispatches by class
    status = HTTPStatus(error.status_code)
    kind = NOT_FOUND if status is HTTPStatus.NOT_FOUND else Kind(OTHER.name, status, status.phrase, OTHER.remedy)
    detail = "Nothing is at this address." if kind is NOT_FOUND else status.description or status.phrase
    return _answer(ProblemError(kind, detail, headers=error.headers), request)


async def _of_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # Starlette dispatches by class
    errors = [{"where": ".".join(str(part) for part in item["loc"]), "what": item["msg"]} for item in error.errors()]
    return _answer(ProblemError(INVALID, f"{len(errors)} value(s) do not fit.", more={"errors": errors}), request)


async def _of_a_crash(request: Request, _: Exception) -> JSONResponse:
    # Starlette raises it again after the answer, so that it is logged with where it happened.
    return _answer(ProblemError(INTERNAL, "The request crashed; the server goes on."), request)
