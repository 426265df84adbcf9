"""The way out for cameras over HTTP: a proxy that leads nowhere that their address may not lead.

An address is looked at before it is opened; but a camera may redirect, a playlist may name other hosts, and a name may
lead elsewhere when it is asked for again. So FFmpeg's HTTP goes through here, in the process that reads the camera: the
name of every connection is resolved and looked at, and what was looked at is what is connected to.
"""

import socket
import socketserver
import threading
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from maskwatch.errors import SourceError
from producers.addresses import Network, refused_or_found

if TYPE_CHECKING:
    from io import BufferedReader

LONGEST_HEAD = 65_536
"""Bytes of a request before its empty line."""

_REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_AWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Guard(socketserver.ThreadingTCPServer):
    """A proxy on this machine, for one camera; runs in threads of its own until it is closed.

    Parameters
    ----------
    allowed
        Networks that may be named though they are not cameras'.
    timeout_s
        How long a connection may be silent, in seconds.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, allowed: Collection[Network], timeout_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Way)
        self.allowed = allowed
        self.timeout_s = timeout_s
        self.refused = ""
        """What was refused last, for people."""
        threading.Thread(target=self.serve_forever, name="guard", daemon=True).start()

    @property
    def url(self) -> str:
        """Return its address, as FFmpeg's `http_proxy` wants it."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Way(socketserver.StreamRequestHandler):
    """One connection, there and back."""

    server: Guard

    def setup(self) -> None:
        """Bound every wait."""
        super().setup()
        self.connection.settimeout(self.server.timeout_s)

    def handle(self) -> None:
        """Connect, if it may, and carry."""
        # Either end may leave at any time, or say what is no request.
        with suppress(OSError, ValueError):
            self._handle()

    def _handle(self) -> None:
        # The library's type hides that it reads ahead.
        ahead = cast("BufferedReader", self.rfile)
        method, target, version = self.rfile.readline(LONGEST_HEAD).decode("latin-1").split()
        tunnel = method == "CONNECT"
        parts = urlsplit(f"//{target}" if tunnel else target)
        try:
            host, port = parts.hostname or "", parts.port or 80
            ip = refused_or_found(host, port, self.server.allowed)
        except (SourceError, ValueError) as error:
            self.server.refused = str(error)
            self.wfile.write(_REFUSED)
            return
        try:
            far = socket.create_connection((ip, port), self.server.timeout_s)
        except OSError:
            self.wfile.write(_AWAY)
            return
        with far:
            if tunnel:
                while self.rfile.readline(LONGEST_HEAD) not in {b"\r\n", b"\n", b""}:
                    pass
                self.wfile.write(_CONNECTED)
            else:
                path = parts._replace(scheme="", netloc="", path=parts.path or "/").geturl()
                far.sendall(f"{method} {path} {version}\r\n".encode("latin-1"))
            back = threading.Thread(target=_carry, args=(far, self.connection), daemon=True)
            back.start()
            # What was read ahead of the line goes first.
            far.sendall(ahead.peek())
            _carry(self.connection, far)
            back.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
