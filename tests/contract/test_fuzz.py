"""Whatever is asked of the API, and whatever comes over its sockets: nothing makes it crash.

Schemathesis asks every call for what its description allows, and for what it does not: none is answered with 500.
Hypothesis speaks over the sockets. The server is whole: a real Kafka, a real Valkey, a real worker.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance
from schemathesis.specs.openapi.schemas import OpenApiSchema
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from maskwatch import topics
from maskwatch.embedded.broker import free_port
from tests.support import stack
from tests.support.stack import Kafka
from tests.support.stage import Stage
from tests.support.traffic import GOLDEN
from tests.support.waiting import eventually

EXAMPLES = 15
PATIENCE_S = 10
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]


class Whole(NamedTuple):
    """An API at work, a process of its own."""

    url: str
    port: int
    stage: Stage

    def assert_well(self) -> None:
        """See that it answers, and has raised nothing."""
        assert httpx.get(f"{self.url}/health", timeout=PATIENCE_S).status_code == 200
        _, raised, rest = self.stage.log().partition("Traceback")
        assert not raised, rest


@pytest.fixture(scope="module")
def whole(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    valkey = stack.valkey_service(tmp_path_factory.mktemp("fuzz"))
    valkey.start()
    port = free_port(stack.PORTS)
    ours = kafka.settings(
        valkey={"url": stack.Valkey(valkey).url}, api={"port": port, "answer_timeout_s": 2, "body_timeout_s": 2}
    )
    asyncio.run(topics.ensure(ours, 2**33))
    stages = [Stage("api", ours), Stage("detector", ours)]
    try:
        for stage in stages:
            stage.start()
        for stage in stages:
            asyncio.run(stage.ready())
        url = f"http://127.0.0.1:{port}"
        asyncio.run(eventually(lambda: httpx.get(f"{url}/ready", timeout=PATIENCE_S).status_code == 200))
        yield Whole(url, port, stages[0])
    finally:
        for stage in stages:
            stage.close()
        valkey.stop()


@pytest.fixture(scope="module")
def described(whole: Whole) -> OpenApiSchema:
    schema = schemathesis.openapi.from_url(f"{whole.url}/openapi.json").exclude(
        # It never ends.
        path="/detections/stream"
    )
    # Its module is loaded above, before there are threads: with them, Python 3.11 is at times wrong about the depth of
    # what it parses (python/cpython#106905).
    assert isinstance(schema, OpenApiSchema)
    return schema


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.timeout(300)
def test_no_call_crashes_the_server_and_all_answer_as_described(
    described: OpenApiSchema, whole: Whole, mode: GenerationMode
) -> None:
    asked = set()
    for found in described.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        def ask(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(checks=CHECKS, timeout=30)
            asked.add(case.operation.label)

        # Of some nothing wrong can be asked: they take nothing.
        with suppress(Unsatisfiable):
            ask()
    assert asked >= {"POST /predict", "POST /batch-predict", "POST /cameras", "PATCH /cameras/{camera}"}
    whole.assert_well()


INTERNAL_ERROR = 1011
paths = st.builds(
    lambda kind, camera, query: f"/{kind}/{quote(camera, safe='')}{query}",
    st.sampled_from(["live", "broadcast"]),
    st.one_of(st.sampled_from(["demo", "none", "..", "\0", "a" * 300]), st.text(min_size=1, max_size=20)),
    st.sampled_from(["", "?name=x", "?name=" + "y" * 200, "?token=1&token=2"]),
)
messages = st.lists(
    st.one_of(
        st.sampled_from(["ack", "ack " * 300, "pause", GOLDEN, GOLDEN[:500], b"", b"\xff\xd8\xff", bytes(2_000_000)]),
        st.binary(max_size=2000),
        st.text(max_size=200),
    ),
    max_size=6,
)
HANDSHAKE = (
    "GET /live/demo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@given(path=paths, sent=messages)
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_message_over_a_socket_crashes_the_server(whole: Whole, path: str, sent: list[str | bytes]) -> None:
    closed = None
    with suppress(InvalidStatus), connect(f"ws://127.0.0.1:{whole.port}{path}", proxy=None) as viewer:
        with suppress(TimeoutError, ConnectionClosed):
            for message in sent:
                viewer.send(message)
            viewer.recv(timeout=0.05)
        closed = viewer.close_code
    assert closed != INTERNAL_ERROR
    whole.assert_well()


@given(garbage=st.binary(min_size=1, max_size=200))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_broken_frame_crashes_the_server(whole: Whole, garbage: bytes) -> None:
    with socket.create_connection(("127.0.0.1", whole.port), timeout=PATIENCE_S) as line:
        line.sendall(HANDSHAKE.encode())
        assert b" 101 " in line.recv(4096)
        line.sendall(garbage)
        line.shutdown(socket.SHUT_WR)
        while line.recv(65536):
            pass
    whole.assert_well()
