"""The model before the champion looks on: at one live frame in twenty, beside the one that serves.

It takes its turn once a frame's detection is on its way, one frame at a time and no frame that would have to wait. So
it takes a machine at most as long as its share of the frames, and no batch longer than one look of one model.
"""

import asyncio
import zlib
from datetime import UTC, datetime

import structlog
from aiokafka import AIOKafkaProducer

from maskwatch import kafka, metrics
from maskwatch.errors import BrokerError, StuckError
from maskwatch.inference import Detected
from maskwatch.messages import DetectedFace, FrameRef, ModelRef, encode
from maskwatch.settings import Settings
from maskwatch.shadow_messages import Shadowed
from maskwatch.topics import Name
from processors.serving import Before, Serving

log = structlog.get_logger(__name__)


class Shadow:
    """Lets the model before the champion look at some frames, and tells what both saw.

    Parameters
    ----------
    serving
        Has that model, for as long as the champion is watched.
    producer
        For what is live: one try.
    settings
        Which share of the frames.
    """

    def __init__(self, serving: Serving, producer: AIOKafkaProducer, settings: Settings) -> None:
        self._serving = serving
        self._producer = producer
        self._settings = settings
        self._looking: asyncio.Task[None] | None = None

    def offer(self, frame: FrameRef, jpeg: bytes, model: ModelRef, faces: tuple[DetectedFace, ...]) -> None:
        """Take a frame that was looked at, if it is one in so many and nothing is being looked at; never waits."""
        before = self._serving.before
        # A batch that was begun before the swap is of the model before.
        if before is None or model != before.champion:
            return
        if not chosen(frame.id, self._settings.rollout.shadow_share):
            return
        if self._looking is not None and not self._looking.done():
            metrics.FRAMES_SHADOWED.labels("busy").inc()
            return
        self._looking = asyncio.create_task(self._look(before, frame, jpeg, faces))

    async def close(self) -> None:
        """Let go of the frame that is being looked at."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self, before: Before, frame: FrameRef, jpeg: bytes, faces: tuple[DetectedFace, ...]) -> None:
        try:
            (outcome,) = await before.detector.detect([jpeg], "wide")
            if isinstance(outcome, Detected):
                await self._tell(before, frame, faces, outcome.faces)
                metrics.FRAMES_SHADOWED.labels("told").inc()
        except (BrokerError, StuckError, RuntimeError) as error:
            # It only looks on: whatever happens to it, the one that serves serves. RuntimeError: it was just closed.
            metrics.FRAMES_SHADOWED.labels("failed").inc()
            log.warning("the model before could not look on", frame=frame.id, error=str(error))

    async def _tell(
        self,
        before: Before,
        frame: FrameRef,
        by_champion: tuple[DetectedFace, ...],
        by_previous: tuple[DetectedFace, ...],
    ) -> None:
        now = datetime.now(UTC)
        shadowed = Shadowed(
            frame, before.promotion, before.champion, before.detector.ref, now, by_champion, by_previous
        )  # fmt: skip
        value, headers = encode(shadowed, kind="maskwatch.shadowed.v1", source="/detector", id=frame.id, time=now)
        await kafka.send(
            self._producer,
            self._settings,
            Name.SHADOW,
            key=frame.camera,
            value=value,
            headers=headers,
            timeout_s=kafka.LIVE_TIMEOUT_S,
        )


def chosen(frame: str, share: float) -> bool:
    """Tell whether a frame is among those that are looked at twice: the same ones for whoever asks.

    Examples
    --------
    >>> sum(chosen(f"door:s1:{number}", 0.05) for number in range(10_000))
    486
    """
    return zlib.crc32(frame.encode()) < share * 2**32
