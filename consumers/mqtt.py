"""The mirror: detections and the states of cameras, told again over MQTT for those who speak that and not Kafka.

``{prefix}/detections/{camera}`` has each detection as JSON, at most once; ``{prefix}/cameras/{camera}`` has the newest
state, kept by the broker for whoever comes later. Nothing is told late: while the MQTT broker is away detections pass,
and states are told anew when it is back.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import aiomqtt
import msgspec
import structlog

from consumers.retrying import pause
from maskwatch.errors import SettingsError
from maskwatch.messages import CameraStatus, Detection
from maskwatch.settings import Settings
from maskwatch.subscribe import subscribe
from maskwatch.worker import notify_ready

PORTS = {"mqtt": 1883, "mqtts": 8883}
TIMEOUT_S = 5.0
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0

log = structlog.get_logger(__name__)


async def mirror(settings: Settings, stop: asyncio.Event) -> None:
    """Mirror until told to stop; brokers that are away are waited for.

    Parameters
    ----------
    settings
        Name Kafka, and `mqtt.url`.
    stop
        Ends it.

    Raises
    ------
    SettingsError
        If `mqtt.url` is missing or malformed.
    BrokerError
        If Kafka refuses us.
    """
    client_options(settings)
    retry_s = FIRST_RETRY_S
    away = False
    while not stop.is_set():
        try:
            async with connected(settings) as client:
                log.info("mirroring over MQTT")
                notify_ready("mirroring over MQTT")
                retry_s, away = FIRST_RETRY_S, False
                async with asyncio.TaskGroup() as both:
                    both.create_task(_detections(client, settings, stop))
                    both.create_task(_states(client, settings, stop))
        except* (aiomqtt.MqttError, TimeoutError) as group:
            if not away:
                away = True
                log.warning("the MQTT broker is away; trying again", error=str(group.exceptions[0]))
        if not stop.is_set() and away:
            await pause(stop, retry_s)
            retry_s = min(LAST_RETRY_S, 2 * retry_s)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[aiomqtt.Client]:
    """Connect to the MQTT broker of the settings."""
    async with aiomqtt.Client(**client_options(settings)) as client:
        yield client


def client_options(settings: Settings) -> dict[str, Any]:
    """Return what a client needs to reach the MQTT broker.

    Raises
    ------
    SettingsError
        If `mqtt.url` is missing or malformed; the message holds no password.
    """
    parts = urlsplit(settings.mqtt.url.get_secret_value())
    try:
        port = parts.port or PORTS[parts.scheme]
    except (KeyError, ValueError) as error:
        raise SettingsError("mqtt.url is no MQTT address; one looks like mqtt://user:password@host:1883") from error
    return {
        "hostname": parts.hostname or "127.0.0.1",
        "port": port,
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "identifier": f"maskwatch-{settings.kafka.topic_prefix}mirror",
        "timeout": TIMEOUT_S,
        "tls_context": ssl.create_default_context() if parts.scheme == "mqtts" else None,
        "max_queued_outgoing_messages": 1000,
    }


async def _detections(client: aiomqtt.Client, settings: Settings, stop: asyncio.Event) -> None:
    async with subscribe(Detection, settings=settings, stop=stop) as detections:
        async for detection in detections:
            topic = f"{settings.mqtt.topic}/detections/{detection.frame.camera}"
            await client.publish(topic, msgspec.json.encode(detection), qos=0)


async def _states(client: aiomqtt.Client, settings: Settings, stop: asyncio.Event) -> None:
    async with subscribe(CameraStatus, settings=settings, back_s=float("inf"), stop=stop) as states:
        async for state in states:
            topic = f"{settings.mqtt.topic}/cameras/{state.camera}"
            await client.publish(topic, msgspec.json.encode(state), qos=1, retain=True)
