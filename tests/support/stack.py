"""Real Kafka and Valkey for the tests: the embedded ones, or containers with TEST_CONTAINERS=1.

Every process lies in a folder of the test session and listens on free loopback ports. Jars are taken from where
`maskwatch up` keeps them and fetched there if need be, so that no session fetches them twice.
"""

import itertools
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from maskwatch.embedded import jars, valkey
from maskwatch.embedded.broker import Broker, free_port
from maskwatch.settings import Settings, user_data_dir

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
PORTS = range(12_000 + 1000 * _WORKER, 13_000 + 1000 * _WORKER)
"""Of this process of the tests alone: another may look for a free one at the same moment."""
START_TIMEOUT_S = 90
LEAST_MEMORY = 2**30
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""The request that every broker answers: length, key 18, version 0, correlation id, no client id."""

CreateTopics = Callable[..., Awaitable[None]]
"""``await create(settings, Name.CAMERAS, …)``."""

_prefixes = (f"t{os.getpid()}-{number}." for number in itertools.count())


class Service(Protocol):
    """Something real that a test talks to, and that can be made to die."""

    @property
    def address(self) -> str:
        """host:port."""
        ...

    def start(self) -> None:
        """Start it and wait until it answers."""

    def kill(self) -> None:
        """Let it die at once, without a goodbye."""

    def stop(self) -> None:
        """End it."""

    def hanging(self) -> AbstractContextManager[None]:
        """Let it answer nothing, and keep its connections, for as long as the block takes."""
        ...


class Kafka:
    """A running broker, and settings that name it."""

    def __init__(self, service: Service, home: Path) -> None:
        self._service = service
        self._home = home

    @property
    def bootstrap_servers(self) -> str:
        return self._service.address

    def settings(self, **groups: Mapping[str, Any]) -> Settings:
        return settings_for(self._home, self.bootstrap_servers, groups)

    def start(self) -> None:
        self._service.start()

    def kill(self) -> None:
        self._service.kill()


class Valkey:
    """A running Valkey."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def url(self) -> str:
        return f"redis://{self._service.address}/0"

    def start(self) -> None:
        self._service.start()

    def kill(self) -> None:
        self._service.kill()

    def hanging(self) -> AbstractContextManager[None]:
        return self._service.hanging()


class Process:
    """A service that is a child process."""

    def __init__(self, log: Path, port: int) -> None:
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self._log = log

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.process.args!r} did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        assert self.process is not None  # started
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


class EmbeddedKafka(Process):
    """The broker that `maskwatch up` starts."""

    def __init__(self, home: Path) -> None:
        super().__init__(home / "kafka.log", free_port(PORTS))
        self.broker = Broker(home / "kafka", self.port, heap_mb=384, jars=fetched_jars())

    def command(self) -> list[str]:
        classpath = self.broker.classpath()
        if not self.broker.formatted:
            self.broker.format(classpath)
        return self.broker.command(classpath)


class EmbeddedValkey(Process):
    """The Valkey that `maskwatch up` starts."""

    def __init__(self, home: Path) -> None:
        super().__init__(home / "valkey.log", free_port(PORTS))

    def command(self) -> list[str]:
        return valkey.command(self.port)


class Container:
    """A service in a container of the official image."""

    def __init__(self, image: str, port: int, hello: bytes, env: dict[str, str] | None = None) -> None:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415  # only where an engine is

        self.port = free_port(PORTS)
        self._container: Any = DockerContainer(image).with_bind_ports(port, self.port)
        for name, value in (env or {}).items():
            self._container.with_env(name, value.format(port=self.port))
        self._hello = hello
        self._created = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._created = True
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._greets():
            if time.monotonic() > deadline:
                raise RuntimeError(f"no container answers on port {self.port}")
            time.sleep(0.2)

    def _greets(self) -> bool:
        # The engine accepts connections before the server in the container does.
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                connection.sendall(self._hello)
                return bool(connection.recv(1))
        except OSError:
            return False

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def stop(self) -> None:
        self._container.stop()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        container = self._container.get_wrapped_container()
        container.pause()
        try:
            yield
        finally:
            container.unpause()


def kafka_service(home: Path) -> Service:
    """Make a Kafka of one's own, not yet started."""
    if not in_containers():
        return EmbeddedKafka(home)
    return Container(
        "apache/kafka:4.2.0",
        9092,
        API_VERSIONS,
        {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            # Transactions are checked by the broker asking itself, where our port is not.
            "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093,INSIDE://:9094",
            "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://127.0.0.1:{port},INSIDE://localhost:9094",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        },
    )


def valkey_service(home: Path) -> Service:
    """Make a Valkey (or, in containers, a Redis) of one's own, not yet started."""
    return Container("redis:7", 6379, b"PING\r\n") if in_containers() else EmbeddedValkey(home)


def in_containers() -> bool:
    """Whether the tests were asked to run against containers."""
    return os.environ.get("TEST_CONTAINERS") == "1"


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder in memory where the system has one: a broker syncs every partition, which disks take long for."""
    memory = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > LEAST_MEMORY
    with tempfile.TemporaryDirectory(
        dir=memory if roomy else None, prefix="maskwatch-", ignore_cleanup_errors=True
    ) as made:
        yield Path(made)


def fetched_jars() -> Path:
    """Return the folder of Kafka's jars on this machine, fetched and checked."""
    folder = user_data_dir() / "kafka" / jars.KAFKA_VERSION
    if jars.missing(folder):
        jars.fetch(folder, lambda _bytes: None)
    jars.check(folder)
    return folder


def answers(port: int) -> bool:
    """Whether somebody listens on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def settings_for(data_dir: Path, kafka: str, groups: Mapping[str, Mapping[str, Any]]) -> Settings:
    """Build settings for a test: a topic prefix that nobody else has, and nothing from the environment.

    The groups are laid over it: ``{"detector": {"score": 0.5}}``.
    """
    tree: dict[str, Any] = {
        "data_dir": data_dir,
        "kafka": {"bootstrap_servers": kafka, "topic_prefix": next(_prefixes), "timeout_s": 20},
    }
    for name, values in groups.items():
        tree[name] = {**tree.get(name, {}), **values}
    return Settings.model_validate(tree)
