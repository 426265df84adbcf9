"""A cluster that lets nobody in without a certificate and a password, and on which everything runs nevertheless."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskwatch import kafka as clients
from maskwatch import topics
from maskwatch.embedded.broker import free_port
from maskwatch.errors import BrokerError
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support import stack
from tests.support.topic import put, read_all
from tests.support.up import Up

USER, PASSWORD = "camera", "correct horse"
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"

pytestmark = pytest.mark.timeout(300)


class SecuredKafka(stack.EmbeddedKafka):
    """A broker whose clients need TLS, a certificate of their own, and a user of SCRAM-SHA-512."""

    def __init__(self, home: Path, certificate: Path, key: Path) -> None:
        super().__init__(home)
        # The key, then its certificate, is how Kafka wants a PEM store.
        self._store = home / "store.pem"
        self._store.write_bytes(key.read_bytes() + certificate.read_bytes())
        self._trusted = certificate

    def command(self) -> list[str]:
        classpath = self.broker.classpath()
        command = self.broker.command(classpath)
        file = self.broker.home / "server.properties"
        inner = free_port(stack.PORTS)
        properties = dict(line.split("=", 1) for line in file.read_text().splitlines())
        properties |= {
            "listeners": f"SASL_SSL://127.0.0.1:{self.port},PLAINTEXT://127.0.0.1:{inner},"
            f"CONTROLLER://{properties['controller.quorum.voters'].partition('@')[2]}",
            "advertised.listeners": f"SASL_SSL://127.0.0.1:{self.port},PLAINTEXT://127.0.0.1:{inner}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": LOGIN,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._trusted),
            # Kafka ignores «ssl.client.auth» on a SASL listener unless it is asked for by the listener's name.
            "listener.name.sasl_ssl.ssl.client.auth": "required",
        }
        file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        if not self.broker.formatted:
            user = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
            tool = [command[0], "-cp", classpath, "kafka.tools.StorageTool", "format", "--cluster-id", "c2VjdXJlZA"]
            subprocess.run(
                [*tool, "--config", str(file), "--add-scram", user], check=True, capture_output=True, timeout=60
            )
        return command


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a certificate for loopback that vouches for itself, and its key; server and clients share it."""
    folder = tmp_path_factory.mktemp("identity")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    name = ["-subj", "/CN=maskwatch", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *name, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return certificate, key


@pytest.fixture(scope="module")
def cluster(identity: tuple[Path, Path]) -> Iterator[Settings]:
    with stack.scratch() as home:
        broker = SecuredKafka(home, *identity)
        broker.start()
        try:
            yield let_in(stack.Kafka(broker, home).settings(), identity)
        finally:
            broker.stop()


def let_in(settings: Settings, identity: tuple[Path, Path], **changed: object) -> Settings:
    certificate, key = identity
    kafka = settings.kafka.model_dump() | {
        "security": "SASL_SSL",
        "username": USER,
        "password": PASSWORD,
        "ca_file": certificate,
        "cert_file": certificate,
        "key_file": key,
    }
    return Settings.model_validate({"data_dir": settings.data_dir, "kafka": kafka | changed})


async def test_who_has_password_and_certificate_may_write_and_read(cluster: Settings) -> None:
    await topics.ensure(cluster, 2**30, [topic for topic in topics.TOPICS if topic.name is Name.SCENE])
    async with clients.running(clients.durable_producer(cluster), cluster) as producer:
        await put(producer, cluster, Name.SCENE, "demo", b"{}")
    assert [record.value for record in await read_all(cluster, Name.SCENE)] == [b"{}"]


@pytest.mark.parametrize(
    "changed",
    [{"password": "guessed"}, {"cert_file": None, "key_file": None}, {"ca_file": None}, {"security": "SASL_PLAINTEXT"}],
    ids=["password", "certificate", "authority", "plaintext"],
)
async def test_who_lacks_one_is_told_in_one_line_that_names_no_secret(
    cluster: Settings, identity: tuple[Path, Path], changed: dict[str, object]
) -> None:
    settings = let_in(cluster, identity, timeout_s=5, **changed)
    with pytest.raises(BrokerError, match=f"{cluster.bootstrap_servers}.*maskwatch doctor") as refused:
        async with clients.running(clients.durable_producer(settings), settings):
            pass
    assert PASSWORD not in str(refused.value)
    assert "guessed" not in str(refused.value)


def test_everything_runs_on_it(cluster: Settings, identity: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = identity
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "1.jpg"), np.full((120, 160, 3), 90, np.uint8))
    with Up.running(
        tmp_path / "home",
        "--camera",
        str(pictures),
        MASKWATCH_KAFKA__BOOTSTRAP_SERVERS=cluster.bootstrap_servers,
        MASKWATCH_KAFKA__TOPIC_PREFIX="up.",
        MASKWATCH_KAFKA__SECURITY="SASL_SSL",
        MASKWATCH_KAFKA__USERNAME=USER,
        MASKWATCH_KAFKA__PASSWORD=PASSWORD,
        MASKWATCH_KAFKA__CA_FILE=str(certificate),
        MASKWATCH_KAFKA__CERT_FILE=str(certificate),
        MASKWATCH_KAFKA__KEY_FILE=str(key),
    ) as up:
        up.wait_for("ready in ")
        assert "kafka" not in up.children()
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(15) == 0
        assert PASSWORD not in "\n".join([*up.lines, *up.rest()])
    logs = "".join(path.read_text() for path in (tmp_path / "home" / "logs").iterdir())
    assert PASSWORD not in logs
