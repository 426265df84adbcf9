"""Live pictures for viewers: each is read once and handed to everyone who looks at that camera.

Only cameras with viewers are read. A notice says that a camera has a new picture; its :class:`Feed` fetches it and
offers the same bytes to every :class:`Viewer`. A viewer has one place for a picture, newest wins, and is sent at most
two that it has not acknowledged, so that a slow one costs its own frames and nothing else. Where the pictures lie is
behind :class:`Pictures`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from typing import Protocol

import msgspec
import structlog

from maskwatch import metrics
from maskwatch.errors import MaskwatchError, MessageError, StoreError
from maskwatch.messages import rfc3339
from maskwatch.overlay import last_key, live_key, unpack

MOST_UNACKNOWLEDGED = 2
FIRST_RETRY_S = 0.25
LAST_RETRY_S = 1.0
"""One attempt a second costs nothing, and the picture is to be back within 5 s of the store."""

STORE_AWAY = "Valkey is away; the picture comes back by itself"

log = structlog.get_logger(__name__)


class Hello(msgspec.Struct, frozen=True, tag_field="event", tag="hello"):
    """The first message to a viewer."""

    now: str
    """The server's time, for ages."""


class Stale(msgspec.Struct, frozen=True, tag_field="event", tag="stale"):
    """That nothing fresh is there; told again now and then, as a sign of life."""

    last_seen: str | None
    """When the last known picture was published; None if there never was one."""
    reason: str


class Patience(msgspec.Struct, frozen=True):
    """When a viewer counts as dead."""

    ack_s: float = 15.0
    """Without an acknowledgement of what it was sent."""
    send_s: float = 5.0
    """Without taking what it is being sent."""


class TooManyViewersError(MaskwatchError):
    """There are as many viewers as there may be."""


class Notices(Protocol):
    """One connection that tells which cameras have new pictures. Everything raises StoreError when it breaks."""

    async def add(self, camera: str) -> None:
        """Tell of this camera from now on."""
        ...

    async def remove(self, camera: str) -> None:
        """Tell of this camera no more."""
        ...

    async def next(self) -> str:
        """Wait for a notice and return its camera."""
        ...


class Pictures(Protocol):
    """Where pictures lie: Valkey, or a dict in tests."""

    async def get(self, key: str) -> bytes | None:
        """Return a record, within a bound; None if there is none. Raises StoreError."""
        ...

    async def forget(self, camera: str, frame: str) -> None:
        """Remove what is kept of a camera if it is this very frame. Raises StoreError."""
        ...

    def notices(self) -> AbstractAsyncContextManager[Notices]:
        """Open a connection for notices. Raises StoreError."""
        ...


