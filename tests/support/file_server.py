"""A real HTTP server on loopback that gives one file, and breaks off, refuses or hangs as it is told."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer:
    """What it gives, and how it behaves.

    Attributes
    ----------
    content
        The file.
    version
        Its ETag; without one none is sent, and parts are not given.
    plan
        What is done with the coming requests: ``{"cut": 100}`` ends after so many bytes, ``{"status": 503}`` answers
        that, ``{"hang": True}`` says nothing until the server closes, ``{"span": "bytes 5-9/10"}`` tells another span
        than was asked for, ``{"length": False}`` does not tell how much comes. When it is empty the file is given.
    asked
        The headers of every request.
    """

    def __init__(self, content: bytes, version: str | None) -> None:
        self.content = content
        self.version = version
        self.plan: list[dict[str, Any]] = []
        self.asked: list[dict[str, str]] = []
        self.address = ""
        self.closing = threading.Event()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.asked.append(dict(request.headers.items()))
        plan = self.plan.pop(0) if self.plan else {}
        if plan.get("hang"):
            self.closing.wait(60)
            return
        if "status" in plan:
            request.send_error(plan["status"])
            return
        start = self._start(request)
        if start >= len(self.content) > 0:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.content)}")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            span = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
            request.send_header("Content-Range", plan.get("span", span))
        if self.version:
            request.send_header("ETag", self.version)
        if plan.get("length", True):
            request.send_header("Content-Length", str(len(self.content) - start))
        request.end_headers()
        request.wfile.write(self.content[start:][: plan.get("cut")])

    def _start(self, request: BaseHTTPRequestHandler) -> int:
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if wanted and self.version and request.headers.get("If-Range") == self.version:
            return int(wanted[1])
        return 0


@contextmanager
def serving(content: bytes, version: str | None = '"one"') -> Iterator[FileServer]:
    """Serve a file until the block ends."""
    files = FileServer(content, version)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            files.answer(self)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    files.address = f"http://127.0.0.1:{server.server_port}/archive.zip"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield files
    finally:
        files.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
