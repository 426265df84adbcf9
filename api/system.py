"""How everything does: looks at the figures, at Kafka and at the cameras, and remembers since when what is wrong.

The figures of the processes on this machine are looked at every few seconds, Kafka twice a minute, and whenever
somebody asks; several who ask at a time share one look. Nothing here waits longer than its bound.
"""

import asyncio
import platform
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import structlog

from api.figures import Change, Look, full_in
from api.roster import RosterFeed
from api.schemas import CameraState, Check
from api.system_schemas import (
    CameraFigures,
    Count,
    Disk,
    Lag,
    Pipeline,
    Reader,
    System,
    TopicFigures,
    TroubleAnswer,
    Version,
    Worker,
)
from api.troubles import Seen, Trouble, troubles
from api.viewers import Pictures
from maskwatch import __version__, metrics
from maskwatch.errors import BrokerError, MaskwatchError, MessageError, StoreError
from maskwatch.holdings import Holdings, holdings
from maskwatch.messages import LiveFrame
from maskwatch.overlay import live_key, unpack
from maskwatch.settings import Settings

EVERY_S = 10.0
LOOKS = 7
"""Figures of the last minute are kept."""

SURVEY_EVERY_S = 30.0
FRESH_S = 4.0
"""So long a survey of Kafka is good for whoever asks."""

KAFKA_TIMEOUT_S = 10.0
PATIENCE_S = 3.0
"""Nobody waits longer for Kafka or for a check: the page that asks gives up after five seconds."""

DISK_LOOKS = 360
"""At one in half a minute: three hours."""

DISK_LEAST_S = 600.0
MOST_CAMERAS = 200
"""Of so many cameras the newest frame is looked at."""

AT_A_TIME = 4

ReadinessCheck = Callable[[], Awaitable[str]]
"""Returns why something that the server needs is not there; an empty text when it is."""

log = structlog.get_logger(__name__)


