"""Label requests on their way: the picture of a chosen frame is fetched while it is there, and outlives it.

A frame is on the live topic for a minute, and on the recording for a day if it was recorded. What is gone is counted
and given back, so that another is chosen.
"""

import asyncio
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaProducer

from maskwatch import evidence, kafka, metrics
from maskwatch.drift_messages import LabelRequest, label_request_headers
from maskwatch.errors import BrokerError
from maskwatch.settings import Settings
from maskwatch.topics import Name

WAITING = 100
"""Requests whose picture is still to be fetched, at most."""

FETCHERS = 4
"""Pictures that are fetched at once, so that one which takes long holds few others up."""

log = structlog.get_logger(__name__)


class Requests:
    """Fetches pictures and publishes requests, beside whatever makes them: nothing there waits.

    Parameters
    ----------
    settings
        Name the cluster.
    producer
        Durable and running.
    gone
        Called with a camera of which a chosen frame was gone.
    """

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, gone: Callable[[str], None]) -> None:
        self._settings = settings
        self._producer = producer
        self._gone = gone
        self._waiting: asyncio.Queue[LabelRequest] = asyncio.Queue(WAITING)

    def put(self, request: LabelRequest) -> None:
        """Take a request; one more than may wait is as good as gone."""
        try:
            self._waiting.put_nowait(request)
        except asyncio.QueueFull:
            self._expired(request, "too many wait")

    async def run(self) -> None:
        """Fetch and publish until cancelled."""
        async with asyncio.TaskGroup() as fetching:
            for _ in range(FETCHERS):
                fetching.create_task(self._fetch())

    async def _fetch(self) -> None:
        while True:
            request = await self._waiting.get()
            try:
                jpeg = await evidence.very_picture(self._settings, request.frame)
                if jpeg is None:
                    self._expired(request, "gone")
                    continue
                await kafka.send(
                    self._producer,
                    self._settings,
                    Name.LABEL_REQUESTS,
                    key=request.frame.id,
                    value=jpeg,
                    headers=label_request_headers(request),
                )
            except BrokerError as error:
                self._expired(request, str(error))
            else:
                metrics.LABELS_REQUESTED.labels(request.why).inc()

    def _expired(self, request: LabelRequest, why: str) -> None:
        metrics.LABELS_EXPIRED.inc()
        log.info("a frame for labelling is gone; another is chosen", frame=request.frame.id, why=why)
        self._gone(request.frame.camera)
