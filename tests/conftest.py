"""What every test may ask for: a real Kafka, a real Valkey, settings that name them, and topics.

- ``kafka``: the session's broker (do not kill it); ``.bootstrap_servers``, ``.settings(**groups)``.
- ``own_broker``: one for this test alone, always embedded: ``.kill()``, ``.start()``, and what ``kafka`` has.
- ``valkey``: one for this test alone: ``.url``, ``.kill()``, ``.start()``.
- ``settings``: settings on ``kafka`` with a topic prefix of this test's own; more with
  ``kafka.settings(valkey={"url": valkey.url})``.
- ``create_topics``: ``await create_topics(settings, Name.CAMERAS, …)``; without names, all of them. They are deleted
  at the end. ``topics_ready``: all topics of ``settings``. Few topics are quicker than all.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import pytest
import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from PIL import Image

from maskwatch import topics
from maskwatch.errors import StackError
from maskwatch.kafka import connection_options
from maskwatch.settings import Settings
from tests.support import stack
from tests.support.stack import CreateTopics, Kafka, Valkey

OPEN_IMAGE = Image.open
DISK_BYTES = 2**33
"""Nothing is reserved. A flood of frames must fit under the byte caps that follow from it: what a cap removes is gone
for a reader that is behind, at the moment that the broker happens to look.
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take where the figures of tests/faults are to be written."""
    parser.addoption("--figures", type=Path, default=None, metavar="FILE", help="write what tests/faults measured here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let nothing be skipped in CI: what a stranger's machine may lack, CI must have."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _logs_as_they_are() -> Iterator[None]:
    # A command that a test has run in this process says where logs go.
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _pillow_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ultralytics puts a function of its own in its place as soon as it is imported; what serves never imports it.
    monkeypatch.setattr(Image, "open", OPEN_IMAGE)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    with stack.scratch() as home:
        yield from _running_kafka(stack.kafka_service, home)


@pytest.fixture
def own_broker() -> Iterator[Kafka]:
    with stack.scratch() as home:
        # Always the embedded one: Kafka's image refuses to start again on the folder of a killed container.
        yield from _running_kafka(stack.EmbeddedKafka, home)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    service = stack.valkey_service(tmp_path)
    service.start()
    try:
        yield Valkey(service)
    finally:
        service.stop()


@pytest.fixture
def settings(kafka: Kafka) -> Settings:
    return kafka.settings()


@pytest.fixture
async def create_topics() -> AsyncIterator[CreateTopics]:
    created: list[tuple[Settings, list[str]]] = []

    async def create(settings: Settings, *names: topics.Name) -> None:
        chosen = [topic for topic in topics.TOPICS if not names or topic.name in names]
        created.append((settings, await topics.ensure(settings, DISK_BYTES, chosen)))

    yield create
    for where, names in created:
        admin = AIOKafkaAdminClient(**connection_options(where))
        # A test may have left its own broker dead.
        with contextlib.suppress(KafkaError):
            await admin.start()
            await admin.delete_topics(names)
        await admin.close()


@pytest.fixture
async def topics_ready(settings: Settings, create_topics: CreateTopics) -> Settings:
    await create_topics(settings)
    return settings


def _running_kafka(make: Callable[[Path], stack.Service], home: Path) -> Iterator[Kafka]:
    try:
        service = make(home)
    except StackError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Kafka on this machine: {error}")
    service.start()
    try:
        yield Kafka(service, home)
    finally:
        service.stop()
