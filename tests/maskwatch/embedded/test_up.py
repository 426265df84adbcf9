import json
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from maskwatch.embedded import jars
from maskwatch.embedded.up import SECOND_SIGNAL_S, address, camera_arguments, up
from maskwatch.embedded.webcams import webcam_hint, webcams
from maskwatch.errors import SettingsError
from maskwatch.settings import Settings
from maskwatch.topics import TOPICS
from tests.support import stack
from tests.support.up import Up, prepared_home

WATCHERS = {"drift", "alerts", "dataset", "rollout", "retrainer"}
"""Started once a picture is there; nobody waits for them."""

WAIT_S = 90

pytestmark = pytest.mark.timeout(300)


def settings(tmp_path: Path, host: str = "127.0.0.1") -> Settings:
    return Settings.model_validate({"data_dir": tmp_path, "api": {"host": host, "token": "t"}})


def test_without_cameras_it_is_ready_and_waits_for_no_picture(tmp_path: Path) -> None:
    with Up.running(prepared_home(tmp_path), "--no-demo") as running:
        assert "no camera is wished for" in running.wait_for("no camera")
        running.wait_for("ready in")


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:8000"), ("0.0.0.0", "http://127.0.0.1:8000"), ("::1", "http://[::1]:8000")],  # noqa: S104
)
def test_the_address_is_one_that_a_browser_here_can_open(tmp_path: Path, host: str, url: str) -> None:
    assert address(settings(tmp_path, host)) == url


def test_no_camera_means_the_wished_for_or_the_demo(tmp_path: Path) -> None:
    assert camera_arguments(settings(tmp_path), (), None) == ["--or-demo"]
    assert camera_arguments(settings(tmp_path), ("webcam:0",), None) == ["webcam:0", "--and-wished"]
    assert camera_arguments(settings(tmp_path), (), Path("cameras.toml")) == [
        "--file",
        str(Path.cwd() / "cameras.toml"),
        "--and-wished",
    ]


def test_without_the_demo_only_what_is_wished_for_is_shown(tmp_path: Path) -> None:
    assert camera_arguments(settings(tmp_path), (), None, demo=False) == []


def test_many_cameras_are_written_into_a_file(tmp_path: Path) -> None:
    clip = tmp_path / 'a "clip".mp4'
    clip.touch()
    flag, file, _ = camera_arguments(settings(tmp_path), ("webcam:0", str(clip)), None)
    assert flag == "--file"
    assert Path(file).read_text() == (
        f'[[camera]]\nsource = "webcam:0"\n[[camera]]\nsource = {json.dumps(str(clip))}\n'
    )


