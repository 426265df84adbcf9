"""An RTSP camera as a fixture: a real server in a process of its own that can be killed, frozen and started again."""

import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from maskwatch.embedded.broker import free_port
from tests.support.stack import PORTS

SCRIPT = Path(__file__).with_name("rtsp_server.py")
PYTHON = "/usr/bin/python3"
PACKAGES = (
    "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
)
USER, PASSWORD = "viewer", "p@ss:w/rd"


class RtspCamera:
    """A server on a port of its own.

    Parameters
    ----------
    locked
        Ask for user and password.
    pem
        A file of certificate and key: speak TLS alone.
    """

    def __init__(self, *, locked: bool = False, pem: Path | None = None) -> None:
        self.port = free_port(PORTS)
        self._locked = locked
        self._pem = pem
        self._process: subprocess.Popen[str] | None = None

    def address(self, path: str = "/camera") -> str:
        """Return the address of a stream, without user and password."""
        return f"{'rtsps' if self._pem else 'rtsp'}://127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        login = [USER, PASSWORD] if self._locked else []
        login += [str(self._pem)] if self._pem else []
        self._process = subprocess.Popen(
            [PYTHON, str(SCRIPT), str(self.port), *login], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError(self._process.communicate()[1])

    def kill(self) -> None:
        """Let it die at once."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.communicate()
        self._process = None

    def freeze(self) -> None:
        """Let it fall silent, its connections open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class Line:
    """A line to a server on this machine, which can go dead: both ends keep their connection, and nothing arrives.

    Parameters
    ----------
    port
        The server's.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._live = threading.Event()
        self._live.set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Let it go dead."""
        self._live.clear()

    def mend(self) -> None:
        """Let new connections through again; those of before stay dead."""
        self._live.set()

    def close(self) -> None:
        """End it."""
        for one in (self._server, *self._sockets):
            # Ends what waits in another thread too.
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            self._sockets.append(near)
            if self._live.is_set():
                try:
                    far = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    # Nobody is at the other end.
                    near.close()
                    continue
                self._sockets.append(far)
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self._live.is_set():
                    return
                target.sendall(data)


@contextmanager
def line_to(camera: RtspCamera) -> Iterator[Line]:
    """Lay a line to a camera."""
    line = Line(camera.port)
    try:
        yield line
    finally:
        line.close()


@contextmanager
def rtsp_camera(*, locked: bool = False, pem: Path | None = None) -> Iterator[RtspCamera]:
    """Run a camera; skips where GStreamer's server is not installed."""
    if not _is_installed():
        pytest.skip(f"GStreamer's RTSP server is not installed: apt-get install {PACKAGES}")
    camera = RtspCamera(locked=locked, pem=pem)
    camera.start()
    try:
        yield camera
    finally:
        camera.stop()


def _is_installed() -> bool:
    if not Path(PYTHON).exists():
        return False
    code = "import gi; gi.require_version('GstRtspServer', '1.0')"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, check=False).returncode == 0
