"""What capture writes to Kafka.

Frames may be lost but never come late, so each has one try. Wishes and the states of cameras must not be lost.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from aiokafka import AIOKafkaProducer

from maskwatch import kafka, metrics
from maskwatch.errors import BrokerError
from maskwatch.messages import Camera, CameraStatus, FrameInfo, encode, frame_headers
from maskwatch.settings import Settings
from maskwatch.topics import Name
from producers.wishes import Wish, write_wish

STATUS_TIMEOUT_S = 5.0
CLOCKS_APART_S = 5.0
"""A frame that was acknowledged was under way for a second at most: the rest can only be a clock's."""

log = structlog.get_logger(__name__)


class FramePublisher:
    """Publishes frames, each with one try.

    Parameters
    ----------
    producer
        Made by :func:`maskwatch.kafka.live_producer`, and running.
    settings
        Names the cluster and the prefix.
    clock
        Tells this machine's time, in seconds since the epoch.
    """

    def __init__(self, producer: AIOKafkaProducer, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._producer = producer
        self._settings = settings
        self._clock = clock
        self._apart = False

    async def publish(self, info: FrameInfo, jpeg: bytes, *, record: bool) -> bool:
        """Publish a frame, and the very same bytes for the recording if asked to.

        Returns
        -------
        bool
            False if the frame was not acknowledged within a second.
        """
        sending = [self._send(Name.FRAMES_LIVE, info, jpeg)]
        if record:
            sending.append(self._send(Name.FRAMES_RECORDING, info, jpeg))
        acknowledged, *_ = await asyncio.gather(*sending)
        if not acknowledged:
            metrics.FRAMES_NOT_PUBLISHED.labels(info.camera, "unacknowledged").inc()
        return acknowledged

    async def _send(self, name: Name, info: FrameInfo, jpeg: bytes) -> bool:
        try:
            appended = await kafka.send(
                self._producer,
                self._settings,
                name,
                key=info.camera,
                value=jpeg,
                headers=frame_headers(info),
                timeout_s=kafka.LIVE_TIMEOUT_S,
            )
        except BrokerError:
            return False
        metrics.FRAMES_PUBLISHED.labels(info.camera, name.value).inc()
        self._compare(self._clock() - appended)
        return True

    def _compare(self, ahead_s: float) -> None:
        """Say once when this machine's clock and the broker's part, and once when they agree again."""
        apart = abs(ahead_s) > CLOCKS_APART_S
        if apart and not self._apart:
            log.warning(
                "this machine's clock is not Kafka's: frames carry wrong times until both are set, by NTP say",
                ahead_s=round(ahead_s, 1),
            )
        elif self._apart and not apart:
            log.info("this machine's clock is Kafka's again")
        self._apart = apart


class StatePublisher:
    """Publishes wishes and the states of cameras.

    Parameters
    ----------
    producer
        Made by :func:`maskwatch.kafka.durable_producer`, and running.
    settings
        Names the cluster and the prefix.
    process
        The name of this process.
    for_all
        Wishes are for whoever follows the topic, not for this process alone.
    """

    def __init__(self, producer: AIOKafkaProducer, settings: Settings, process: str, *, for_all: bool = False) -> None:
        self._producer = producer
        self._settings = settings
        self._process = process
        self._capturer = None if for_all else process

    async def wish(self, camera: Camera) -> None:
        """Publish a wish.

        Raises
        ------
        BrokerError
            If it was not acknowledged in time.
        """
        value, headers = write_wish(Wish(camera, self._capturer), f"/capture/{self._process}", datetime.now(UTC))
        await kafka.send(self._producer, self._settings, Name.CAMERAS, key=camera.id, value=value, headers=headers)

    async def take_back(self, camera: str) -> None:
        """Take the wish for a camera back.

        Raises
        ------
        BrokerError
            If it was not acknowledged in time.
        """
        await kafka.send(
            self._producer, self._settings, Name.CAMERAS, key=camera, value=None, headers=[], timeout_s=STATUS_TIMEOUT_S
        )

    async def status(self, status: CameraStatus) -> None:
        """Publish the state of a camera.

        Raises
        ------
        BrokerError
            If it was not acknowledged within 5 s; it may still be.
        """
        value, headers = encode(
            status,
            kind="maskwatch.camera-status.v1",
            source=f"/capture/{self._process}",
            id=f"{status.camera}:{status.state}:{status.since:%Y%m%dt%H%M%S.%f}",
            time=datetime.now(UTC),
        )
        await kafka.send(
            self._producer,
            self._settings,
            Name.CAMERA_STATUS,
            key=status.camera,
            value=value,
            headers=headers,
            timeout_s=STATUS_TIMEOUT_S,
        )
