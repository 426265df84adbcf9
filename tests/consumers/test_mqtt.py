"""The mirror, from a real Kafka to a real Mosquitto."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import pytest
from aiokafka import AIOKafkaProducer

from consumers.mqtt import client_options, mirror
from maskwatch import kafka as clients
from maskwatch.embedded.broker import free_port
from maskwatch.errors import SettingsError
from maskwatch.messages import CameraStatus, Detection, FrameRef, ModelRef, encode
from maskwatch.settings import MqttSettings, Settings
from maskwatch.topics import Name
from tests.support.stack import PORTS, CreateTopics, Kafka
from tests.support.topic import put
from tests.support.waiting import at_work

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


class Mosquitto:
    """An MQTT broker of a test's own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port(PORTS)
        self._file = folder / "mosquitto.conf"
        self._file.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._file)], stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("mosquitto does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    running = Mosquitto(tmp_path)
    running.start()
    yield running
    running.stop()


async def see(producer: AIOKafkaProducer, settings: Settings, sequence: int) -> None:
    frame = FrameRef(f"door:s:{sequence}", "door", "s", sequence, NOON, 4, 3, "frames.live.v1", 0, sequence)
    value, headers = encode(
        Detection(frame, ModelRef("m", "1", "a"), NOON, ()), kind="x", source="/x", id="1", time=NOON
    )
    await put(producer, settings, Name.DETECTIONS, "door", value, headers)


async def heard(client: aiomqtt.Client, producer: AIOKafkaProducer, settings: Settings) -> aiomqtt.Message:
    """Let detections come until one is heard."""
    hearing = asyncio.ensure_future(anext(aiter(client.messages)))
    for sequence in range(300):
        await see(producer, settings, sequence)
        done, _ = await asyncio.wait([hearing], timeout=0.1)
        if done:
            break
    return hearing.result()


async def test_detections_and_states_are_told_again(
    kafka: Kafka, create_topics: CreateTopics, mosquitto: Mosquitto
) -> None:
    settings = kafka.settings(mqtt={"url": f"mqtt://127.0.0.1:{mosquitto.port}", "topic": "ours"})
    await create_topics(settings, Name.DETECTIONS, Name.CAMERA_STATUS)
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        value, headers = encode(CameraStatus("door", "online", NOON), kind="x", source="/x", id="1", time=NOON)
        await put(producer, settings, Name.CAMERA_STATUS, "door", value, headers)
        async with at_work(mirror, settings):
            async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
                await client.subscribe("ours/detections/#")
                message = await heard(client, producer, settings)
                assert str(message.topic) == "ours/detections/door"
                assert json.loads(bytes(message.payload))["frame"]["camera"] == "door"
            # Once the state has been told, whoever comes later is told it too.
            async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client, asyncio.timeout(30):
                await client.subscribe("ours/cameras/+")
                await anext(aiter(client.messages))
            async with aiomqtt.Client("127.0.0.1", mosquitto.port) as late:
                await late.subscribe("ours/cameras/+")
                async with asyncio.timeout(30):
                    message = await anext(aiter(late.messages))
                assert message.retain
                assert json.loads(bytes(message.payload))["state"] == "online"


async def test_an_mqtt_broker_that_is_away_is_waited_for(
    kafka: Kafka, create_topics: CreateTopics, mosquitto: Mosquitto
) -> None:
    settings = kafka.settings(mqtt={"url": f"mqtt://127.0.0.1:{mosquitto.port}"})
    await create_topics(settings, Name.DETECTIONS, Name.CAMERA_STATUS)
    mosquitto.stop()
    async with clients.running(clients.durable_producer(settings), settings) as producer, at_work(mirror, settings):
        for _ in range(2):
            await asyncio.sleep(1)
            await asyncio.to_thread(mosquitto.start)
            async with aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
                await client.subscribe("maskwatch/detections/door")
                await heard(client, producer, settings)
            await asyncio.to_thread(mosquitto.stop)


@pytest.mark.parametrize("url", ["", "http://host", "mqtt://u:secret@host:port"])
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match=r"mqtt\.url is no MQTT address") as error:
        client_options(Settings(mqtt=MqttSettings(url=url)))
    assert "secret" not in str(error.value)


def test_an_address_may_name_a_user_and_tls() -> None:
    found = client_options(Settings(mqtt=MqttSettings(url="mqtts://u:p%40ss@broker.example")))
    assert (found["hostname"], found["port"], found["username"], found["password"]) == (
        "broker.example",
        8883,
        "u",
        "p@ss",
    )
    assert found["tls_context"] is not None
