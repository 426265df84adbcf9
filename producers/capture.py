"""The capture stage: keep every wished-for camera running, each on its own, and say how it is.

A stage started with a source or a ``cameras.toml`` publishes these as wishes that are its own; without one it captures
what others wish for in ``cameras.v1``. Either way it follows that topic and keeps what runs equal to what is wanted: a
new wish starts a camera, a changed one starts it anew, one taken back ends it.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from maskwatch import kafka, reading
from maskwatch.errors import BrokerError, MessageError, SettingsError
from maskwatch.messages import Camera, SceneKnobs, decode
from maskwatch.settings import Settings
from maskwatch.topics import Name
from maskwatch.worker import Stage, notify_ready
from producers.cadence import Wait
from producers.logins import Logins, sealed
from producers.opening import open_source
from producers.publishing import FramePublisher, StatePublisher
from producers.shooting import Shooting, shoot
from producers.source import Source
from producers.status import Statuses
from producers.wishes import DEMO, Wish, from_source, read_file, read_wish, wanted

READY_TIMEOUT_S = 5.0
LAST_WORDS_S = 2.0
MOST_ENCODERS = 4
PAUSED = "paused"
TRYING = "being tried again"
HANGS_S = 3.0
"""An opening that takes longer is begun anew when somebody wants the camera to be tried."""

_NAMED_WHEN_READY = 3

log = structlog.get_logger(__name__)

Open = Callable[[Camera, Callable[[], SceneKnobs], Wait], Source]


def stage(  # noqa: PLR0913  # the command's options
    settings: Settings,
    source: str | None,
    options: Mapping[str, Any],
    file: Path | None,
    *,
    or_demo: bool = False,
    and_wished: bool = False,
) -> Stage:
    """Make the stage that captures.

    Parameters
    ----------
    settings
        Name the key that seals passwords.
    source
        What to capture: ``scene``, ``webcam:0``, an address, or the path of a clip or folder.
    options
        Fields of :class:`maskwatch.messages.Camera` for that source.
    file
        A ``cameras.toml`` with many, in place of a source; `capture.file` of the settings without either.
    or_demo
        Publish the demo scene, as camera «demo», if no camera is wished for.
    and_wished
        Beside one's own, capture what others wish for, and do not end with one's own.

    Raises
    ------
    SettingsError
        If what is named cannot be captured; the message says why.
    """
    if source is not None and file is not None:
        raise SettingsError("give a SOURCE or --file, not both")
    if source is None and options:
        given = ", ".join(sorted(options))
        raise SettingsError(f"{given}: belongs to a SOURCE; for many cameras write it into cameras.toml (--file)")
    seal = partial(sealed, settings)
    file = file or settings.capture.file
    own = (
        [from_source(source, options, Path.cwd(), seal)]
        if source is not None
        else read_file(file, seal)
        if file
        else []
    )

    async def capture(settings: Settings, stop: asyncio.Event) -> None:
        await capture_cameras(own, settings, stop, or_demo=or_demo, and_wished=and_wished)

    return capture


async def capture_cameras(  # noqa: PLR0913  # what is captured, and how it ends
    own: Sequence[Camera],
    settings: Settings,
    stop: asyncio.Event,
    *,
    or_demo: bool = False,
    and_wished: bool = False,
    opening: Open | None = None,
) -> None:
    """Capture cameras until told to stop, or until the last of one's own has ended.

    Parameters
    ----------
    own
        Cameras that this process wishes for and captures alone; empty to capture what others wish for.
    settings
        The whole tree.
    stop
        Set when it is time to end.
    or_demo
        Wish for the demo scene if nothing else is wished for.
    and_wished
        Capture what others wish for too.
    opening
        Opens a source, if not :func:`producers.opening.open_source` does.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached at the start. Later outages cost frames and nothing else.
    """
    process = secrets.token_hex(4)
    logins = Logins(settings, [camera.id for camera in own])
    opening = opening or partial(open_source, network=logins.open)
    async with (
        kafka.running(kafka.durable_producer(settings), settings) as durable,
        kafka.running(kafka.live_producer(settings), settings) as live,
    ):
        states = StatePublisher(durable, settings, process)
        for camera in own:
            await states.wish(camera)
        capture = _Capture(settings, process, states, FramePublisher(live, settings), opening)
        await capture.run(stop, ends=bool(own) and not and_wished, or_demo=or_demo and not own)


class _Running(NamedTuple):
    camera: Camera
    task: asyncio.Task[None]


class _Capture:
    """What this process captures, and what it knows of the topics that it follows."""

    def __init__(
        self, settings: Settings, process: str, states: StatePublisher, frames: FramePublisher, opening: Open
    ) -> None:
        self._settings = settings
        self._process = process
        self._states = states
        self._statuses = Statuses(states.status)
        self._encoder = ThreadPoolExecutor(min(MOST_ENCODERS, os.cpu_count() or 1), thread_name_prefix="encode")
        self._wishes: dict[str, Wish] = {}
        self._knobs: dict[str, SceneKnobs] = {}
        self._news: dict[str, str] = {}
        self._running: dict[str, _Running] = {}
        self._retries: dict[str, asyncio.Event] = {}
        self._opened: dict[str, float] = {}
        """When the source of each camera was opened last, by the loop's clock."""
        self._anew: set[str] = set()
        self._others = True
        self._changed = asyncio.Event()
        self._told = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._tools = Shooting(
            lambda camera, wait: opening(camera, lambda: self._knobs.get(camera.id, SceneKnobs()), wait),
            frames,
            self._statuses,
            self._encoder,
            self._tell,
            wait=self._wait_for_retry,
        )

    async def run(self, stop: asyncio.Event, *, ends: bool, or_demo: bool) -> None:
        """Keep what runs equal to what is wanted, until told to stop or, if it `ends`, until no camera of ours runs."""
        self._others = not ends
        background = [
            self._begin(self._follow_wishes()),
            self._begin(self._follow_knobs()),
            self._begin(self._statuses.run()),
            self._begin(self._announce(expected=or_demo)),
        ]
        waiting = [self._begin(stop.wait()), self._begin(self._caught_up.wait())]
        try:
            while not stop.is_set():
                self._changed.clear()
                for task in background:
                    if task.done():
                        task.result()
                if self._caught_up.is_set():
                    if or_demo and not self._ours():
                        await self._states.wish(DEMO)
                        or_demo = False
                    await self._reconcile()
                    if ends and all(running.task.done() for running in self._running.values()):
                        return
                await self._changed.wait()
        finally:
            await self._end(list(self._running))
            await self._say_goodbye()
            for task in (*background, *waiting):
                task.cancel()
            await asyncio.gather(*background, *waiting, return_exceptions=True)
            self._encoder.shutdown(wait=False, cancel_futures=True)

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._changed.set())
        return task

    def _ours(self) -> dict[str, Camera]:
        return wanted(self._wishes, self._process, others=self._others)

    def _wanted(self) -> dict[str, Camera]:
        return {identity: camera for identity, camera in self._ours().items() if not camera.paused}

    async def _reconcile(self) -> None:
        goal = self._wanted()
        for running in self._running.values():
            if running.task.done():
                running.task.result()
        anew = self._anew & self._running.keys()
        self._anew.clear()
        await self._end([i for i, (camera, _) in self._running.items() if goal.get(i) != camera or i in anew])
        for identity in anew & goal.keys():
            self._statuses.offline(identity, TRYING, expected=True)
        for identity in self._ours().keys() - goal.keys():
            self._statuses.offline(identity, PAUSED, expected=True)
        for identity, camera in goal.items():
            if identity not in self._running:
                log.info("camera starts", camera=identity, source=camera.source, rate=camera.rate)
                self._opened[identity] = asyncio.get_running_loop().time()
                self._running[identity] = _Running(camera, self._begin(shoot(camera, self._tools)))

    async def _end(self, identities: Sequence[str]) -> None:
        tasks = [self._running.pop(identity).task for identity in identities]
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for identity in identities:
            self._opened.pop(identity, None)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _follow_wishes(self) -> None:
        async for record in reading.follow(self._settings, Name.CAMERAS, 1, self._caught_up):
            try:
                identity, wish = read_wish(record.key, record.value, record.headers)
            except MessageError as error:
                log.warning("wish is passed over", offset=record.offset, error=str(error))
                continue
            if wish is None:
                self._wishes.pop(identity, None)
            elif self._wishes.get(identity) == wish:
                # To wish again for what is wished for already means: now.
                self._try_now(identity)
            else:
                self._wishes[identity] = wish
            self._changed.set()

    def _try_now(self, camera: str) -> None:
        if camera in self._retries:
            self._retries[camera].set()
        elif camera in self._opened and not self._statuses.is_online(camera):
            # An opening that hangs would take its time-out; one that was just begun is given a moment.
            opened = self._opened[camera]
            loop = asyncio.get_running_loop()
            loop.call_at(opened + HANGS_S, self._open_anew, camera, opened)

    def _open_anew(self, camera: str, opened: float) -> None:
        if self._opened.get(camera) == opened and camera not in self._retries and not self._statuses.is_online(camera):
            self._anew.add(camera)
            self._changed.set()

    async def _wait_for_retry(self, camera: str, seconds: float) -> None:
        now = self._retries[camera] = asyncio.Event()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await now.wait()
        finally:
            del self._retries[camera]
            self._opened[camera] = asyncio.get_running_loop().time()

    async def _follow_knobs(self) -> None:
        async for record in reading.follow(self._settings, Name.SCENE, 1):
            camera = (record.key or b"").decode(errors="replace")
            try:
                self._knobs[camera] = decode(record.value, SceneKnobs) if record.value else SceneKnobs()
            except MessageError as error:
                log.warning("knobs are passed over", camera=camera, offset=record.offset, error=str(error))

    async def _announce(self, *, expected: bool) -> None:
        await self._caught_up.wait()
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not self._wanted().keys() <= self._news.keys() or (expected and not self._wanted()):
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            log.warning("not every camera gives frames yet", news=dict(self._news))
        notify_ready(ready_text(list(self._wanted()), self._news))

    def _tell(self, camera: str, news: str) -> None:
        self._news[camera] = news
        self._told.set()

    async def _say_goodbye(self) -> None:
        demo = self._wishes.get(DEMO.id)
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self._statuses.flush()
                # Wished for by this process because there was nothing else, it ends with it.
                if self._others and demo is not None and demo.capturer == self._process:
                    await self._states.take_back(DEMO.id)
        except (BrokerError, TimeoutError) as error:
            log.warning("Kafka was not told that the cameras stop", error=repr(error))


def ready_text(cameras: Sequence[str], news: Mapping[str, str]) -> str:
    """Say in one line how the cameras began.

    Parameters
    ----------
    cameras
        Ids of the cameras that are wanted.
    news
        What there is to tell about each; a camera that is missing gave no frame yet.

    Examples
    --------
    >>> ready_text(["demo"], {"demo": "1280x720 at 10 frames/s"})
    'camera «demo» 1280x720 at 10 frames/s'
    """
    if not cameras:
        return "no camera is wished for"
    told = [f"camera «{camera}» {news.get(camera, 'gave no frame yet')}" for camera in cameras[:_NAMED_WHEN_READY]]
    more = len(cameras) - len(told)
    return "; ".join([*told, *([f"and {more} more"] if more else [])])
