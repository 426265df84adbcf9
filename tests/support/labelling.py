"""Frames that people are asked to label, as the drift monitor would ask: drawn pictures, all of them different."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import cv2
import numpy as np

from maskwatch import kafka
from maskwatch.drift_messages import LabelRequest, label_request_headers
from maskwatch.messages import DetectedFace
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support import drifting

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
PROPOSED = (
    DetectedFace("with_mask", 0.48, (0.2, 0.2, 0.4, 0.6)),
    DetectedFace("without_mask", 0.81, (0.6, 0.3, 0.75, 0.65)),
)
SIZE = (320, 240)


def jpeg(seed: int, size: tuple[int, int] = SIZE) -> bytes:
    """Draw a picture that looks like no other."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    pixels = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def request(
    sequence: int,
    *,
    camera: str = "gate",
    why: Literal["near-threshold", "drift", "rare", "random"] = "near-threshold",
    objects: tuple[DetectedFace, ...] = PROPOSED,
    episode: str | None = None,
) -> LabelRequest:
    """Return a request; a higher sequence is a later one."""
    at = NOON + timedelta(seconds=sequence)
    text = f"score 0.48, near the threshold, {camera}, {at:%H:%M} UTC"
    return LabelRequest(drifting.frame(camera, at, sequence), drifting.MODEL, objects, why, text, at, episode)


async def ask(settings: Settings, *requests: LabelRequest) -> None:
    """Write requests with their pictures, whose seeds are the sequences."""
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        for one in requests:
            await kafka.send(
                producer,
                settings,
                Name.LABEL_REQUESTS,
                key=one.frame.id,
                value=jpeg(one.frame.sequence),
                headers=label_request_headers(one),
            )
