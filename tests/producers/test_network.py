"""Network cameras: a real RTSP server, real sockets, a real process that reads."""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
import simplejpeg

from maskwatch.embedded import lan
from maskwatch.errors import SourceError
from maskwatch.settings import Settings
from producers.addresses import Credentials, Network
from producers.network import NetworkCamera
from tests.support.rtsp import PASSWORD, USER, RtspCamera, line_to, rtsp_camera

TIMEOUT_S = 2.0


@pytest.fixture(scope="module")
def camera() -> Iterator[RtspCamera]:
    with rtsp_camera() as running:
        yield running


@pytest.fixture
def mortal() -> Iterator[RtspCamera]:
    """One of this test's own."""
    with rtsp_camera() as running:
        yield running


def opened(  # noqa: PLR0913  # whatever a test wants otherwise
    address: str,
    credentials: Credentials | None = None,
    *,
    rate: float = 10,
    stop: threading.Event | None = None,
    open_timeout_s: float = 10,
    allowed: tuple[Network, ...] | None = None,
) -> "closing[NetworkCamera]":
    return closing(
        NetworkCamera(
            address,
            credentials,
            rate=rate,
            longest_side=1280,
            wait=(stop or threading.Event()).wait,
            allowed=allowed,
            open_timeout_s=open_timeout_s,
            read_timeout_s=TIMEOUT_S,
        )
    )


def read_on(source: NetworkCamera) -> None:
    while source.read():
        pass


def why(address: str, credentials: Credentials | None = None, **options: Any) -> str:  # noqa: ANN401  # those of `opened`
    with opened(address, credentials, **options) as source, pytest.raises(SourceError) as error:
        source.read()
    return str(error.value)


@pytest.mark.parametrize(("path", "size"), [("/camera", (360, 640)), ("/large", (720, 1280)), ("/jpeg", (240, 320))])
def test_frames_come_no_larger_than_they_are_wanted(camera: RtspCamera, path: str, size: tuple[int, int]) -> None:
    with opened(camera.address(path)) as source:
        for _ in range(3):
            shot = source.read()
            assert shot is not None
            assert shot.image.shape == (*size, 3)
            assert shot.image.std() > 10


def test_no_more_frames_than_are_wanted(camera: RtspCamera) -> None:
    with opened(camera.address(), rate=5) as source:
        source.read()
        began = time.monotonic()
        for _ in range(10):
            source.read()
        assert time.monotonic() - began > 1.5


def test_pictures_come_over_the_connection_that_asks_for_them(camera: RtspCamera) -> None:
    # Over UDP, which FFmpeg would try first, a network that is busy tears pictures.
    with opened(camera.address()) as source:
        assert source.read() is not None
        sockets = [
            (connection.type, connection.raddr[1:])
            for reader in psutil.Process().children(recursive=True)
            if "multiprocessing" in " ".join(reader.cmdline())
            for connection in reader.net_connections("inet")
        ]
    assert sockets == [(socket.SOCK_STREAM, (camera.port,))]


def test_user_and_password_are_given_and_are_in_no_command_line() -> None:
    with rtsp_camera(locked=True) as camera:
        with opened(camera.address(), Credentials(USER, PASSWORD)) as source:
            assert source.read() is not None
            lines = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
            # The server's own names them, as any test's camera does.
            ours = [line for line in lines if "rtsp_server" not in line]
            assert ours
            assert not [line for line in ours if PASSWORD in line or "p%40ss" in line]
            readers = psutil.Process().children(recursive=True)
            environments = [Path(f"/proc/{reader.pid}/environ").read_bytes() for reader in readers]
            assert not [found for found in environments if PASSWORD.encode() in found]
        refused = why(camera.address(), Credentials(USER, "wrong"))
        assert refused == f"{camera.address()}: it refuses user or password"
        assert why(camera.address()) == refused


