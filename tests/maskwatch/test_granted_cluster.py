"""A cluster on which everybody has a name and may do what the role needs, and nothing else."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from consumers.alerts import raise_alerts
from consumers.dataset import keep_labels
from maskwatch import kafka as clients
from maskwatch import topics
from maskwatch.certificates import authority, issue
from maskwatch.drift_messages import Episode
from maskwatch.embedded.broker import free_port
from maskwatch.errors import BrokerError, RefusedError, SettingsError
from maskwatch.granting import command, grant
from maskwatch.holdings import Holdings, holdings
from maskwatch.label_messages import FrameLabel
from maskwatch.label_settings import LabelSettings, StoreSettings
from maskwatch.messages import Detection, FrameInfo, decode, encode, frame_headers
from maskwatch.roles import ROLES, rights_of
from maskwatch.secret_files import LOCAL
from maskwatch.settings import Settings
from maskwatch.subscribe import Frame, subscribe
from maskwatch.topics import Name, partition_count
from processors.app import watch_drift
from processors.judging import Judging
from processors.monitors import Monitors
from processors.quality import Labels
from tests.consumers import test_pseudo as pseudo
from tests.consumers.test_alerts import END, START, tell
from tests.processors.test_drift_app import labelled
from tests.support import stack
from tests.support.seen import NOON, Seen
from tests.support.topic import put, read_all, read_until
from tests.support.traffic import GOLDEN, HEIGHT, WIDTH
from tests.support.waiting import at_work, eventually
from training.shadowing import recorded

LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
NAMES = {
    Name.FRAMES_LIVE,
    Name.FRAMES_RECORDING,
    Name.DETECTIONS,
    Name.SCENE,
    Name.DRIFT,
    Name.ALERTS,
    Name.LABELS,
    Name.RUNS,
}
SOME = [topic for topic in topics.TOPICS if topic.name in NAMES]

pytestmark = pytest.mark.timeout(300)


class GuardedKafka(stack.EmbeddedKafka):
    """A broker as compose/cluster.yaml has three of them: certificates for the administrator, passwords for all others.

    Parameters
    ----------
    home
        Where it lies; `ca.crt` and `broker.pem` are in it.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._home = home
        self.admin_port = free_port(stack.PORTS)

    def command(self) -> list[str]:
        command = super().command()
        file = self.broker.home / "server.properties"
        properties = dict(line.split("=", 1) for line in file.read_text().splitlines())
        addresses = f"CLIENTS://127.0.0.1:{self.port},BROKERS://127.0.0.1:{self.admin_port}"
        properties |= {
            "listeners": f"{addresses},CONTROLLER://{properties['controller.quorum.voters'].partition('@')[2]}",
            "advertised.listeners": addresses,
            "inter.broker.listener.name": "BROKERS",
            "listener.security.protocol.map": "CLIENTS:SASL_SSL,BROKERS:SSL,CONTROLLER:SSL",
            "ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._home / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._home / "ca.crt"),
            "ssl.principal.mapping.rules": "RULE:^CN=([a-z0-9-]+)$/$1/",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.clients.scram-sha-512.sasl.jaas.config": LOGIN,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:kafka-1;User:admin",
        }
        file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        return command


class Guarded:
    """The cluster, and settings for those who come to it."""

    def __init__(self, home: Path, broker: GuardedKafka) -> None:
        self.home = home
        self._broker = broker

    def administrator(self, name: str = "admin") -> Settings:
        return self._settings(
            bootstrap_servers=f"127.0.0.1:{self._broker.admin_port}",
            security="SSL",
            cert_file=self.home / f"{name}.crt",
            key_file=self.home / f"{name}.key",
        )

    def user(self, name: str, **changed: object) -> Settings:
        return self._settings(**({"security": "SASL_SSL", "username": name, "password": f"{name}-s"} | changed))

    def _settings(self, **changed: object) -> Settings:
        known = {
            "bootstrap_servers": self._broker.address,
            "topic_prefix": "guarded.",
            "timeout_s": 10,
            "ca_file": self.home / "ca.crt",
        }
        return Settings.model_validate({"data_dir": self.home, "kafka": known | changed})


