"""Which uploads there are and where their answers lie, in Valkey, for every API process alike.

``upload:{id}`` says what was sent under an id, so that a key that is used again is told from one that is repeated;
``answer:{id}`` says where the first answer lies in ``predictions.v1``. ``answers`` says how far that topic was read:
while it is missing, as after a restart of Valkey, everything must be read again.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import NamedTuple, cast

from redis.exceptions import RedisError

from api import valkey
from maskwatch.errors import StoreError
from maskwatch.settings import Settings

CONNECTIONS = 16
"""To Valkey, at most."""

KEPT_S = 7 * 86_400
"""As long as the topics keep what it speaks of."""

_READ = "answers"
_PUBLISHED = b"published "


class Place(NamedTuple):
    """Where a record lies in its topic."""

    partition: int
    offset: int


class Claim(Enum):
    """What is known of an id that somebody wants to upload under."""

    NEW = "new"
    BEGUN = "begun"
    """The same was sent before, and it is not known whether it was published."""
    PUBLISHED = "published"
    """The same was sent before, and it is or will be answered."""
    CONFLICT = "conflict"
    """Something else was sent before."""


class ValkeyIndex:
    """The index; every call raises StoreError when Valkey does not answer in time.

    Parameters
    ----------
    settings
        Name the store and its time-outs.
    """

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.valkey.timeout_s
        self._prefix = settings.kafka.topic_prefix
        self._client = valkey.client(settings, CONNECTIONS)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def claim(self, upload: str, body_hash: str) -> Claim:
        """Note that this is being sent under an id, unless something was before; say which."""
        body = body_hash.encode()
        with store_errors():
            async with asyncio.timeout(self._timeout_s):
                before = await self._client.set(self._upload(upload), body, nx=True, ex=KEPT_S, get=True)
        if not isinstance(before, bytes):
            return Claim.NEW
        if before.removeprefix(_PUBLISHED) != body:
            return Claim.CONFLICT
        return Claim.PUBLISHED if before.startswith(_PUBLISHED) else Claim.BEGUN

    async def publish(self, uploads: Mapping[str, str]) -> None:
        """Note that these uploads, with their bodies' hashes, lie in the topic."""
        pipe = self._client.pipeline(transaction=False)
        for upload, body_hash in uploads.items():
            pipe.set(self._upload(upload), _PUBLISHED + body_hash.encode(), ex=KEPT_S)
        with store_errors():
            async with asyncio.timeout(self._timeout_s):
                await pipe.execute()

    async def read_until(self) -> dict[int, int]:
        """Return how far each partition of the answers was read; empty if nothing is known any more."""
        with store_errors():
            async with asyncio.timeout(self._timeout_s):
                found = await self._client.hgetall(self._key(_READ))
        return {int(partition): int(offset) for partition, offset in found.items()}

    async def answer(self, answers: Sequence[tuple[str, Place]], read_until: Mapping[int, int]) -> list[bool]:
        """Note where answers lie, and how far the topic was read; say of each whether it is the upload's first.

        Raises
        ------
        StoreError
            Also if nothing is known any more of what was read before: then everything must be read again.
        """
        pipe = self._client.pipeline(transaction=False)
        pipe.exists(self._key(_READ))
        for upload, place in answers:
            pipe.set(self._answer(upload), _written(place), nx=True, ex=KEPT_S, get=True)
        pipe.hset(self._key(_READ), mapping={str(partition): offset for partition, offset in read_until.items()})
        with store_errors():
            async with asyncio.timeout(self._timeout_s):
                known, *before, _ = await pipe.execute()
        if not known:
            await self.forget()
            raise StoreError("Valkey has lost the uploads; they are read again")
        return [old is None or old == _written(place) for old, (_, place) in zip(before, answers, strict=True)]

    async def begin(self, read_until: Mapping[int, int]) -> None:
        """Note that reading begins: from now on what was read is known."""
        with store_errors():
            async with asyncio.timeout(self._timeout_s):
                await self._client.hset(
                    self._key(_READ), mapping={str(partition): offset for partition, offset in read_until.items()}
                )

    async def forget(self) -> None:
        """Note that nothing is known of what was read."""
        with store_errors():
            async with asyncio.timeout(self._timeout_s):
                await self._client.delete(self._key(_READ))

    async def place(self, upload: str) -> Place | None:
        """Return where the first answer to an upload lies; None if it is not known."""
        with store_errors():
            async with asyncio.timeout(self._timeout_s):
                found = cast("bytes | None", await self._client.get(self._answer(upload)))
        if found is None:
            return None
        partition, _, offset = found.decode().partition(":")
        return Place(int(partition), int(offset))

    async def knows(self, upload: str) -> bool:
        """Tell whether something was sent under an id."""
        with store_errors():
            async with asyncio.timeout(self._timeout_s):
                return bool(await self._client.exists(self._upload(upload)))

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _upload(self, upload: str) -> str:
        return self._key(f"upload:{upload}")

    def _answer(self, upload: str) -> str:
        return self._key(f"answer:{upload}")


def _written(place: Place) -> bytes:
    return f"{place.partition}:{place.offset}".encode()


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise what Valkey's client may raise as StoreError."""
    try:
        yield
    except (RedisError, TimeoutError, OSError) as error:
        raise StoreError(f"Valkey does not answer: {error!r}") from error