def test_a_camera_over_tls_is_read(tmp_path: Path) -> None:
    door = lan.prepare(Settings(data_dir=tmp_path))
    both = tmp_path / "both.pem"
    both.write_bytes(door.certificate.read_bytes() + door.key.read_bytes())
    with (
        rtsp_camera(locked=True, pem=both) as camera,
        opened(camera.address(), Credentials(USER, PASSWORD)) as source,
    ):
        shot = source.read()
        assert shot is not None
        assert shot.image.shape == (360, 640, 3)


def test_what_is_wrong_is_said(camera: RtspCamera) -> None:
    assert why(camera.address("/none")).endswith("it has no stream at this path")
    assert why(camera.address("/sound")).endswith("it gives sound and no picture")
    assert why("rtsp://127.0.0.1:1/x").endswith("nothing listens there")
    assert "cannot be reached" in why("rtsp://no-such-host.invalid/x")


@contextmanager
def answering(text: bytes, asked: list[bytes] | None = None) -> Iterator[str]:
    """A server that says one thing and keeps the connection; what it was asked is noted."""
    with socket.create_server(("", 0)) as server:
        kept = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.settimeout(5)
                kept.append(connection)
                if text:
                    said = connection.recv(4096)
                    if asked is not None:
                        asked.append(said)
                    connection.sendall(text)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.close()
        for connection in kept:
            connection.close()


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtsps"])
def test_a_host_that_takes_the_connection_and_says_nothing_is_given_up(scheme: str) -> None:
    with answering(b"") as host:
        assert why(f"{scheme}://{host}/x", open_timeout_s=TIMEOUT_S).endswith("it does not answer in time")


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "concat:/etc/passwd", "gopher://127.0.0.1/", "subfile,,start,0,end,9,,:/etc/passwd"],
)
def test_a_playlist_or_redirection_leads_nowhere_else(target: str) -> None:
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n".encode()
    for head in (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\nContent-Length: %d\r\n\r\n" % len(playlist),
        f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode(),
    ):
        with answering(head + playlist) as host:
            told = why(f"http://{host}/x.m3u8")
            assert "root:" not in told


PICTURE = simplejpeg.encode_jpeg(np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8))
MJPEG = (
    b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"
    + (b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE + b"\r\n") * 30
)


@pytest.mark.parametrize("allowed", [None, (ipaddress.ip_network("127.0.0.0/8"),)], ids=["own", "guarded"])
def test_motion_jpeg_over_http_is_read(allowed: tuple[Network, ...] | None) -> None:
    with answering(MJPEG) as host, opened(f"http://{host}/x", rate=60, allowed=allowed) as source:
        shot = source.read()
        assert shot is not None
        assert shot.image.shape == (90, 160, 3)


BACKLOG, LATER = 40, 10
STEP = 5
"""By so much each numbered picture is brighter than the one before."""


@contextmanager
def with_a_backlog() -> Iterator[str]:
    """A camera of numbered pictures, most of which have waited for whoever comes; the others come in 3 s."""

    def accept(server: socket.socket) -> None:
        with suppress(OSError), server.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(MJPEG.partition(b"--b")[0])
            for number in range(BACKLOG + LATER):
                jpeg = simplejpeg.encode_jpeg(np.full((90, 160, 3), STEP * number, np.uint8))
                head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                connection.sendall(head + jpeg + b"\r\n")
                time.sleep(0.3 if number >= BACKLOG else 0)
            connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x"


