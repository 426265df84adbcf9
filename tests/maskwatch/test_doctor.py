import json
import socket
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from maskwatch import doctor
from maskwatch.doctor import Check
from maskwatch.embedded import jars
from maskwatch.embedded.broker import free_port
from maskwatch.settings import Settings
from tests.support import stack
from tests.support.stack import Kafka, Valkey

MODEL = Path("data/models/default")


def tree(tmp_path: Path, **groups: dict[str, Any]) -> Settings:
    ports = {name: {"port": free_port(stack.PORTS)} for name in ("kafka", "valkey", "api")}
    for name, values in groups.items():
        ports[name] = {**ports.get(name, {}), **values}
    return Settings.model_validate({"data_dir": tmp_path, **ports})


def only(look: Callable[[Settings], Iterator[Check]], settings: Settings) -> Check:
    (check,) = look(settings)
    return check


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        # Whoever connects is left without an answer, then hung up on.
        server.settimeout(20)

        def hang_up() -> None:
            try:
                while True:
                    server.accept()[0].close()
            except OSError:
                return

        thread = Thread(target=hang_up)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_kafka_before_the_first_start(tmp_path: Path) -> None:
    check = only(doctor.look_at_kafka, tree(tmp_path))
    assert check.ok
    assert check.found == "not running; the first «maskwatch up» fetches 45 MB"


def test_kafka_with_jars_that_are_good_or_not(tmp_path: Path) -> None:
    own = tmp_path / "kafka" / jars.KAFKA_VERSION
    own.mkdir(parents=True)
    for jar in stack.fetched_jars().glob("*.jar"):
        (own / jar.name).symlink_to(jar)
    settings = tree(tmp_path)
    assert only(doctor.look_at_kafka, settings).found.startswith("not running; «maskwatch up» starts it on port")
    (own / "extra.jar").touch()
    check = only(doctor.look_at_kafka, settings)
    assert "extra.jar is not one of" in check.remedy


def test_kafka_that_runs(kafka: Kafka) -> None:
    check = only(doctor.look_at_kafka, kafka.settings())
    assert check.ok
    assert check.found.startswith(f"answers at {kafka.bootstrap_servers} · 0 topics, ")
    check = only(doctor.look_at_kafka, kafka.settings(kafka={"create_topics": False}))
    assert check.remedy == "maskwatch topics --create"


def test_kafka_that_is_none(tmp_path: Path, taken: int) -> None:
    check = only(doctor.look_at_kafka, tree(tmp_path, kafka={"port": taken, "timeout_s": 1}))
    assert f"127.0.0.1:{taken} does not answer" in check.found
    assert "MASKWATCH_KAFKA__PORT" in check.remedy
    check = only(
        doctor.look_at_kafka, tree(tmp_path, kafka={"bootstrap_servers": f"127.0.0.1:{taken}", "timeout_s": 1})
    )
    assert "check kafka.bootstrap_servers" in check.remedy


def test_valkey_before_it_runs_and_while_it_does(tmp_path: Path, valkey: Valkey) -> None:
    assert "«maskwatch up» starts 9." in only(doctor.look_at_valkey, tree(tmp_path)).found
    check = only(doctor.look_at_valkey, tree(tmp_path, valkey={"url": valkey.url}))
    assert check.ok
    assert check.found.startswith("yours, ")


def test_valkey_that_is_none_and_whose_password_stays_secret(tmp_path: Path, taken: int) -> None:
    check = only(doctor.look_at_valkey, tree(tmp_path, valkey={"port": taken}))
    assert "MASKWATCH_VALKEY__PORT" in check.remedy
    check = only(doctor.look_at_valkey, tree(tmp_path, valkey={"url": f"redis://:secret@127.0.0.1:{taken}/0"}))
    assert "check valkey.url" in check.remedy
    assert "secret" not in repr(check)


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_console_before_it_runs_while_it_does_and_when_its_port_is_taken(tmp_path: Path, taken: int) -> None:
    assert "is free for it" in only(doctor.look_at_console, tree(tmp_path)).found
    with ThreadingHTTPServer(("127.0.0.1", 0), _Healthy) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert (
            only(doctor.look_at_console, tree(tmp_path, api={"port": server.server_port})).found == f"answers at {url}"
        )
        server.shutdown()
        thread.join()
    check = only(doctor.look_at_console, tree(tmp_path, api={"port": taken}))
    assert check.found.startswith(f"port {taken} is taken by ")
    assert not check.ok


def test_disk_and_webcams_are_told(tmp_path: Path) -> None:
    assert "GB free for" in only(doctor.look_at_disk, tree(tmp_path)).found
    assert only(doctor.look_at_webcams, tree(tmp_path)).ok


def test_a_missing_model_says_what_to_do(tmp_path: Path) -> None:
    check = only(doctor.look_at_model, tree(tmp_path, detector={"model": str(tmp_path)}))
    assert "set detector.model" in check.remedy


@pytest.mark.skipif(not (MODEL / "model.json").exists(), reason="no model is shipped in this checkout")
def test_the_model_is_tried_and_measured(tmp_path: Path) -> None:
    model, speed = doctor.look_at_model(tree(tmp_path))
    assert model.found.endswith("right on its golden picture")
    assert "frames/s on this machine: room for" in speed.found


def fine(_: Settings) -> Iterator[Check]:
    yield Check("disk", "plenty")


def ill(_: Settings) -> Iterator[Check]:
    yield Check("model", "none", "make one")


@pytest.mark.parametrize(("looks", "code"), [((fine,), 0), ((fine, ill), 1)])
def test_the_exit_code_tells_whether_anything_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], looks: tuple[doctor.Look, ...], code: int
) -> None:
    look = partial(doctor.doctor, tree(tmp_path), looks=looks)
    assert look(as_json=False) == code
    out = capsys.readouterr().out
    assert out.startswith("Maskwatch ")
    assert "✓ disk     plenty" in out
    assert ("→ make one" in out, "nothing is missing" in out) == (code == 1, code == 0)
    assert look(as_json=True) == code
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] == (code == 0)
    assert told["checks"][0] == {"name": "disk", "found": "plenty", "remedy": "", "ok": True}
    assert {"Maskwatch", "Python", "OpenVINO", "OpenCV"} < told["versions"].keys()
