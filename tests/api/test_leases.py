"""Leases on a real Valkey: a frame is one person's at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from api.leases import ValkeyLeases
from maskwatch.errors import StoreError
from maskwatch.settings import Settings
from tests.support import stack
from tests.support.stack import Valkey
from tests.support.waiting import eventually

FRAMES = [f"gate:s1:{number}" for number in range(200)]


def settings_of(home: Path, url: str) -> Settings:
    return stack.settings_for(home, "127.0.0.1:1", {"valkey": {"url": url}})


@pytest.fixture
async def leases(valkey: Valkey, tmp_path: Path) -> AsyncIterator[ValkeyLeases]:
    async with aclosing(ValkeyLeases(settings_of(tmp_path, valkey.url))) as leases:
        yield leases


async def test_two_people_never_hold_the_same_frame(leases: ValkeyLeases) -> None:
    taken = await asyncio.gather(*(leases.take(FRAMES, f"person-{number}", 12) for number in range(15)))
    held = [frame for frames in taken for frame in frames]
    assert len(held) == len(set(held)) == 15 * 12
    assert set(held) <= set(FRAMES)
    # Asking again gives the same: they are one's own.
    assert await leases.take(FRAMES, "person-3", 12) == sorted(taken[3], key=FRAMES.index)
    # Whoever comes last gets what is left.
    assert len(await leases.take(FRAMES, "person-99", 50)) == 20


async def test_what_is_given_back_is_free_and_another_cannot_give_it_back(leases: ValkeyLeases) -> None:
    assert await leases.take(FRAMES[:2], "ann", 5) == FRAMES[:2]
    await leases.give_back(FRAMES[:2], "bob")
    assert (await leases.holder(FRAMES[0]), await leases.take(FRAMES[:2], "bob", 5)) == ("ann", [])
    await leases.give_back(FRAMES[:1], "ann")
    await leases.give_back([], "ann")
    assert await leases.holder(FRAMES[0]) == ""
    assert await leases.take(FRAMES[:2], "bob", 5) == FRAMES[:1]
    assert await leases.take([], "bob", 5) == []


async def test_what_was_walked_away_from_is_offered_again(leases: ValkeyLeases) -> None:
    leases._lease_ms = 300
    await leases.take(FRAMES[:1], "ann", 1)
    assert await eventually(lambda: leases.take(FRAMES[:1], "bob", 1)) == FRAMES[:1]


async def test_without_valkey_nobody_holds_anything(tmp_path: Path) -> None:
    async with aclosing(ValkeyLeases(settings_of(tmp_path, "redis://127.0.0.1:1/0"))) as leases:
        for call in (leases.take(FRAMES, "ann", 1), leases.holder("a"), leases.give_back(["a"], "ann")):
            with pytest.raises(StoreError):
                await call
