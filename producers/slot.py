"""One place between a thread that gives and a task that takes: the newest wins.

A camera does not wait for Kafka. Its thread puts each picture here, over the one before if nobody has taken that yet,
and the publishing task takes what is newest whenever it is free. So nothing queues up, whatever goes wrong behind it.
"""

import asyncio
import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Slot(Generic[Item]):
    """Made in a running event loop, whose tasks take; one other thread puts and ends."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._changed = asyncio.Event()
        self._free = threading.Event()
        self._free.set()
        self._item: Item | None = None
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: Item) -> bool:
        """Lay an item down, from the giving thread.

        Returns
        -------
        bool
            True if it replaced one that nobody had taken.
        """
        with self._lock:
            replaced = self._item is not None
            self._item = item
            self._free.clear()
            self._wake()
        return replaced

    def wait_until_free(self, timeout: float) -> bool:
        """Wait, in the giving thread, until the last item was taken; False after `timeout` seconds."""
        return self._free.wait(timeout)

    def end(self, error: BaseException | None = None) -> None:
        """Say, from the giving thread, that nothing more comes, and why if that is a failure."""
        with self._lock:
            self._ended = True
            self._error = error
            self._wake()

    async def take(self) -> Item | None:
        """Wait for the newest item; None once the giver has ended.

        Raises
        ------
        BaseException
            What the giver ended with, after its last item was taken.
        """
        while True:
            with self._lock:
                item, self._item = self._item, None
                if item is not None:
                    self._free.set()
                    return item
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return None
                self._changed.clear()
            await self._changed.wait()

    async def ended(self) -> None:
        """Wait until the giver has ended, whatever lies here."""
        while True:
            with self._lock:
                if self._ended:
                    return
                self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """Let a giver that goes on nevertheless reach nobody: the loop may be gone by then."""
        with self._lock:
            self._closed = True
            self._item = None
            self._free.set()

    def _wake(self) -> None:
        if not self._closed:
            self._loop.call_soon_threadsafe(self._changed.set)
