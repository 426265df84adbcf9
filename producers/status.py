"""Say in ``camera-status.v1`` whether each camera gives frames, since when, and why not.

Only changes are published, from a task of its own: a broker that is away holds up no frame. Of a camera that changes
faster than Kafka answers, the newest state is published.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal

import structlog

from maskwatch import metrics
from maskwatch.errors import BrokerError
from maskwatch.messages import CameraStatus

log = structlog.get_logger(__name__)

Publish = Callable[[CameraStatus], Awaitable[None]]
"""Publishes one status; raises BrokerError if it was not acknowledged in time."""


class Statuses:
    """Keeps the state of each camera and publishes its changes.

    Parameters
    ----------
    publish
        How to publish one.
    now
        What time it is.
    """

    def __init__(self, publish: Publish, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._publish = publish
        self._now = now
        self._known: dict[str, CameraStatus] = {}
        self._pending: dict[str, CameraStatus] = {}
        self._changed = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def online(self, camera: str) -> None:
        """Note that a camera gave a frame."""
        self._set(camera, "online", "", expected=True)

    def offline(self, camera: str, reason: str, *, expected: bool = False) -> None:
        """Note that a camera gives no frames, and why, in words for people; `expected` if somebody wanted it so."""
        self._set(camera, "offline", reason, expected=expected)

    def is_online(self, camera: str) -> bool:
        """Tell whether a camera gave a frame last time."""
        known = self._known.get(camera)
        return known is not None and known.state == "online"

    async def run(self) -> None:
        """Publish changes until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.flush()

    async def flush(self) -> None:
        """Publish what has changed; what Kafka does not take in time is logged."""
        async with self._one_at_a_time:
            while self._pending:
                camera = next(iter(self._pending))
                status = self._pending.pop(camera)
                try:
                    await self._publish(status)
                except BrokerError as error:
                    log.warning("camera status not published", camera=camera, state=status.state, error=str(error))

    def _set(self, camera: str, state: Literal["online", "offline"], reason: str, *, expected: bool) -> None:
        known = self._known.get(camera)
        if known is not None and (known.state, known.reason) == (state, reason):
            return
        # A camera that stays offline for another reason has been offline since it first was.
        since = known.since if known is not None and known.state == state else self._now()
        status = CameraStatus(camera=camera, state=state, since=since, reason=reason)
        self._known[camera] = self._pending[camera] = status
        metrics.CAMERA_ONLINE.labels(camera).set(state == "online")
        if state == "online":
            log.info("camera online", camera=camera)
        elif expected:
            log.info("camera offline", camera=camera, reason=reason)
        else:
            log.warning("camera offline", camera=camera, reason=reason)
        self._changed.set()
