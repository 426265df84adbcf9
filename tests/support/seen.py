"""Detections for the drift monitor, made of chance and a seed: a camera that looks at a world that can change."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from maskwatch.messages import DetectedFace, Detection, FrameRef, FrameSignals, ModelRef

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
MODEL = ModelRef("yolov8n-facemask", "1", "ab" * 32)
OTHER_MODEL = ModelRef("yolov8n-facemask", "2", "cd" * 32)


class World(NamedTuple):
    """What a camera looks at."""

    light: float = 1.0
    blur: float = 0.0
    score: float = 0.8
    unmasked: float = 0.2
    """Share of people without a mask."""
    crowd: int = 4


class Seen:
    """A camera and a detector: one frame in `step_s` seconds, everything random from the seed."""

    def __init__(  # noqa: PLR0913  # what cameras differ in
        self,
        camera: str = "door",
        seed: int = 1,
        *,
        step_s: float = 2.0,
        session: str = "s1",
        start: datetime = NOON,
        model: ModelRef = MODEL,
    ) -> None:
        self.camera, self.session, self.model = camera, session, model
        self.sequence = 0
        self.at = start
        self._step = timedelta(seconds=step_s)
        self._random = np.random.default_rng(seed)

    def one(self, world: World = World()) -> Detection:  # noqa: B008  # it is frozen
        """Return the next detection."""
        self.at += self._step
        self.sequence += 1
        random = self._random
        frame = FrameRef(
            f"{self.camera}:{self.session}:{self.sequence}", self.camera, self.session, self.sequence, self.at,
            1280, 720, "frames.live.v1", 0, self.sequence,
        )  # fmt: skip
        signals = FrameSignals(
            brightness=round(float(random.normal(0.5, 0.05)) * world.light, 4),
            contrast=round(float(random.normal(0.2, 0.02)) * world.light, 4),
            sharpness=round(float(random.normal(0.5, 0.05)) * (1 - world.blur), 4),
            colour=round(float(random.normal(0, 0.02)), 4),
        )
        faces = tuple(self._face(world) for _ in range(int(random.poisson(world.crowd))))
        return Detection(frame, self.model, self.at, faces, signals)

    def many(self, count: int, world: World = World()) -> Iterator[Detection]:  # noqa: B008
        """Yield the next detections."""
        for _ in range(count):
            yield self.one(world)

    def _face(self, world: World) -> DetectedFace:
        random = self._random
        x, y, side = (
            float(value) for value in (random.uniform(0, 0.8), random.uniform(0, 0.8), random.uniform(0.05, 0.2))
        )
        label = "without_mask" if random.random() < world.unmasked else "with_mask"
        score = float(np.clip(random.normal(world.score, 0.08), 0.4, 0.99))
        return DetectedFace(label, round(score, 4), (x, y, x + side, y + side))  # type: ignore[arg-type]