class Viewer:
    """One viewer: what it is to be sent next, and what it has not acknowledged.

    Parameters
    ----------
    clock
        Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._picture: bytes | None = None
        self._note: str | None = None
        self._changed = asyncio.Event()
        self._unacknowledged = 0
        self._waiting_since = 0.0

    def offer(self, picture: bytes) -> None:
        """Put a picture in the place of whatever has not been sent yet."""
        if self._picture is not None:
            metrics.FRAMES_NOT_SENT.inc()
        self._picture, self._note = picture, None
        self._changed.set()

    def tell(self, note: str) -> None:
        """Put a note after the picture that has not been sent yet, if there is one."""
        self._note = note
        self._changed.set()

    async def next(self) -> bytes | str:
        """Wait until something may be sent, and return it: a picture as bytes, a note as text."""
        while True:
            if self._picture is not None:
                if self._unacknowledged < MOST_UNACKNOWLEDGED:
                    picture, self._picture = self._picture, None
                    if self._unacknowledged == 0:
                        self._waiting_since = self._clock()
                    self._unacknowledged += 1
                    return picture
            elif self._note is not None:
                note, self._note = self._note, None
                return note
            self._changed.clear()
            await self._changed.wait()

    def acknowledge(self) -> None:
        """Count one picture as seen."""
        self._unacknowledged = max(0, self._unacknowledged - 1)
        self._waiting_since = self._clock()
        self._changed.set()

    async def silence(self, limit_s: float) -> None:
        """Return once a picture has gone unacknowledged for `limit_s` seconds without a sign of the viewer."""
        while (left := limit_s - self._waited()) > 0:  # noqa: ASYNC110  # a deadline that moves, not a condition
            await asyncio.sleep(left)

    def _waited(self) -> float:
        return self._clock() - self._waiting_since if self._unacknowledged else 0.0


class Feed:
    """The pictures of one camera, for as long as somebody looks at it.

    Parameters
    ----------
    camera
        Its id.
    pictures
        Where they lie.
    fresh_s
        After so many seconds without a new picture the viewers are told.
    why
        Says, for people, why a camera has no fresh picture.
    erased
        Tells of a frame whether it was erased: that is shown no more, wherever it still lies.
    """

    def __init__(
        self,
        camera: str,
        pictures: Pictures,
        fresh_s: float,
        why: Callable[[str], str],
        erased: Callable[[str], bool],
    ) -> None:
        self.viewers: set[Viewer] = set()
        self._camera = camera
        self._pictures = pictures
        self._fresh_s = fresh_s
        self._why = why
        self._erased = erased
        self._woken = asyncio.Event()
        self._woken.set()
        self._latest: bytes | None = None
        self._note: str | None = None

    def wake(self) -> None:
        """Look for a new picture."""
        self._woken.set()

    def join(self, viewer: Viewer) -> None:
        """Add a viewer; it gets at once what the others have seen last."""
        self.viewers.add(viewer)
        self._drop_erased()
        if self._latest is not None:
            viewer.offer(self._latest)
        if self._note is not None:
            viewer.tell(self._note)

    async def run(self) -> None:
        """Fetch pictures and hand them out while there are viewers; cancelled, it ends at once."""
        # Python 3.11's wait_for, which the store's client uses, can lose a cancellation.
        while self.viewers:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._fresh_s):
                    await self._woken.wait()
            overdue = not self._woken.is_set()
            self._woken.clear()
            await self._refresh(overdue=overdue)

    async def _refresh(self, *, overdue: bool) -> None:
        try:
            picture = await self._find(live_key(self._camera))
            if picture is not None and picture != self._latest:
                self._show(picture)
            elif picture is None or overdue:
                self._drop_erased()
                if self._latest is None and (last := await self._find(last_key(self._camera))) is not None:
                    self._show(last)
                self._tell(self._why(self._camera))
        except StoreError:
            self._tell(STORE_AWAY)

    async def _find(self, key: str) -> bytes | None:
        # Whoever erases a frame says so first, and removes it then; and its writer may be late.
        picture = await self._pictures.get(key)
        return None if picture is None or self._is_erased(picture) else picture

    def _drop_erased(self) -> None:
        if self._latest is not None and self._is_erased(self._latest):
            self._latest = None

    def _is_erased(self, picture: bytes) -> bool:
        try:
            return self._erased(unpack(picture)[0].frame.id)
        except MessageError:
            return False

    def _show(self, picture: bytes) -> None:
        self._latest, self._note = picture, None
        for viewer in self.viewers:
            viewer.offer(picture)

    def _tell(self, reason: str) -> None:
        seen = None if self._latest is None else _published(self._latest)
        note = msgspec.json.encode(Stale(None if seen is None else rfc3339(seen), reason)).decode()
        self._note = note
        for viewer in self.viewers:
            viewer.tell(note)


class Hub:
    """Every viewer of this process, and one connection for the notices that they need.

    Parameters
    ----------
    pictures
        Where the pictures lie.
    tasks
        Runs a feed per camera that has viewers; a feed that crashes ends the group.
    most
        Viewers at a time.
    fresh_s
        After so many seconds without a new picture a camera's viewers are told.
    why
        Says, for people, why a camera has no fresh picture.
    erased
        Tells of a frame whether it was erased, by this process or another.
    """

    def __init__(  # noqa: PLR0913  # all that viewers are shown
        self,
        pictures: Pictures,
        tasks: asyncio.TaskGroup,
        *,
        most: int,
        fresh_s: float,
        why: Callable[[str], str],
        erased: Callable[[str], bool],
    ) -> None:
        self._pictures = pictures
        self._tasks = tasks
        self._most = most
        self._fresh_s = fresh_s
        self._why = why
        self._erased = erased
        self._viewers = 0
        self._feeds: dict[str, tuple[Feed, asyncio.Task[None]]] = {}
        self._notices: Notices | None = None
        self._subscribing = asyncio.Lock()

    @asynccontextmanager
    async def viewing(self, camera: str) -> AsyncIterator[Viewer]:
        """Let somebody look at a camera.

        Raises
        ------
        TooManyViewersError
            If there are as many viewers as there may be.
        """
        if self._viewers >= self._most:
            raise TooManyViewersError(f"{self._most} viewers are connected, as many as there may be")
        self._viewers += 1
        metrics.VIEWERS.inc()
        viewer = Viewer(asyncio.get_running_loop().time)
        try:
            if camera not in self._feeds:
                new = Feed(camera, self._pictures, self._fresh_s, self._why, self._erased)
                self._feeds[camera] = new, self._tasks.create_task(new.run())
            feed, running = self._feeds[camera]
            feed.join(viewer)
            try:
                await self._subscribe_or_not(camera)
                yield viewer
            finally:
                feed.viewers.discard(viewer)
                if not feed.viewers:
                    running.cancel()
                    del self._feeds[camera]
                    await self._subscribe_or_not(camera)
        finally:
            self._viewers -= 1
            metrics.VIEWERS.dec()

    async def run(self) -> None:
        """Listen for notices, for ever; while the store is away, try again and again."""
        retry_s = FIRST_RETRY_S
        away = False
        while True:
            try:
                async with self._pictures.notices() as notices:
                    await self._subscribe_to_all(notices)
                    if away:
                        log.info("the store of pictures is back")
                    retry_s, away = FIRST_RETRY_S, False
                    while True:
                        found = self._feeds.get(await notices.next())
                        if found is not None:
                            found[0].wake()
            except StoreError as error:
                if not away:
                    log.warning("no pictures; trying again", error=str(error))
                away = True
            finally:
                self._notices = None
            self._wake_all()
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    async def _subscribe_to_all(self, notices: Notices) -> None:
        async with self._subscribing:
            for camera in list(self._feeds):
                await notices.add(camera)
            self._notices = notices
        self._wake_all()

    async def _subscribe_or_not(self, camera: str) -> None:
        # One at a time, and by what is wanted when its turn comes: a viewer may return while the last one leaves.
        async with self._subscribing:
            if self._notices is None:
                return
            # What breaks the connection here is met by the listener too, which opens another.
            with suppress(StoreError):
                await (self._notices.add(camera) if camera in self._feeds else self._notices.remove(camera))

    def _wake_all(self) -> None:
        for feed, _ in self._feeds.values():
            feed.wake()


def _published(picture: bytes) -> datetime | None:
    try:
        return unpack(picture)[0].published
    except MessageError:
        return None