class SystemMonitor:
    """Knows how everything does.

    Parameters
    ----------
    settings
        The whole tree.
    cameras
        Which cameras there are.
    pictures
        Where the newest frames lie.
    checks
        What the server needs, see :func:`api.dependencies.readiness`.
    """

    def __init__(
        self,
        settings: Settings,
        cameras: RosterFeed,
        pictures: Pictures,
        checks: Mapping[str, ReadinessCheck],
    ) -> None:
        self._settings = settings
        self._cameras = cameras
        self._pictures = pictures
        self._checks = checks
        self._looks: deque[Look] = deque(maxlen=LOOKS)
        self._free: deque[tuple[float, int]] = deque(maxlen=DISK_LOOKS)
        self._first_seen: dict[str, datetime] = {}
        self._held: Holdings | None = None
        self._held_at = float("-inf")
        self._survey: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Look for ever, so that what is wrong has a beginning when somebody asks."""
        try:
            while True:
                await self._look()
                if time.monotonic() - self._held_at > SURVEY_EVERY_S:
                    await self.status()
                await asyncio.sleep(EVERY_S)
        finally:
            if self._survey is not None:
                self._survey.cancel()
                await asyncio.gather(self._survey, return_exceptions=True)

    async def status(self) -> System:
        """Return how everything does; what cannot be found out in time is left out and told as what is wrong."""
        if not self._looks:
            await self._look()
        now = datetime.now(UTC)
        held, checks, frames = await asyncio.gather(self._holdings(), look_at(self._checks), self._frames())
        cameras = self._cameras.roster.cameras()
        change = Change(self._looks[0], self._looks[-1])
        pipeline = _pipeline(change)
        fills = full_in(self._free, DISK_LEAST_S)
        ages = {name: None if live is None else (now - live.published).total_seconds() for name, live in frames.items()}
        wrong = troubles(Seen(now, checks, cameras, ages, held, fills, _skipped_share(change)))
        return System(
            now=now,
            troubles=self._dated(wrong, now),
            cameras=[_camera(camera, frames.get(camera.id), change) for camera in cameras],
            workers=[Worker.model_validate(process) for process in change.processes()],
            readers=[Reader(stage=one.stage, group=one.group, hosts=list(one.hosts)) for one in held.readers]
            if held
            else [],
            pipeline=pipeline,
            topics=_topics(held) if held else [],
            disk=self._disk(held, fills),
            versions=self._versions(frames),
        )

    async def _look(self) -> None:
        figures = await asyncio.to_thread(metrics.by_process)
        self._looks.append(Look(time.monotonic(), figures))

    async def _holdings(self) -> Holdings | None:
        """Return what Kafka holds, as it was known last if it does not say so in time."""
        if self._survey is None and time.monotonic() - self._held_at > FRESH_S:
            self._survey = asyncio.create_task(self._ask_kafka())
        if self._survey is not None:
            await asyncio.wait({self._survey}, timeout=PATIENCE_S)
        return self._held

    async def _ask_kafka(self) -> None:
        try:
            self._held = await holdings(self._settings, KAFKA_TIMEOUT_S)
        except BrokerError as error:
            self._held = None
            log.warning("Kafka does not say what it holds", error=str(error))
        else:
            if self._held.free is not None:
                self._free.append((time.monotonic(), self._held.free))
        finally:
            self._held_at = time.monotonic()
            self._survey = None

    async def _frames(self) -> dict[str, LiveFrame | None]:
        """Return the newest joined frame of each camera."""
        turns = asyncio.Semaphore(AT_A_TIME)

        async def newest(camera: str) -> LiveFrame | None:
            async with turns:
                record = await self._pictures.get(live_key(camera))
            return unpack(record)[0] if record else None

        names = [camera.id for camera in self._cameras.roster.cameras()[:MOST_CAMERAS]]
        found = await asyncio.gather(*map(newest, names), return_exceptions=True)
        frames: dict[str, LiveFrame | None] = {}
        for name, one in zip(names, found, strict=True):
            if isinstance(one, StoreError | MessageError):
                # Without the store nothing is known of any camera: the check of the store says so.
                continue
            if isinstance(one, BaseException):
                raise one
            frames[name] = one
        return frames

    def _dated(self, wrong: list[Trouble], now: datetime) -> list[TroubleAnswer]:
        keys = {trouble.key for trouble in wrong}
        self._first_seen = {key: at for key, at in self._first_seen.items() if key in keys}
        return [
            TroubleAnswer.model_validate(
                trouble._replace(since=trouble.since or self._first_seen.setdefault(trouble.key, now))
            )
            for trouble in wrong
        ]

    def _disk(self, held: Holdings | None, fills: float | None) -> Disk | None:
        if held is None or held.free is None or held.total is None:
            return None
        seen = self._free[-1][0] - self._free[0][0] if self._free else 0.0
        return Disk(free=held.free, total=held.total, full_in_s=fills, seen_s=round(seen, 1))

    def _versions(self, frames: Mapping[str, LiveFrame | None]) -> list[Version]:
        models = sorted({f"{live.model.name} {live.model.version}" for live in frames.values() if live is not None})
        parts = [("Maskwatch", __version__), *(("Model in service", model) for model in models)]
        parts += [("Python", platform.python_version()), ("System", f"{platform.system()} {platform.release()}")]
        return [Version(name=name, version=version) for name, version in parts]


async def look_at(checks: Mapping[str, ReadinessCheck]) -> list[Check]:
    """Look whether what the server needs is there; what does not say so within three seconds is not."""
    return list(await asyncio.gather(*(_look_at(name, check) for name, check in checks.items())))


async def _look_at(name: str, check: ReadinessCheck) -> Check:
    try:
        async with asyncio.timeout(PATIENCE_S):
            reason = await check()
    except (MaskwatchError, TimeoutError) as error:
        reason = str(error) or f"no answer within {PATIENCE_S:g} s"
    return Check(name=name, ok=not reason, reason=reason)


def _camera(camera: CameraState, live: LiveFrame | None, change: Change) -> CameraFigures:
    lost = change.by("maskwatch_frames_not_published_total", "reason", {"camera": camera.id})
    return CameraFigures(
        id=camera.id,
        name=camera.name,
        state="paused" if camera.paused else camera.state,
        since=camera.since,
        reason=camera.reason,
        wished=camera.rate,
        rate=round(live.rate, 2) if live else None,
        age_s=round((live.detected - live.published).total_seconds(), 3) if live else None,
        dropped=live.dropped if live else None,
        lost=_counts(lost, change.seconds),
    )


def _pipeline(change: Change) -> Pipeline:
    ages = "maskwatch_frame_age_seconds"
    return Pipeline(
        seconds=round(change.seconds, 1),
        detected=change.rate("maskwatch_frames_detected_total"),
        age_p50_s=change.quantile(ages, 0.5),
        age_p95_s=change.quantile(ages, 0.95),
        skipped=_counts(change.by("maskwatch_frames_skipped_total", "reason"), change.seconds),
    )


def _skipped_share(change: Change) -> float:
    skipped = change.grown("maskwatch_frames_skipped_total")
    looked = change.grown("maskwatch_frames_detected_total", {"lane": "live"})
    return skipped / (skipped + looked) if skipped + looked > 0 else 0.0


def _counts(grown: Mapping[str, float], seconds: float) -> list[Count]:
    return [Count(reason=reason, per_minute=round(60 * count / max(seconds, 1), 2)) for reason, count in grown.items()]


def _topics(held: Holdings) -> list[TopicFigures]:
    return [
        TopicFigures(
            name=one.name,
            records=one.records,
            bytes=one.bytes,
            oldest=one.oldest,
            kept=one.kept,
            lag=[Lag(group=group, records=records) for group, records in one.lag.items()],
        )
        for one in held.topics
    ]
