"""The cameras of a replay, as others see them: wished for and online while it lasts, and gone afterwards.

A camera that another process shows already is not replayed beside it: two stories under one name are none. What a
process that was killed has left behind, «online» or a wish of a replay, is in nobody's way. As with capture, the last
who wishes for a camera takes it over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from aiokafka.errors import KafkaError

from maskwatch import kafka, reading
from maskwatch.errors import BrokerError, MessageError, SettingsError
from maskwatch.messages import Camera, CameraStatus, decode
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count, partitions
from producers.publishing import StatePublisher
from producers.wishes import Wish, read_wish

SOURCE = "replay:"
"""What a replayed camera's source begins with, before the file's name."""

LOOK_S = 3.0
"""A camera that is said to be online is believed if it gives a frame within this time, or two of its intervals."""

LONGEST_LOOK_S = 15.0
LAST_WORDS_S = 5.0


class Claims:
    """Shows cameras as this process's own.

    Parameters
    ----------
    settings
        Name the cluster.
    states
        Publishes wishes and states.
    process
        The name of this process, as `states` has it.
    """

    def __init__(self, settings: Settings, states: StatePublisher, process: str) -> None:
        self._settings = settings
        self._states = states
        self._process = process
        self._wishes: dict[str, Wish] = {}
        self._status: dict[str, CameraStatus] = {}
        self._own: set[str] = set()
        self._shown: dict[str, Camera] = {}
        self._following: list[asyncio.Task[None]] = []

    async def begin(self, cameras: Sequence[Camera], say: Callable[[str], None]) -> None:
        """Wish for the cameras that nobody wishes for, and say of all that they are online.

        Raises
        ------
        SettingsError
            If another process shows one of them; the message names it and what to do.
        BrokerError
            If Kafka does not answer.
        """
        caught_up = [asyncio.Event(), asyncio.Event()]
        self._following = [
            asyncio.create_task(self._follow(Name.CAMERAS, self._take_wish, caught_up[0])),
            asyncio.create_task(self._follow(Name.CAMERA_STATUS, self._take_status, caught_up[1])),
        ]
        await self._wait_for(caught_up)
        await self._refuse_shown(cameras, say)
        for camera in cameras:
            wish = self._wishes.get(camera.id)
            if wish is None or wish.camera.source.startswith(SOURCE):
                # Known as ours before the topic tells it back.
                self._wishes[camera.id] = Wish(camera, self._process)
                self._own.add(camera.id)
                await self._states.wish(camera)
            self._shown[camera.id] = camera
            await self._say(camera.id, "online", "")

    def holds(self, camera: str) -> bool:
        """Tell whether a camera is still this replay's to show."""
        if camera not in self._own:
            return True
        wish = self._wishes.get(camera)
        return wish is not None and wish.capturer == self._process

    async def end(self, reason: str) -> None:
        """Say that the cameras are offline, and why, and take the wishes back; within 5 s, whatever Kafka does."""
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        held = [camera for camera in self._shown if self.holds(camera)]
        words: list[Awaitable[None]] = [self._say(camera, "offline", reason) for camera in held]
        words += [self._states.take_back(camera) for camera in held if camera in self._own]
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await asyncio.gather(*words, return_exceptions=True)
        except TimeoutError:
            return

    async def _say(self, camera: str, state: Literal["online", "offline"], reason: str) -> None:
        await self._states.status(CameraStatus(camera=camera, state=state, since=datetime.now(UTC), reason=reason))

    async def _refuse_shown(self, cameras: Sequence[Camera], say: Callable[[str], None]) -> None:
        online = [c.id for c in cameras if (s := self._status.get(c.id)) is not None and s.state == "online"]
        if not online:
            return
        rates = [wish.camera.rate for identity in online if (wish := self._wishes.get(identity)) is not None]
        look_s = min(LONGEST_LOOK_S, max([LOOK_S, *(2 / rate for rate in rates)]))
        if shown := await _giving_frames(self._settings, online, look_s):
            raise SettingsError(
                f"camera «{shown}» is online from another process: stop that, or replay it under another id: "
                f"--rename {shown}={shown}-replay"
            )
        say(f"{', '.join(online)}: said to be online, but no frame came for {look_s:.0f} s; replaying")

    async def _wait_for(self, events: Sequence[asyncio.Event]) -> None:
        waiting = asyncio.ensure_future(_all(events))
        try:
            async with asyncio.timeout(self._settings.kafka.timeout_s * 2):
                await asyncio.wait([waiting, *self._following], return_when=asyncio.FIRST_COMPLETED)
            for task in self._following:
                if task.done():
                    task.result()
        except TimeoutError as error:
            raise BrokerError(
                f"{Name.CAMERAS} at {self._settings.bootstrap_servers} cannot be read: no answer"
            ) from error
        except KafkaError as error:
            raise BrokerError(
                f"{Name.CAMERAS} at {self._settings.bootstrap_servers} cannot be read: {error!r}"
            ) from error
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def _follow(self, name: Name, take: Callable[[kafka.Record], None], caught_up: asyncio.Event) -> None:
        async for record in reading.follow(self._settings, name, partition_count(name), caught_up):
            try:
                take(record)
            except MessageError:
                continue  # somebody else's mistake; capture and the API warn of it

    def _take_wish(self, record: kafka.Record) -> None:
        identity, wish = read_wish(record.key, record.value, record.headers)
        if wish is None:
            self._wishes.pop(identity, None)
        else:
            self._wishes[identity] = wish

    def _take_status(self, record: kafka.Record) -> None:
        identity = (record.key or b"").decode(errors="replace")
        if record.value:
            self._status[identity] = decode(record.value, CameraStatus)
        else:
            self._status.pop(identity, None)


async def _all(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


async def _giving_frames(settings: Settings, cameras: Collection[str], look_s: float) -> str | None:
    """Return the first of the cameras that publishes a live frame within `look_s` seconds."""
    name = f"{settings.kafka.topic_prefix}{Name.FRAMES_LIVE}"
    all_live = partitions(settings, Name.FRAMES_LIVE)
    consumer = kafka.lone_consumer(settings, all_live)
    keys: Mapping[bytes, str] = {camera.encode(): camera for camera in cameras}
    async with kafka.running(consumer, settings):
        try:
            async with asyncio.timeout(settings.kafka.timeout_s):
                await consumer.seek_to_end(*all_live)
            end = time.monotonic() + look_s
            while (left := end - time.monotonic()) > 0:
                for records in (await consumer.getmany(timeout_ms=max(1, int(left * 1000)))).values():
                    for record in records:
                        if record.key in keys:
                            return keys[record.key]
        except (KafkaError, TimeoutError) as error:
            raise BrokerError(f"{name} at {settings.bootstrap_servers} cannot be read: {error!r}") from error
    return None
