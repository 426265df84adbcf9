"""How the console's stand-in server answers before anything else: late, or with a refusal, as a test wants it."""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import Request

from api.problems import AWAY, UNAUTHORIZED, ProblemError


def scripted(
    token: Callable[[], str], hangs: Callable[[], bool], away: Callable[[], str]
) -> Callable[[Request], Awaitable[None]]:
    """Make what every call depends on.

    Parameters
    ----------
    token
        What a browser must have.
    hangs
        While true, nothing is answered.
    away
        Why nothing is known yet; empty if it is.
    """

    async def as_scripted(request: Request) -> None:
        while hangs():  # noqa: ASYNC110  # set from the test's thread
            await asyncio.sleep(0.05)
        if request.cookies.get("token", "") != token():
            raise ProblemError(UNAUTHORIZED, "The token is missing or not the right one.")
        if why := away():
            raise ProblemError(AWAY, why)

    return as_scripted
