"""Fetch one file over HTTP, and go on where it broke off: within a call, and in a later one.

What has come so far lies beside the file as ``NAME.part``, and beside that the server's mark of which version it is of
(``ETag`` or ``Last-Modified``): with another version one begins anew, so that two are never mixed.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import requests

from maskwatch.quantities import say_size
from training.errors import CatalogueError

CONNECT_S, READ_S = 10, 30
DEADLINE_S = 6 * 3600
"""For one call, whatever trickles in."""
TRIES = 5
"""In a row without a byte."""
CHUNK = 2**18
_PARTIAL, _WHOLE, _NOTHING_LEFT, _TOO_MANY, _SERVER_ERROR = 206, 200, 416, 429, 500

Advance = Callable[[int, int | None], None]
"""Told how many bytes there are, and of how many if that is known."""


class _BrokenOffError(Exception):
    """It may go on when it is tried again."""


_BROKEN = (
    _BrokenOffError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


def download(address: str, file: Path, *, max_bytes: int, advance: Advance, pause_s: float = 1.0) -> str:
    """Fetch a file, or the rest of it.

    Parameters
    ----------
    address
        ``http://`` or ``https://``.
    file
        Where it goes; its folder is made if need be.
    max_bytes
        What is larger is refused.
    advance
        Told of progress.
    pause_s
        After the first failure; twice as long after each further one.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    CatalogueError
        If the server refuses, breaks off again and again, sends too much, or the disk is full; what has come is kept
        for the next call where it can be of use.
    """
    part = file.with_name(f"{file.name}.part")
    deadline = time.monotonic() + DEADLINE_S
    failures = 0
    while True:
        before = _size(part)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            _fetch(address, part, max_bytes, advance, deadline)
            break
        except _BROKEN as error:
            # Without the server's mark the next try begins anew, so that more bytes are no headway.
            failures = 1 if _mark(part).exists() and _size(part) > before else failures + 1
            if failures >= TRIES or time.monotonic() > deadline:
                why = error if isinstance(error, _BrokenOffError) else error.__class__.__name__
                raise CatalogueError(
                    f"{address} broke off after {say_size(_size(part))} ({why}): "
                    "give the command again, and it goes on from there"
                ) from error
            time.sleep(pause_s * 2 ** (failures - 1))
        except requests.RequestException as error:
            raise CatalogueError(f"{address} cannot be fetched: {error}") from error
        except OSError as error:
            raise CatalogueError(f"{part} cannot be written: {error.strerror}") from error
    part.replace(file)
    _mark(part).unlink(missing_ok=True)
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _fetch(address: str, part: Path, max_bytes: int, advance: Advance, deadline: float) -> None:
    """Ask once, and write what comes."""
    mark = _mark(part).read_text() if _mark(part).exists() else ""
    asked = _size(part) if mark else 0
    headers = {"Accept-Encoding": "identity"}
    if asked:
        headers |= {"Range": f"bytes={asked}-", "If-Range": mark}
    with requests.get(address, headers=headers, stream=True, timeout=(CONNECT_S, READ_S)) as response:
        if response.status_code == _NOTHING_LEFT and _span(response) == f"bytes */{asked}":
            return
        have = _begin(response, address, part, asked)
        length = response.headers.get("Content-Length")
        whole = have + int(length) if length and length.isdigit() else None
        _must_fit(address, part, whole, have, max_bytes)
        with part.open("ab" if have else "wb") as file:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                have += len(chunk)
                _must_fit(address, part, have, have, max_bytes)
                advance(have, whole)
                if time.monotonic() > deadline:
                    raise _BrokenOffError(f"not whole after {DEADLINE_S} s")
    if whole is not None and have < whole:
        raise _BrokenOffError(f"{have} of {whole} bytes")


def _begin(response: requests.Response, address: str, part: Path, asked: int) -> int:
    """Return how many of the bytes that are there an answer goes on from; 0 if it begins anew.

    Raises
    ------
    _BrokenOffError
        If the server cannot just now, or sent another part than was asked for.
    CatalogueError
        If it refuses.
    """
    status = response.status_code
    if status == _WHOLE:
        _mark(part).unlink(missing_ok=True)
        if version := _version(response.headers):
            _mark(part).write_text(version)
        return 0
    if status == _PARTIAL and _span(response).startswith(f"bytes {asked}-"):
        return asked
    if status in {_PARTIAL, _NOTHING_LEFT}:
        _mark(part).unlink(missing_ok=True)
        raise _BrokenOffError(f"another part was sent than asked for: {_span(response) or 'none'}")
    if status == _TOO_MANY or status >= _SERVER_ERROR:
        raise _BrokenOffError(f"{status} {response.reason}")
    # Not the address that one was sent on to: it may hold a signature.
    raise CatalogueError(f"{address} answers {status} {response.reason}")


def _span(response: requests.Response) -> str:
    return response.headers.get("Content-Range", "")


def _version(headers: Mapping[str, str]) -> str:
    """Return what names this version of the file; a weak tag does not promise the same bytes."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _must_fit(address: str, part: Path, whole: int | None, have: int, max_bytes: int) -> None:
    if whole is None:
        return
    if whole > max_bytes:
        part.unlink(missing_ok=True)
        raise CatalogueError(f"{address} sends more than {say_size(max_bytes)}: is it the right address?")
    if whole > have and whole - have > shutil.disk_usage(part.parent).free:
        raise CatalogueError(f"{part.parent} has no room for the {say_size(whole - have)} that are to come")


def _mark(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
