"""A browser's way to prove who asks: the token once, then a cookie that scripts cannot read."""

from fastapi import APIRouter, Depends, Request, Response

from api.dependencies import COOKIE, Shared, known_origin, same_token
from api.problems import FORBIDDEN_ORIGIN, UNAUTHORIZED, ProblemError, documented
from api.schemas import Token

router = APIRouter(prefix="/session", tags=["session"], dependencies=[Depends(known_origin)])


@router.post(
    "",
    operation_id="begin_session",
    summary="Let this browser in",
    status_code=204,
    responses=documented(
        (UNAUTHORIZED, "That is not the token.", "/session"),
        (FORBIDDEN_ORIGIN, "The page that asks is not from this server, nor in api.origins.", "/session"),
    ),
)
async def begin_session(given: Token, request: Request, response: Response, shared: Shared) -> None:
    """Take the token and set a cookie; where no token is needed, set none."""
    token = shared.settings.api.token.get_secret_value()
    if not token:
        return
    if not same_token(given.token, token):
        raise ProblemError(UNAUTHORIZED, "That is not the token.", headers={"WWW-Authenticate": "Bearer"})
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https")


@router.delete("", operation_id="end_session", summary="Let this browser out", status_code=204)
async def end_session(response: Response) -> None:
    """Take the cookie back."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