@pytest.fixture(scope="module")
def cluster() -> Iterator[Guarded]:
    with stack.scratch() as home:
        ours = authority("ours")
        (home / "ca.crt").write_bytes(ours.certificate)
        (home / "broker.pem").write_bytes(issue(ours, "kafka-1", LOCAL).store)
        for name, valid in (("admin", timedelta(days=1)), ("guest", timedelta(days=1)), ("late", timedelta(days=-1))):
            one = issue(ours, name, (), valid)
            (home / f"{name}.crt").write_bytes(one.certificate)
            (home / f"{name}.key").write_bytes(one.key)
        broker = GuardedKafka(home)
        broker.start()
        try:
            yield Guarded(home, broker)
        finally:
            broker.stop()


@pytest.fixture
async def granted(cluster: Guarded) -> Guarded:
    """Return the cluster with every role's user; asked again, nothing changes."""
    users = cluster.home / "users.toml"
    users.write_text("[kafka]\n" + "".join(f'{role} = "{role}-s"\n' for role in ROLES))
    # A loop of its own, as in the command line.
    await asyncio.to_thread(command, cluster.administrator(), users)
    await topics.ensure(cluster.user("operator"), 2**30, SOME)
    return cluster


async def test_a_camera_may_write_frames_and_nothing_else(granted: Guarded) -> None:
    camera = granted.user("camera")
    async with clients.running(clients.durable_producer(camera), camera) as producer:
        await put(producer, camera, Name.FRAMES_LIVE, "door", b"\xff\xd8")
        for name in (Name.DETECTIONS, Name.SCENE):
            with pytest.raises(BrokerError, match=rf"guarded\.{name} .*TopicAuthorizationFailed"):
                await put(producer, camera, name, "door", b"{}")
    with pytest.raises(BrokerError, match=r"«camera» use guarded\.frames\.live\.v1 .*ACLs.*«maskwatch secrets grant»"):
        await read_all(camera, Name.FRAMES_LIVE)


async def test_a_subscriber_reads_what_is_shown_in_groups_of_its_own(granted: Guarded) -> None:
    subscriber = granted.user("subscriber")
    assert await read_all(subscriber, Name.DETECTIONS) == []
    with pytest.raises(BrokerError, match=r"«subscriber» use guarded\.frames\.live\.v1"):
        await read_all(subscriber, Name.FRAMES_LIVE)
    await read_in_group(subscriber, "subscriber-desk")
    with pytest.raises(BrokerError, match=r"«subscriber» use guarded\.live \(GroupAuthorizationFailedError\)"):
        await read_in_group(subscriber, "live")


async def read_in_group(settings: Settings, group: str) -> None:
    consumer = clients.group_consumer(settings, group, None, "earliest")
    async with clients.running(consumer, settings):
        clients.subscribe(consumer, settings, [Name.DETECTIONS])
        await consumer.getmany(timeout_ms=2_000)


async def test_the_api_sees_how_everything_does_and_creates_nothing(granted: Guarded) -> None:
    held = await eventually(lambda: look(granted.user("api")))
    assert {one.name for one in held.topics} == {topic.name for topic in SOME}
    assert held.free is not None
    cameras = [topic for topic in topics.TOPICS if topic.name is Name.CAMERAS]
    with pytest.raises(BrokerError, match=r"guarded\.cameras\.v1 cannot be created: TopicAuthorizationFailedError"):
        await topics.ensure(granted.user("api"), 2**30, cameras)


async def look(settings: Settings) -> Holdings | None:
    """Return what lies in Kafka, None while it still makes the topic in which groups are kept."""
    try:
        return await holdings(settings, 30)
    except BrokerError as error:
        if "GroupCoordinatorNotAvailable" not in str(error):
            raise
        return None


async def test_whoever_grants_must_be_allowed_to(granted: Guarded) -> None:
    with pytest.raises(BrokerError, match=r"refuses what «camera» shall be .*super\.users"):
        await grant(granted.administrator("guest"), {"camera": "taken over"}, [])


def test_a_user_who_is_no_role_of_ours_is_refused() -> None:
    with pytest.raises(SettingsError, match="there is no role camra; did you mean camera"):
        rights_of(["camra"])


async def test_a_wrong_password_is_told_with_the_setting(granted: Guarded) -> None:
    stranger = granted.user("camera", password="guessed", timeout_s=5)  # noqa: S106  # the point
    with pytest.raises(BrokerError, match=r"kafka\.username and kafka\.password") as refused:
        async with clients.running(clients.durable_producer(stranger), stranger):
            pass
    assert "guessed" not in str(refused.value)


