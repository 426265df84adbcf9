import json

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from maskwatch import topics
from maskwatch.errors import BrokerError
from maskwatch.kafka import connection_options
from maskwatch.settings import Settings
from maskwatch.topics import TOPICS, Name, Topic
from tests.support.stack import CreateTopics, Kafka

GONE = {"kafka": {"bootstrap_servers": "127.0.0.1:9", "timeout_s": 1}}


def gone() -> Settings:
    return Settings.model_validate(GONE)


async def configuration(settings: Settings, name: Name) -> dict[str, str]:
    """Read a topic's effective configuration from the broker."""
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, f"{settings.kafka.topic_prefix}{name}")
        answers = await admin.describe_configs([resource])
    finally:
        await admin.close()
    return {entry[0]: entry[1] for answer in answers for entry in answer.resources[0][4]}


def topic(name: Name) -> Topic:
    return next(topic for topic in TOPICS if topic.name == name)


async def test_all_topics_are_created_once_as_the_contract_says(topics_ready: Settings) -> None:
    assert await topics.ensure(topics_ready, 2**30) == []
    states = {state.name: state.partitions for state in await topics.states(topics_ready)}
    assert states == {f"{topics_ready.kafka.topic_prefix}{topic.name}": topic.partitions for topic in TOPICS}
    live = await configuration(topics_ready, Name.FRAMES_LIVE)
    assert (live["message.timestamp.type"], live["retention.ms"]) == ("LogAppendTime", "60000")
    assert (await configuration(topics_ready, Name.CAMERAS))["cleanup.policy"] == "compact"
    assert (await configuration(topics_ready, Name.DETECTIONS))["compression.type"] == "gzip"
    for name, policy in ((Name.LABELS, "compact"), (Name.LABEL_REQUESTS, "compact,delete")):
        forgetting = await configuration(topics_ready, name)
        assert forgetting["cleanup.policy"] == policy
        assert (forgetting["max.compaction.lag.ms"], forgetting["segment.ms"]) == ("1800000", "1800000")


async def test_other_partition_counts_are_refused(settings: Settings, create_topics: CreateTopics) -> None:
    await create_topics(settings, Name.CAMERAS)
    other = Topic(Name.CAMERAS, "camera", 3, "cut otherwise")
    with pytest.raises(BrokerError, match=r"cameras\.v1 has 1 partitions, expected 3: partition counts are for life"):
        await topics.ensure(settings, 2**30, [other])


async def test_missing_topics_are_an_error_where_we_may_not_create(kafka: Kafka) -> None:
    settings = kafka.settings(kafka={"create_topics": False})
    with pytest.raises(BrokerError, match=r"topics are missing on .*cameras\.v1.*maskwatch topics --create"):
        await topics.ensure(settings, 2**30)
    assert await topics.states(settings) == []


async def test_a_broker_that_refuses_is_quoted(kafka: Kafka) -> None:
    settings = kafka.settings(kafka={"replication": 3})
    with pytest.raises(BrokerError, match=r"cameras\.v1 cannot be created: InvalidReplicationFactorError"):
        await topics.ensure(settings, 2**30, [topic(Name.CAMERAS)])


async def test_no_broker_is_named() -> None:
    with pytest.raises(BrokerError, match=r"Kafka at 127\.0\.0\.1:9 does not answer \(KafkaConnectionError\)"):
        await topics.states(gone())


def test_caps_share_the_disk_and_segments_fit_into_them() -> None:
    config = topic(Name.FRAMES_RECORDING).config(32 * 10**9)
    assert config["retention.bytes"] == str(int(0.4 * 10**9))
    assert config["segment.bytes"] == str(64 * 2**20)
    assert topic(Name.FRAMES_RECORDING).config(10**9)["segment.bytes"] == str(int(0.4 * 10**9 / 32) // 4)
    assert sum(topic.disk_share for topic in TOPICS) <= 1


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (Name.CAMERAS, "newest per key"),
        (Name.FRAMES_LIVE, "1 min, byte cap"),
        (Name.FRAMES_RECORDING, "1 d, byte cap"),
    ],
)
def test_retention_is_said_in_words(name: Name, kept: str) -> None:
    assert topic(name).kept() == kept


def test_listing_needs_no_broker(capsys: pytest.CaptureFixture[str]) -> None:
    topics.show(gone(), create=False, as_json=False)
    out, err = capsys.readouterr()
    header, *rows = out.splitlines()
    assert header.split() == ["topic", "key", "partitions", "kept", "present", "about"]
    assert [row.split()[0] for row in rows] == [topic.name for topic in TOPICS]
    assert all(" unknown  " in row for row in rows)
    assert "127.0.0.1:9 does not answer" in err


def test_listing_tells_what_is_there_and_creates_on_request(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    topics.show(settings, create=False, as_json=True)
    assert {row["present"] for row in json.loads(capsys.readouterr().out)} == {"missing"}
    topics.show(settings, create=True, as_json=True)
    out, err = capsys.readouterr()
    assert {row["present"] for row in json.loads(out)} == {"yes"}
    assert f"created {settings.kafka.topic_prefix}cameras.v1" in err
    topics.show(settings, create=True, as_json=False)
    assert "nothing was missing" in capsys.readouterr().err


def test_creating_without_a_broker_is_an_error() -> None:
    with pytest.raises(BrokerError):
        topics.show(gone(), create=True, as_json=False)


def test_the_budget_is_a_share_of_what_is_free_even_before_the_folder_exists(settings: Settings) -> None:
    half = settings.model_copy(update={"data_dir": settings.data_dir / "not" / "yet"})
    assert topics.disk_budget(half) > 0
