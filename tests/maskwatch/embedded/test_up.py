import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from maskwatch.embedded import jars
from maskwatch.embedded.broker import free_port
from maskwatch.embedded.up import SECOND_SIGNAL_S, address, camera_arguments, up, webcam_hint, webcams
from maskwatch.errors import SettingsError
from maskwatch.settings import Settings
from tests.support import stack

WAIT_S = 90

pytestmark = pytest.mark.timeout(300)


def settings(tmp_path: Path, host: str = "127.0.0.1") -> Settings:
    return Settings.model_validate({"data_dir": tmp_path, "api": {"host": host, "token": "t"}})


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:8000"), ("0.0.0.0", "http://127.0.0.1:8000"), ("::1", "http://[::1]:8000")],  # noqa: S104
)
def test_the_address_is_one_that_a_browser_here_can_open(tmp_path: Path, host: str, url: str) -> None:
    assert address(settings(tmp_path, host)) == url


def test_no_camera_means_the_wished_for_or_the_demo(tmp_path: Path) -> None:
    assert camera_arguments(settings(tmp_path), (), None) == ["--or-demo"]
    assert camera_arguments(settings(tmp_path), ("webcam:0",), None) == ["webcam:0"]
    assert camera_arguments(settings(tmp_path), (), Path("cameras.toml")) == [
        "--file",
        str(Path.cwd() / "cameras.toml"),
    ]


def test_many_cameras_are_written_into_a_file(tmp_path: Path) -> None:
    clip = tmp_path / 'a "clip".mp4'
    clip.touch()
    flag, file = camera_arguments(settings(tmp_path), ("webcam:0", str(clip)), None)
    assert flag == "--file"
    assert Path(file).read_text() == (
        f'[[camera]]\nsource = "webcam:0"\n[[camera]]\nsource = {json.dumps(str(clip))}\n'
    )


def test_sources_and_a_file_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not both"):
        up(settings(tmp_path), sources=["scene"], cameras_file=tmp_path / "cameras.toml")


def test_webcams_are_found_and_offered_unless_in_use(tmp_path: Path) -> None:
    for name in ("video10", "video2", "videodev"):
        (tmp_path / name).touch()
    assert webcams(tmp_path) == [2, 10]
    assert "maskwatch camera webcam:2" in webcam_hint(["--or-demo"], [2, 10])
    assert webcam_hint(["webcam:0"], [2, 10]) == ""
    assert webcam_hint(["--or-demo"], []) == ""


