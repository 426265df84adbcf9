"""Bodies of requests, read with a bound on everything: bytes, files, time, and what all of them together may hold.

A picture comes as the body itself or as a file of a form. What is larger than allowed is refused at the first byte too
many, whatever the request's headers have promised.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from api.problems import BUSY, EMPTY, MALFORMED_BODY, TOO_LARGE, TOO_SLOW, ProblemError
from maskwatch.settings import ApiSettings

FIELD = "file"
FORM = "multipart/form-data"
RETRY_AFTER_S = 1
DRAIN_S = 2.0
_FORM_EXTRA = 100_000
"""Bytes of a form beside its files: boundaries, names, other fields."""


class SentFile(NamedTuple):
    """A file as it was sent."""

    name: str
    """As the client calls it; never to be used as a path."""
    data: bytes


class Holding:
    """How many bytes of bodies are in hand, with a bound.

    Parameters
    ----------
    most
        Bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    def take(self, size: int) -> None:
        """Count some more.

        Raises
        ------
        ProblemError
            If that is more than may be in hand.
        """
        if self._held + size > self._most:
            raise ProblemError(
                BUSY,
                f"Uploads of {self._held} bytes are in hand, of {self._most} that may be.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._held += size

    def give_back(self, size: int) -> None:
        """Count some less."""
        self._held -= size


@asynccontextmanager
async def sent_files(
    request: Request, holding: Holding, limits: ApiSettings, *, most_files: int, most_bytes: int
) -> AsyncIterator[list[SentFile]]:
    """Read the files of a request; they count as in hand until the end.

    Parameters
    ----------
    request
        Not read yet.
    holding
        Where they are counted.
    limits
        How long it may take.
    most_files, most_bytes
        How many, and of which size together.

    Raises
    ------
    ProblemError
        If there are none, too many, or they are too large, too slow, or not what the headers say.
    """
    is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM
    most = most_bytes + (_FORM_EXTRA if is_form else 0)
    counter = _Counter(request.receive, holding, most, most_bytes)
    counted = Request(request.scope, counter.receive)
    try:
        try:
            counter.refuse_promised(request.headers.get("content-length"))
            async with asyncio.timeout(limits.body_timeout_s):
                files = await _form_files(counted, most_files) if is_form else [SentFile("", await counted.body())]
        except TimeoutError as error:
            await _drain(request.receive)
            detail = f"The body did not arrive within {limits.body_timeout_s:g} s."
            raise ProblemError(TOO_SLOW, detail, headers={"Connection": "close"}) from error
        except ClientDisconnect as error:
            raise ProblemError(MALFORMED_BODY, "The connection ended before the body did.") from error
        except ProblemError:
            # Who waits to be told «100 Continue» has sent nothing yet.
            if "expect" not in request.headers:
                await _drain(request.receive)
            raise
        if not any(file.data for file in files):
            raise ProblemError(EMPTY, "The body holds no file." if not files else "The file is empty.")
        yield files
    finally:
        holding.give_back(counter.size)


async def _drain(receive: Receive) -> None:
    """Let a client finish what it is sending, for a moment: it would take a connection that breaks for our answer."""
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(DRAIN_S):
            while (await receive()).get("more_body", False):
                pass


async def _form_files(request: Request, most: int) -> list[SentFile]:
    try:
        async with request.form(max_files=most, max_fields=10, max_part_size=_FORM_EXTRA) as form:
            sent = form.multi_items()
            if any(isinstance(value, UploadFile) and name != FIELD for name, value in sent):
                raise ProblemError(MALFORMED_BODY, f"A file is in another field; send it as «{FIELD}».")
            return [
                SentFile(value.filename or "", await value.read()) for _, value in sent if isinstance(value, UploadFile)
            ]
    except HTTPException as error:
        if "Too many files" in str(error.detail):
            raise ProblemError(TOO_LARGE, f"More than {most} file(s) were sent.") from error
        raise ProblemError(MALFORMED_BODY, "The form cannot be read.") from error


class _Counter:
    """Counts what comes, and refuses what is too much."""

    def __init__(self, receive: Receive, holding: Holding, most: int, named: int) -> None:
        self._receive = receive
        self._holding = holding
        self._most = most
        self._named = named
        self.size = 0

    def refuse_promised(self, length: str | None) -> None:
        if length is not None and length.isdecimal() and int(length) > self._most:
            raise self._too_large()

    async def receive(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))
        if self.size + size > self._most:
            raise self._too_large()
        self._holding.take(size)
        self.size += size
        return message

    def _too_large(self) -> ProblemError:
        # The rest of the body is not read, so the connection cannot be used again.
        return ProblemError(TOO_LARGE, f"More than {self._named} bytes were sent.", headers={"Connection": "close"})