async def test_a_program_that_is_refused_is_told_at_once_and_not_left_waiting(granted: Guarded) -> None:
    stranger = granted.user("subscriber", password="guessed", timeout_s=5)  # noqa: S106  # the point
    with pytest.raises(RefusedError, match=r"kafka\.username and kafka\.password"):
        async with asyncio.timeout(60), subscribe(Detection, settings=stranger):
            pass
    with pytest.raises(RefusedError, match=r"«subscriber» use guarded\.frames\.live\.v1"):
        async with asyncio.timeout(60), subscribe(Frame, settings=granted.user("subscriber")):
            pass


async def test_a_drift_monitor_that_may_not_read_detections_ends_and_says_so(granted: Guarded) -> None:
    with pytest.raises(RefusedError, match=r"does not let «camera» use guarded\.detections\.v1.*ACLs decide that"):
        async with asyncio.timeout(60):
            await watch_drift(granted.user("camera"), asyncio.Event())


async def test_a_certificate_that_has_expired_is_told_with_the_setting(granted: Guarded) -> None:
    with pytest.raises(SettingsError, match=r"kafka\.cert_file .*late\.crt has expired on \d{4}-\d\d-\d\d"):
        clients.connection_options(granted.administrator("late"))
    with pytest.raises(SettingsError, match=r"kafka\.ca_file, kafka\.cert_file or kafka\.key_file cannot be used"):
        clients.connection_options(granted.administrator("nobody"))


def test_the_certificates_are_what_python_checks(cluster: Guarded) -> None:
    context = clients.connection_options(cluster.user("camera"))["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED


async def test_an_episode_is_alerted_and_what_people_say_of_it_is_heard(granted: Guarded) -> None:
    drift, api = granted.user("drift"), granted.user("api")
    seen = next(one for one in Seen().many(20) if one.objects)
    label = labelled(msgspec.structs.replace(seen, frame=msgspec.structs.replace(seen.frame, captured=NOON)))
    async with clients.running(clients.durable_producer(api), api) as producer:
        value, headers = encode(label, kind="maskwatch.label.v1", source="/t", id=label.frame, time=label.at)
        await put(producer, api, Name.LABELS, label.frame, value, headers)
    async with clients.running(clients.durable_producer(drift), drift) as producer:
        await tell(producer, drift, START, END)
    async with at_work(raise_alerts, granted.user("alerts")):
        await read_until(api, Name.ALERTS, bool)

    told: list[Episode] = []

    async def take(episode: Episode) -> None:
        told.append(episode)

    labels, all_cameras = Labels(), set(range(partition_count(Name.DRIFT)))
    judging = Judging(drift, Monitors(drift, {}, labels), labels, all_cameras, take)
    running = asyncio.create_task(judging.run())
    try:
        await eventually(lambda: told)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert told[0].confirmation is not None
    assert told[0].confirmation.labels == 1


async def test_a_model_labels_frames_that_were_recorded_and_a_candidate_looks_at_them(
    granted: Guarded, tmp_path: Path
) -> None:
    camera, detector, api = granted.user("camera"), granted.user("detector"), granted.user("api")
    dataset = granted.user("dataset").model_copy(
        update={
            "labels": LabelSettings(pseudo=True, frozen=None),
            "store": StoreSettings(url=f"file://{tmp_path}/store"),
        }
    )
    info = FrameInfo("door", "s1", 7, NOON, WIDTH, HEIGHT)
    async with (
        at_work(keep_labels, dataset),
        clients.running(clients.durable_producer(camera), camera) as frames,
        clients.running(clients.durable_producer(detector), detector) as detections,
    ):
        topic = f"{camera.kafka.topic_prefix}{Name.FRAMES_RECORDING}"
        sent = await frames.send_and_wait(topic, GOLDEN, key=b"door", headers=frame_headers(info))
        frame = msgspec.structs.replace(pseudo.seen(0).frame, id=info.id, partition=sent.partition)
        seen = msgspec.structs.replace(pseudo.seen(0), frame=frame)
        value, headers = encode(seen, kind="maskwatch.detection.v1", source="/t", id=info.id, time=NOON)

        async def by_model() -> bool:
            # From its end on: what comes before it has joined is nobody's.
            await put(detections, detector, Name.DETECTIONS, "door", value, headers)
            found = [decode(record.value, FrameLabel) for record in await read_all(api, Name.LABELS)]
            return any(label.made_by == "model" for label in found)

        await eventually(by_model)
    assert [jpeg for _, jpeg in await recorded(granted.user("retrainer"), 10)] == [GOLDEN]