class Up:
    """`maskwatch up` in a data folder of its own, its output read line by line."""

    def __init__(self, home: Path, *arguments: str, **variables: str) -> None:
        ports = {name: str(free_port(stack.PORTS)) for name in ("KAFKA__PORT", "VALKEY__PORT", "API__PORT")}
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MASKWATCH_")},
            "MASKWATCH_DATA_DIR": str(home),
            **{f"MASKWATCH_{name}": value for name, value in ports.items()},
            **variables,
        }
        self.home = home
        self.lines: list[str] = []
        self._command = [sys.executable, "-m", "maskwatch", "up", *arguments]
        self.process = subprocess.Popen(
            self._command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    async def line(self, text: str) -> str:
        """Wait for a line that has this text."""
        assert self.process.stdout is not None
        while True:
            line = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), WAIT_S)
            assert line, f"no line with {text!r} in {self.lines}"
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return line

    def again(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command, env=self.env, capture_output=True, text=True, check=False)

    def children(self) -> dict[str, psutil.Process]:
        rows = json.loads((self.home / "run" / "children.json").read_text())
        return {row["name"]: psutil.Process(row["pid"]) for row in rows}

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Give a data folder for which nothing has to be fetched."""
    with stack.scratch() as home:
        own = home / "kafka" / jars.KAFKA_VERSION
        own.mkdir(parents=True)
        for jar in stack.fetched_jars().glob("*.jar"):
            (own / jar.name).symlink_to(jar)
        yield home


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(1)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.jpg"), noise.integers(0, 255, (120, 160, 3), np.uint8))
    return str(folder)


@contextlib.contextmanager
def running(home: Path, *arguments: str, **variables: str) -> Iterator[Up]:
    stack = Up(home, *arguments, **variables)
    try:
        yield stack
    finally:
        stack.end()


async def test_from_the_first_start_to_the_last_process(home: Path, pictures: str) -> None:
    with running(home, "--camera", pictures) as first:
        ready = await first.line("ready in ")
        assert "next time about" in ready
        assert any("✓ Apache Kafka 4.2.0" in line for line in first.lines)
        assert any("✓ Valkey" in line and "topics" in line for line in first.lines)
        assert any("✓ detector" in line and "frames/s on this machine" in line for line in first.lines)
        assert any("✓ camera «" in line and "160x120" in line for line in first.lines)
        await first.line(f"open   http://127.0.0.1:{first.env['MASKWATCH_API__PORT']}")
        await first.line("Ctrl-C stops everything")
        # A second start says so, and the first goes on.
        second = await asyncio.to_thread(first.again)
        assert second.returncode == 75
        assert f"already running (pid {first.process.pid})" in second.stderr
        # What dies comes back.
        children = first.children()
        assert sorted(children) == ["api", "camera", "detector", "kafka", "live", "valkey"]
        children["live"].kill()
        assert "was killed by SIGKILL" in await first.line("live     │")
        await first.line("live     │ is up again")
        # Everything ends, within the time that is promised.
        children = first.children()
        first.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(first.process.wait, 15) == 0
        assert [name for name, child in children.items() if child.is_running()] == []
    # What was written is still there.
    with running(home, "--camera", pictures) as again:
        await again.line("ready in ")
        assert not any("first start" in line or "next time" in line for line in again.lines)
        children = again.children()
        # Nothing outlives a killed supervisor.
        again.process.kill()
        assert (await asyncio.to_thread(psutil.wait_procs, list(children.values()), 10))[1] == []


async def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        with running(tmp_path, MASKWATCH_KAFKA__PORT=port) as refused:
            await refused.line(f"port {port} is taken by ")
            assert await asyncio.to_thread(refused.process.wait, WAIT_S) == 69
    assert not (tmp_path / "run" / "children.json").exists()


async def test_an_altered_jar_ends_it_with_its_name(home: Path, tmp_path: Path) -> None:
    own = tmp_path / "kafka" / jars.KAFKA_VERSION
    own.mkdir(parents=True)
    for jar in (home / "kafka" / jars.KAFKA_VERSION).iterdir():
        (own / jar.name).symlink_to(jar)
    altered = own / "kafka-clients-4.2.0.jar"
    altered.unlink()
    altered.write_bytes(b"not it")
    with running(tmp_path) as refused:
        await refused.line("kafka-clients-4.2.0.jar is not the file that we know")
        assert await asyncio.to_thread(refused.process.wait, WAIT_S) == 69


async def test_without_a_way_to_fetch_it_says_what_to_do(tmp_path: Path) -> None:
    with running(tmp_path, HTTPS_PROXY="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9") as refused:
        await refused.line("first start: 45 MB of Kafka, then nothing is fetched again")
        await refused.line("fetching Apache Kafka 4.2.0: 45 MB")
        line = await refused.line("cannot be fetched from Maven Central")
        assert "MASKWATCH_KAFKA__JARS=" in line
        assert await asyncio.to_thread(refused.process.wait, WAIT_S) == 69


@pytest.fixture
def leftover(tmp_path: Path) -> Iterator[None]:
    """Leave a process behind, as a supervisor does that was killed where the system does not tether."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as left:
        row = {"name": "live", "pid": left.pid, "created": psutil.Process(left.pid).create_time()}
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "children.json").write_text(json.dumps([row]))
        yield
        left.kill()


@pytest.mark.usefixtures("leftover")
async def test_what_does_not_start_is_named_and_the_rest_goes_on(own_services: tuple[str, str], tmp_path: Path) -> None:
    kafka, valkey = own_services
    with running(
        tmp_path,
        "--camera",
        "/no/clip.mp4",
        MASKWATCH_KAFKA__BOOTSTRAP_SERVERS=kafka,
        MASKWATCH_VALKEY__URL=valkey,
        MASKWATCH_KAFKA__TOPIC_PREFIX="broken.",
        MASKWATCH_DETECTOR__MODEL="/no/model",
    ) as stack_:
        await stack_.line("ended what an earlier run had left: live")
        await stack_.line("but no picture yet: «maskwatch doctor» tells why")
        assert any("✗ camera" in line and "/no/clip.mp4" in line for line in stack_.lines)
        assert any("✗ detector" in line and "/no/model" in line for line in stack_.lines)
        children = stack_.children()
        assert {"api", "live"} <= children.keys()
        # One stage is deaf; who asks twice does not want to wait.
        children["live"].suspend()
        stack_.process.send_signal(signal.SIGINT)
        await stack_.line("stopping; a second Ctrl-C does not wait")
        await asyncio.sleep(SECOND_SIGNAL_S + 0.2)
        stack_.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(stack_.process.wait, 15) == 0
        assert [name for name, child in children.items() if child.is_running()] == []
        assert stack_.process.stdout is not None
        rest = await asyncio.to_thread(stack_.process.stdout.read)
        assert "starting it again" not in rest


async def test_services_of_ones_own_are_used(own_services: tuple[str, str], home: Path, pictures: str) -> None:
    kafka, valkey = own_services
    with running(
        home,
        "--camera",
        pictures,
        MASKWATCH_KAFKA__BOOTSTRAP_SERVERS=kafka,
        MASKWATCH_VALKEY__URL=valkey,
        MASKWATCH_KAFKA__TOPIC_PREFIX="mine.",
    ) as stack_:
        await stack_.line("ready in ")
        assert any(f"your Valkey · 10 topics on {kafka}" in line for line in stack_.lines)
        assert sorted(stack_.children()) == ["api", "camera", "detector", "live"]
        stack_.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(stack_.process.wait, 15) == 0


@pytest.fixture
def own_services(kafka: stack.Kafka, valkey: stack.Valkey) -> tuple[str, str]:
    return kafka.bootstrap_servers, valkey.url
