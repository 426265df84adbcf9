"""The model that a worker serves, which may be another one from one batch to the next.

What ``models.v1`` names is fetched, checked, compiled and shown the golden picture beside the old one, which serves
meanwhile; a batch that has begun is finished by the model that began it. A model that cannot be served is said so, and
the old one goes on. After a promotion the old one is kept for a while, to be asked beside the new one.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from maskwatch import metrics, reading
from maskwatch.errors import BrokerError, MessageError, ModelError, SettingsError, StoreError
from maskwatch.inference import Detected, Detector, Refused
from maskwatch.kafka import Record
from maskwatch.messages import ModelRef, decode
from maskwatch.model import ShapeName
from maskwatch.model_messages import Champion, PublishedModel
from maskwatch.published import fetch, forget
from maskwatch.settings import Settings
from maskwatch.store import Store
from maskwatch.topics import Name, partition_count

RETRY_S = 5.0
"""Between two tries to fetch a model from a store that does not answer."""
FETCH_S = 120.0
"""Longest time for all files of a model."""
MOST_FETCHING = 2
"""The model that is to serve, and the one before it."""
SHAPES: tuple[ShapeName, ...] = ("wide", "square")

log = structlog.get_logger(__name__)


class Before(NamedTuple):
    """The model before the champion, for as long as that is watched."""

    detector: Detector
    champion: ModelRef
    promotion: str
    """Id of the command that made the champion."""


class Serving:
    """The model that serves.

    Parameters
    ----------
    detector
        Serves until ``models.v1`` names another; that of `detector.model`.
    settings
        The whole tree.

    Attributes
    ----------
    before : Before or None
        The model before it, while it is watched.
    """

    def __init__(self, detector: Detector, settings: Settings) -> None:
        self._settings = settings
        self._now = _Served(detector)
        self._served: PublishedModel | None = None
        self._wanted: PublishedModel | None = None
        self._changed = asyncio.Event()
        self._swapped = asyncio.Event()
        self._champion: Champion | None = None
        self._kept: tuple[PublishedModel | None, Detector] | None = None
        self._freeing: set[asyncio.Task[None]] = set()
        self._fetching: set[asyncio.Task[Path]] = set()
        self.before: Before | None = None
        _tell(detector, loaded=True)

    @property
    def pictures_at_once(self) -> int:
        """How many pictures one call of the network takes; the runtime's, whatever the model."""
        return self._now.detector.load("wide").pictures_at_once

    async def detect(self, jpegs: Sequence[bytes], shape: ShapeName) -> tuple[ModelRef, list[Detected | Refused]]:
        """Look at pictures with the model of this moment, and say which that is.

        Raises
        ------
        StuckError
            If inference hangs.
        """
        now = self._now
        now.batches += 1
        try:
            return now.detector.ref, await now.detector.detect(jpegs, shape)
        finally:
            now.batches -= 1
            if now is not self._now and not now.batches and not now.kept:
                self._free(now.detector)

    async def until_free(self, looking: "asyncio.Task[Any]", count: int, shape: ShapeName) -> None:
        """Wait as :meth:`maskwatch.inference.Detector.until_free` does, for the model of this moment."""
        await self._now.detector.until_free(looking, count, shape)

    async def follow(self, stop: asyncio.Event) -> None:
        """Serve what ``models.v1`` names until told to stop."""
        work = [asyncio.create_task(one) for one in (self._read(), self._bring(), self._keep_before())]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([*work, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*work, stopping):
                task.cancel()
            ended = await asyncio.gather(*work, stopping, return_exceptions=True)
        for end in ended:
            if isinstance(end, Exception):
                raise end

    def close(self) -> None:
        """Let the models' threads end."""
        self._now.detector.close()
        if self._kept is not None:
            self._kept[1].close()

    def _free(self, detector: Detector) -> None:
        """Close a model that is done with, beside whatever goes on; its task is kept, or nobody would."""
        task = asyncio.create_task(detector.free())
        self._freeing.add(task)
        task.add_done_callback(self._freeing.discard)

    async def _read(self) -> None:
        while True:
            try:
                async for record in reading.follow(self._settings, Name.MODELS, partition_count(Name.MODELS)):
                    self._take(record)
            except BrokerError as error:
                # Detection goes on without it: what serves now serves on.
                log.warning("which model serves cannot be read", error=str(error))
                await asyncio.sleep(RETRY_S)

    def _take(self, record: Record) -> None:
        try:
            champion = decode(record.value, Champion)
        except MessageError as error:
            log.warning("malformed record skipped", topic=record.topic, offset=record.offset, error=str(error))
            return
        self._champion = champion
        self._wanted = champion.model
        self._changed.set()

    async def _bring(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._wanted != self._served:
                wanted = self._wanted
                try:
                    await self._serve(wanted)
                except (ModelError, SettingsError) as error:
                    metrics.MODELS_REFUSED.inc()
                    # Not a reason to end: the old one serves, and others may be able to serve the new one.
                    log.error("model cannot be served", model=_name(wanted), error=str(error))  # noqa: TRY400
                    break
                except StoreError as error:
                    log.warning("model cannot be fetched yet", model=_name(wanted), error=str(error))
                    await self._another(RETRY_S)

    async def _another(self, seconds: float) -> None:
        """Wait, but no longer than until another model is named."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def _serve(self, model: PublishedModel | None) -> None:
        fresh = await self._load(model)
        old, self._now, before, self._served = self._now, _Served(fresh), self._served, model
        _tell(old.detector, loaded=False)
        _tell(fresh, loaded=True)
        if self._watched_s(model) > 0 and self._champion is not None and self._champion.previous == before:
            old.kept = True
            if self._kept is not None:
                self._free(self._kept[1])
            self._kept = before, old.detector
        elif not old.batches:
            self._free(old.detector)
        self._swapped.set()
        log.info("model changed", model=fresh.card.name, version=fresh.card.version, sha256=fresh.ref.sha256)
        await self._forget(before)

    async def _forget(self, before: PublishedModel | None) -> None:
        """Remove what was fetched once and is neither served nor what a roll-back would lead to."""
        champion = self._champion
        kept = (before, self._served, self._wanted, *((champion.model, champion.previous) if champion else ()))
        names = {model.sha256 for model in kept if model is not None}
        try:
            gone = await asyncio.to_thread(forget, names, self._settings, time.time())
        except OSError as error:
            log.warning("models of earlier days cannot be removed", error=str(error))
        else:
            if gone:
                log.info("models of earlier days removed", models=gone)

    async def _load(self, model: PublishedModel | None) -> Detector:
        folder = self._settings.detector.model
        if model is not None:
            folder = await self._fetch(model)
        return await asyncio.to_thread(_ready, folder, self._settings)

    async def _fetch(self, model: PublishedModel) -> Path:
        """Fetch a model within a bound.

        Raises
        ------
        ModelError
            If it is not what it should be.
        StoreError
            If that takes too long, or fails.
        SettingsError
            If `store.url` names no place that can be used.
        """
        store = Store(self._settings)
        if len(self._fetching) >= MOST_FETCHING:
            # Threads that hang cannot be ended: no more are sent after them.
            await asyncio.wait(self._fetching, timeout=FETCH_S, return_when=asyncio.FIRST_COMPLETED)
        if len(self._fetching) >= MOST_FETCHING:
            raise StoreError("the store does not answer those who asked it before")
        task = asyncio.create_task(asyncio.to_thread(fetch, model, store, self._settings))
        self._fetching.add(task)
        task.add_done_callback(self._fetched)
        await asyncio.wait([task], timeout=FETCH_S)
        if not task.done():
            raise StoreError(f"the store did not give its files within {FETCH_S:g} s")
        return task.result()

    def _fetched(self, task: asyncio.Task[Path]) -> None:
        self._fetching.discard(task)
        if not task.cancelled():
            # Whoever gave it up is not told any more.
            task.exception()

    def _watched_s(self, model: PublishedModel | None) -> float:
        """Return for how long a model is watched still, if it is the champion; 0 for one that was brought back."""
        champion, rules = self._champion, self._settings.rollout
        if champion is None or champion.model != model or champion.rolled_back or not rules.shadow_share:
            return 0.0
        until = champion.since + timedelta(hours=rules.watch_hours)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())

    async def _keep_before(self) -> None:
        """Keep the model before the champion at hand while that is watched; after a restart it is fetched again."""
        while True:
            await self._swapped.wait()
            self._swapped.clear()
            kept, self._kept = self._kept, None
            champion, served, left = self._champion, self._now.detector.ref, self._watched_s(self._served)
            detector = kept[1] if kept is not None else None
            if champion is None or not left:
                if detector is not None:
                    self._free(detector)
                continue
            try:
                detector = detector or await self._load(champion.previous)
            except (ModelError, StoreError, SettingsError) as error:
                log.warning("the model before cannot look on", model=_name(champion.previous), error=str(error))
                continue
            self.before = Before(detector, served, champion.command)
            log.info("the model before looks on", model=_name(champion.previous), seconds=round(left))
            try:
                async with asyncio.timeout(left):
                    await self._swapped.wait()
            except TimeoutError:
                log.info("the model before has looked on for long enough", model=_name(champion.previous))
            finally:
                self.before = None
                self._free(detector)


class _Served:
    """A detector, and how many batches it is looking at."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.batches = 0
        self.kept = False
        """It looks on beside the next one: whoever keeps it closes it."""


def _ready(folder: Path, settings: Settings) -> Detector:
    detector = Detector(folder, settings.detector)
    try:
        for shape in SHAPES:
            detector.check_golden(shape)
    except BaseException:
        detector.close()
        raise
    return detector


def _tell(detector: Detector, *, loaded: bool) -> None:
    metrics.MODEL_LOADED.labels(detector.card.name, detector.card.version).set(int(loaded))


def _name(model: PublishedModel | None) -> str:
    return f"{model.name} {model.version}" if model else "detector.model"