def test_what_has_waited_is_passed_over_and_the_newest_is_given() -> None:
    with with_a_backlog() as address, opened(address, rate=0.5) as source:
        first, second = source.read(), source.read()
    assert first is not None
    assert second is not None
    assert second.image.mean() > first.image.mean() + STEP
    # At this rate one that gave what has waited in its turn would give the second of them now.
    assert second.image.mean() > STEP * BACKLOG - STEP / 2


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A web server of files; every one is also behind a redirection, below /moved."""

    class Files(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/moved/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/moved"))
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("allowed", [None, (ipaddress.ip_network("127.0.0.0/8"),)], ids=["own", "guarded"])
def test_hls_is_read_behind_a_redirection_too(tmp_path: Path, allowed: tuple[Network, ...] | None) -> None:
    with av.open(str(tmp_path / "live.m3u8"), "w", format="hls", options={"hls_time": "1"}) as container:
        stream = container.add_stream("libx264", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 180, "yuv420p", 10
        for level in range(0, 250, 5):
            picture = np.full((180, 320, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    assert len(list(tmp_path.glob("*.ts"))) > 2
    with serving(tmp_path) as url:
        for path in ("/live.m3u8", "/moved/live.m3u8"):
            with opened(url + path, rate=60, allowed=allowed) as source:
                shot = source.read()
                assert shot is not None
                assert shot.image.shape == (180, 320, 3)
                with pytest.raises(SourceError, match="the stream has ended"):
                    read_on(source)


def test_a_redirection_or_playlist_leads_nowhere_that_an_address_may_not() -> None:
    elsewhere = (ipaddress.ip_network("127.0.0.1/32"),)
    asked: list[bytes] = []
    with answering(MJPEG, asked) as host:
        target = f"http://{host.replace('127.0.0.1', '127.0.0.2')}/x"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}.ts\n#EXT-X-ENDLIST\n".encode()
        for head in (
            f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode(),
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\nContent-Length: %d\r\n\r\n"
            % len(playlist)
            + playlist,
        ):
            with answering(head) as first:
                assert "leads to 127.0.0.2, which a camera" in why(f"http://{first}/x.m3u8", allowed=elsewhere)
    assert asked == []


def test_a_camera_that_falls_silent_is_given_up(mortal: RtspCamera) -> None:
    with opened(mortal.address()) as source:
        source.read()
        mortal.freeze()
        with pytest.raises(SourceError, match="it does not answer in time"):
            read_on(source)
        mortal.thaw()


def test_a_connection_that_is_open_at_one_end_only_is_given_up(camera: RtspCamera) -> None:
    with line_to(camera) as line:
        address = camera.address().replace(str(camera.port), str(line.port))
        with opened(address) as source:
            source.read()
            line.cut()
            with pytest.raises(SourceError, match="it does not answer in time"):
                read_on(source)
        line.mend()
        with opened(address) as source:
            assert source.read() is not None


def test_a_camera_may_change_its_resolution_in_the_middle_of_the_stream(camera: RtspCamera) -> None:
    sizes: list[tuple[int, ...]] = []
    with opened(camera.address("/changing")) as source:
        while len(sizes) < 3:
            shot = source.read()
            assert shot is not None
            if shot.image.shape[:2] not in sizes[-1:]:
                sizes.append(shot.image.shape[:2])
    assert set(sizes) == {(240, 320), (480, 640)}


def test_a_camera_that_is_killed_is_read_again_when_it_is_back(mortal: RtspCamera) -> None:
    with opened(mortal.address()) as source:
        source.read()
        mortal.kill()
        with pytest.raises(SourceError, match=mortal.address()):
            read_on(source)
    mortal.start()
    with opened(mortal.address()) as source:
        assert source.read() is not None


def test_closing_ends_the_process_and_stopping_ends_a_read_that_waits() -> None:
    stop = threading.Event()
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with answering(b"") as host, opened(f"rtsp://{host}/x", stop=stop) as source:
        threading.Timer(0.5, stop.set).start()
        assert source.read() is None
    left = {child.pid for child in psutil.Process().children(recursive=True)} - before
    # What stays is what forks: it serves every camera.
    names = [" ".join(psutil.Process(pid).cmdline()) for pid in left]
    assert len(names) <= 2, names


def test_a_reader_that_is_killed_is_a_camera_that_failed(camera: RtspCamera) -> None:
    with opened(camera.address()) as source:
        source.read()
        source._process.kill()
        with pytest.raises(SourceError, match="what reads it has crashed"):
            read_on(source)