def test_a_password_is_written_into_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    source = "rtsp://viewer:secret@10.0.0.7/1"
    flag, file, _ = camera_arguments(settings(tmp_path), (source,), None)
    assert flag == "--file"
    assert source in Path(file).read_text()
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600


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


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Give a data folder for which nothing has to be fetched."""
    with stack.scratch() as home:
        yield prepared_home(home)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(1)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.jpg"), noise.integers(0, 255, (120, 160, 3), np.uint8))
    return str(folder)


def test_from_the_first_start_to_the_last_process(home: Path, pictures: str) -> None:
    with Up.running(home, "--camera", pictures) as first:
        ready = first.wait_for("ready in ")
        assert "next time about" in ready
        assert any("✓ Apache Kafka 4.2.0" in line for line in first.lines)
        assert any("✓ Valkey" in line and "topics" in line for line in first.lines)
        assert any("✓ detector" in line and "frames/s on this machine" in line for line in first.lines)
        assert any("✓ camera «" in line and "160x120" in line for line in first.lines)
        first.wait_for(f"open   {first.url}")
        first.wait_for("Ctrl-C stops everything")
        # A second start says so, and the first goes on.
        second = first.again()
        assert second.returncode == 75
        assert f"already running (pid {first.process.pid})" in second.stderr
        # What dies comes back.
        children = first.children()
        assert children.keys() - WATCHERS == {"api", "archive", "camera", "detector", "kafka", "live", "valkey"}
        children["live"].kill()
        assert "was killed by SIGKILL" in first.wait_for("live     │")
        first.wait_for("live     │ is up again")
        # Everything ends, within the time that is promised.
        children = first.children()
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(15) == 0
        assert [name for name, child in children.items() if child.is_running()] == []
    # What was written is still there.
    with Up.running(home, "--camera", pictures) as again:
        again.wait_for("ready in ")
        assert not any("first start" in line or "next time" in line for line in again.lines)
        children = again.children()
        # Nothing outlives a killed supervisor.
        again.process.kill()
        assert psutil.wait_procs(list(children.values()), 10)[1] == []


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        with Up.running(tmp_path, MASKWATCH_KAFKA__PORT=port) as refused:
            refused.wait_for(f"port {port} is taken by ")
            assert refused.process.wait(WAIT_S) == 69
    assert not (tmp_path / "run" / "children.json").exists()


def test_an_altered_jar_ends_it_with_its_name(home: Path, tmp_path: Path) -> None:
    own = tmp_path / "kafka" / jars.KAFKA_VERSION
    own.mkdir(parents=True)
    for jar in (home / "kafka" / jars.KAFKA_VERSION).iterdir():
        (own / jar.name).symlink_to(jar)
    altered = own / "kafka-clients-4.2.0.jar"
    altered.unlink()
    altered.write_bytes(b"not it")
    with Up.running(tmp_path) as refused:
        refused.wait_for("kafka-clients-4.2.0.jar is not the file that we know")
        assert refused.process.wait(WAIT_S) == 69


def test_without_a_way_to_fetch_it_says_what_to_do(tmp_path: Path) -> None:
    with Up.running(tmp_path, HTTPS_PROXY="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9") as refused:
        refused.wait_for("first start: 45 MB of Kafka, then nothing is fetched again")
        refused.wait_for("fetching Apache Kafka 4.2.0: 45 MB")
        line = refused.wait_for("cannot be fetched from Maven Central")
        assert "MASKWATCH_KAFKA__JARS=" in line
        assert refused.process.wait(WAIT_S) == 69


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
def test_what_does_not_start_is_named_and_the_rest_goes_on(own_services: tuple[str, str], tmp_path: Path) -> None:
    kafka, valkey = own_services
    with Up.running(
        tmp_path,
        "--camera",
        "/no/clip.mp4",
        MASKWATCH_KAFKA__BOOTSTRAP_SERVERS=kafka,
        MASKWATCH_VALKEY__URL=valkey,
        MASKWATCH_KAFKA__TOPIC_PREFIX="broken.",
        MASKWATCH_DETECTOR__MODEL="/no/model",
    ) as stack_:
        stack_.wait_for("ended what an earlier run had left: live")
        stack_.wait_for("but no picture yet: «maskwatch doctor» tells why")
        assert any("✗ camera" in line and "/no/clip.mp4" in line for line in stack_.lines)
        assert any("✗ detector" in line and "/no/model" in line for line in stack_.lines)
        children = stack_.children()
        assert {"api", "live"} <= children.keys()
        # One stage is deaf; who asks twice does not want to wait.
        children["live"].suspend()
        stack_.process.send_signal(signal.SIGINT)
        stack_.wait_for("stopping; a second Ctrl-C does not wait")
        time.sleep(SECOND_SIGNAL_S + 0.2)
        stack_.process.send_signal(signal.SIGINT)
        assert stack_.process.wait(15) == 0
        assert [name for name, child in children.items() if child.is_running()] == []
        assert not any("starting it again" in line for line in stack_.rest())


def test_services_of_ones_own_are_used(own_services: tuple[str, str], home: Path, pictures: str) -> None:
    kafka, valkey = own_services
    with Up.running(
        home,
        "--camera",
        pictures,
        MASKWATCH_KAFKA__BOOTSTRAP_SERVERS=kafka,
        MASKWATCH_VALKEY__URL=valkey,
        MASKWATCH_KAFKA__TOPIC_PREFIX="mine.",
    ) as stack_:
        stack_.wait_for("ready in ")
        assert any(f"your Valkey · {len(TOPICS)} topics on {kafka}" in line for line in stack_.lines)
        assert stack_.children().keys() - WATCHERS == {"api", "archive", "camera", "detector", "live"}
        stack_.process.send_signal(signal.SIGINT)
        assert stack_.process.wait(15) == 0


@pytest.fixture
def own_services(kafka: stack.Kafka, valkey: stack.Valkey) -> tuple[str, str]:
    return kafka.bootstrap_servers, valkey.url
