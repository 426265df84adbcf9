"""Who holds which frame, in Valkey, for every API process alike: no two people label the same one.

``lease:{frame}`` names its holder and expires by itself, so that what somebody walked away from is offered again.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import cast

from api import valkey
from api.upload_index import store_errors
from maskwatch.settings import Settings

CONNECTIONS = 8
"""To Valkey, at most; whoever finds all of them in use waits for one."""

AT_A_TIME = 64
"""Frames that are asked for in one go."""

_TAKE = """
local holder = redis.call('get', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return 1
"""
_GIVE_BACK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
"""Only one's own: by then it may have expired, and be another's."""


class ValkeyLeases:
    """The leases; every call raises StoreError when Valkey does not answer in time.

    Parameters
    ----------
    settings
        Name the store and its time-outs, and how long a lease lasts.
    """

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.valkey.timeout_s
        self._prefix = settings.kafka.topic_prefix
        self._lease_ms = int(settings.labels.lease_s * 1000)
        self._client = valkey.client(settings, CONNECTIONS)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def take(self, frames: Sequence[str], holder: str, most: int) -> list[str]:
        """Take frames that nobody else holds, and prolong what one holds already.

        Parameters
        ----------
        frames
            To choose from, those to prefer first.
        holder
            Who takes them.
        most
            How many.

        Returns
        -------
        list of str
            Those that are the holder's now, in the order of `frames`.
        """
        mine: list[str] = []
        for start in range(0, len(frames), AT_A_TIME):
            offered = frames[start : start + AT_A_TIME]
            while len(mine) < most and (free := await self._free([one for one in offered if one not in mine], holder)):
                # Of these somebody else may take some in the same moment: then there are others.
                mine += await self._take(free[: most - len(mine)], holder)
        return mine

    async def holder(self, frame: str) -> str:
        """Return who holds a frame; empty if nobody does."""
        (found,) = await self._holders([frame])
        return found

    async def give_back(self, frames: Sequence[str], holder: str) -> None:
        """Let go of those frames that are the holder's."""
        if not frames:
            return
        pipe = self._client.pipeline(transaction=False)
        for frame in frames:
            pipe.eval(_GIVE_BACK, 1, self._key(frame), holder)
        await self._within(pipe.execute())

    async def _free(self, frames: Sequence[str], holder: str) -> list[str]:
        holders = await self._holders(frames) if frames else []
        return [frame for frame, other in zip(frames, holders, strict=True) if other in {"", holder}]

    async def _holders(self, frames: Sequence[str]) -> list[str]:
        found = await self._within(self._client.mget([self._key(frame) for frame in frames]))
        return [value.decode() if value else "" for value in cast("list[bytes | None]", found)]

    async def _take(self, frames: Sequence[str], holder: str) -> list[str]:
        pipe = self._client.pipeline(transaction=False)
        for frame in frames:
            pipe.eval(_TAKE, 1, self._key(frame), holder, self._lease_ms)
        taken = cast("list[int]", await self._within(pipe.execute()))
        return [frame for frame, mine in zip(frames, taken, strict=True) if mine]

    async def _within(self, work: Awaitable[object]) -> object:
        with store_errors():
            async with asyncio.timeout(self._timeout_s):
                return await work

    def _key(self, frame: str) -> str:
        return f"{self._prefix}lease:{frame}"
