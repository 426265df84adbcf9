"""What children write: cut into lines as it comes, and kept in a log file that never grows beyond its bound."""

import asyncio
import logging
from collections.abc import Callable
from logging.handlers import RotatingFileHandler

LINE_BYTES = 2**20


class Output(asyncio.SubprocessProtocol):
    """Cuts what a process writes into lines."""

    def __init__(self, take: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._take = take
        self._rest = b""

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002  # asyncio's signature
        """Take a piece."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._line(line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        """Learn that nothing more will come."""
        if not self.closed.done():
            self.closed.set_result(None)

    def process_exited(self) -> None:
        """Learn that the process has ended; the pipe may still hold lines."""
        if not self.exited.done():
            self.exited.set_result(None)

    def finish(self) -> None:
        """Take what came after the last line's end."""
        self._line(self._rest)
        self._rest = b""

    def _line(self, raw: bytes) -> None:
        if line := raw.decode("utf-8", "replace").rstrip():
            self._take(line)


class LogFile(RotatingFileHandler):
    """A log file that a full disk does not turn into a flood on the terminal."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Lose the line."""
