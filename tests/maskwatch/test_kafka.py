import asyncio
import math
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from maskwatch import kafka as clients
from maskwatch import reading
from maskwatch.errors import BrokerError, SettingsError
from maskwatch.settings import Settings
from maskwatch.topics import Name, partitions
from tests.support.ports import free_port
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put, read_all


def settings_with(**kafka: object) -> Settings:
    return Settings.model_validate({"kafka": kafka})


def test_a_login_is_passed_on() -> None:
    options = clients.connection_options(
        settings_with(security="SASL_PLAINTEXT", username="camera", password="hunter2", sasl_mechanism="PLAIN")  # noqa: S106
    )
    assert options["security_protocol"] == "SASL_PLAINTEXT"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("camera", "hunter2")
    assert "ssl_context" not in options


def test_certificates_are_loaded(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
        timeout=60,
    )
    options = clients.connection_options(settings_with(security="SSL", ca_file=cert, cert_file=cert, key_file=key))
    context = options["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"kafka\.ca_file"):
        clients.connection_options(settings_with(security="SSL", ca_file=tmp_path / "absent.pem"))


async def test_a_cluster_that_is_not_there_is_named_in_time() -> None:
    settings = settings_with(bootstrap_servers=f"127.0.0.1:{free_port()}", timeout_s=2)
    with pytest.raises(BrokerError, match=f"{settings.bootstrap_servers}.*maskwatch doctor"):
        async with clients.running(clients.durable_producer(settings), settings):
            pass
    with pytest.raises(BrokerError):
        await anext(reading.follow(settings, Name.SCENE, 1))


async def test_following_yields_what_is_there_then_what_comes(settings: Settings, create_topics: CreateTopics) -> None:
    await create_topics(settings, Name.SCENE)
    caught_up = asyncio.Event()
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for number in range(3):
            await put(producer, settings, Name.SCENE, "demo", f"{number}".encode())
        records = reading.follow(settings, Name.SCENE, 1, caught_up)
        first = [(await anext(records)).value for _ in range(3)]
        assert not caught_up.is_set()  # the last one was given, not yet taken
        coming = asyncio.ensure_future(anext(records))
        await asyncio.wait_for(caught_up.wait(), 30)
        await put(producer, settings, Name.SCENE, "demo", b"later")
        assert first == [b"0", b"1", b"2"]
        assert (await asyncio.wait_for(coming, 30)).value == b"later"
        await records.aclose()  # it is a generator


async def test_a_live_frame_is_given_up_and_never_replayed_while_a_label_waits_for_the_broker(
    own_broker: Kafka, create_topics: CreateTopics
) -> None:
    settings = own_broker.settings(kafka={"timeout_s": 30})
    await create_topics(settings, Name.FRAMES_LIVE, Name.SCENE)
    async with (
        clients.running(clients.live_producer(settings), settings) as live,
        clients.running(clients.durable_producer(settings), settings) as durable,
    ):
        for producer, name in ((live, Name.FRAMES_LIVE), (durable, Name.SCENE)):
            await put(producer, settings, name, "door", b"before")
        own_broker.kill()
        for number in range(3):
            with pytest.raises(BrokerError, match="did not take a record"):
                await clients.send(
                    live, settings, Name.FRAMES_LIVE, key="door", value=f"away {number}".encode(), headers=(),
                    timeout_s=clients.LIVE_TIMEOUT_S,
                )  # fmt: skip
        waiting = asyncio.create_task(put(durable, settings, Name.SCENE, "door", b"while away"))
        await asyncio.sleep(clients.LIVE_TIMEOUT_S * 2)
        await asyncio.to_thread(own_broker.start)
        await waiting
        await put(live, settings, Name.FRAMES_LIVE, "door", b"after")
        frames = [record.value for record in await read_all(settings, Name.FRAMES_LIVE)]
        knobs = [record.value for record in await read_all(settings, Name.SCENE)]
    assert frames == [b"before", b"after"]
    assert knobs == [b"before", b"while away"]


async def test_topics_of_the_same_key_are_shared_out_alike(settings: Settings, create_topics: CreateTopics) -> None:
    await create_topics(settings, Name.FRAMES_LIVE, Name.DETECTIONS)
    members = [clients.group_consumer(settings, "pair", f"member-{number}", "latest") for number in range(2)]
    for member in members:
        clients.subscribe(member, settings, [Name.FRAMES_LIVE, Name.DETECTIONS])
    async with clients.running(members[0], settings), clients.running(members[1], settings):
        async with asyncio.timeout(60):
            while not all(len(member.assignment()) == 32 for member in members):
                await asyncio.gather(*(member.getmany(timeout_ms=100) for member in members))
        for member in members:
            by_topic: dict[str, set[int]] = {}
            for partition in member.assignment():
                by_topic.setdefault(partition.topic, set()).add(partition.partition)
            frames, detections = by_topic.values()
            assert frames == detections


async def test_a_broker_that_dies_while_a_topic_is_read_is_told_in_time(
    own_broker: Kafka, create_topics: CreateTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = own_broker.settings(kafka={"timeout_s": 2})
    await create_topics(settings, Name.SCENE)
    places = partitions(settings, Name.SCENE)
    span = reading.span

    async def span_and_die(*asked: Any) -> reading.Span:  # noqa: ANN401  # as the one whose place it takes
        found = await span(*asked)
        own_broker.kill()
        return found

    consumer = clients.lone_consumer(settings, places)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        await put(producer, settings, Name.SCENE, "demo", b"{}")
    monkeypatch.setattr(reading, "span", span_and_die)
    async with asyncio.timeout(60), clients.running(consumer, settings):
        with pytest.raises(BrokerError, match="gives nothing any more"):
            await reading.held(settings, Name.SCENE, 1)
        with pytest.raises(BrokerError, match="what topics hold"):
            await span(consumer, settings, places, math.inf)
