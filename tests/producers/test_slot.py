import asyncio
import threading

import pytest

from maskwatch.errors import SourceError
from producers.slot import Slot


async def test_the_newest_wins_and_the_giver_is_told() -> None:
    slot = Slot[str]()
    assert [slot.put("a"), slot.put("b"), slot.put("c")] == [False, True, True]
    assert await slot.take() == "c"
    assert slot.put("d") is False


async def test_a_waiting_taker_is_woken_from_another_thread() -> None:
    slot = Slot[int]()
    taking = asyncio.create_task(slot.take())
    await asyncio.sleep(0)
    thread = threading.Thread(target=slot.put, args=(7,))
    thread.start()
    assert await taking == 7
    thread.join()


async def test_the_last_item_comes_before_the_end() -> None:
    slot = Slot[str]()
    slot.put("last")
    slot.end()
    assert await slot.take() == "last"
    assert await slot.take() is None
    await slot.ended()


async def test_the_last_item_comes_before_the_failure() -> None:
    slot = Slot[str]()
    slot.put("last")
    slot.end(SourceError("unplugged"))
    assert await slot.take() == "last"
    with pytest.raises(SourceError, match="unplugged"):
        await slot.take()


async def test_a_giver_may_wait_until_the_item_was_taken() -> None:
    slot = Slot[str]()
    slot.put("a")
    assert not slot.wait_until_free(0)
    await slot.take()
    assert slot.wait_until_free(0)


async def test_ended_waits_for_the_giver() -> None:
    slot = Slot[str]()
    waiting = asyncio.create_task(slot.ended())
    slot.put("a")
    await asyncio.sleep(0.01)
    assert not waiting.done()
    slot.end()
    await waiting


def test_a_giver_that_goes_on_after_the_loop_is_gone_harms_nobody() -> None:
    async def made() -> Slot[str]:
        slot = Slot[str]()
        slot.close()
        return slot

    slot = asyncio.run(made())
    slot.put("nobody sees this")
    slot.end()
