"""A real HTTP server that takes webhooks, and can be told to refuse them first."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Posted(NamedTuple):
    """What was posted."""

    headers: dict[str, str]
    body: bytes


class Hook:
    """What came, and what is answered: the given statuses first, then 204."""

    def __init__(self, *statuses: int) -> None:
        self.posted: list[Posted] = []
        self.url = ""
        self._statuses = list(statuses)

    def answer(self, posted: Posted) -> int:
        """Take what came, and say what to answer."""
        self.posted.append(posted)
        return self._statuses.pop(0) if self._statuses else 204


@contextmanager
def receiving(*statuses: int) -> Iterator[Hook]:
    """Run a server as long as the block lasts."""
    hook = Hook(*statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = hook.answer(Posted({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            if status == HTTPStatus.FOUND:
                self.send_header("location", hook.url)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            # Whoever follows a redirect asks so, and would take this for a yes.
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
