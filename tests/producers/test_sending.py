import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from producers import sending
from producers.sending import Counts, DurableQueue, LiveLanes, Outgoing


def outgoing(number: int, *, key: bytes | None = b"door", value: bytes | None = b"jpeg") -> Outgoing:
    return Outgoing("topic", key, value, (("number", str(number).encode()),), frame=True)


class FakeProducer:
    """Acknowledges what it is told to, and remembers in which order it was asked."""

    def __init__(self, *answers: type[KafkaError] | None, acknowledging: bool = True) -> None:
        self.asked: list[int] = []
        self.under_way: list[asyncio.Future[None]] = []
        self.most = 0
        self._answers = list(answers)
        self._acknowledging = acknowledging

    async def send(self, topic: str, *, value: Any, key: Any, headers: Any) -> asyncio.Future[None]:  # noqa: ANN401
        self.asked.append(int(headers[0][1]))
        if self._answers and (answer := self._answers.pop(0)) is not None:
            raise answer
        future = asyncio.get_running_loop().create_future()
        self.under_way.append(future)
        if self._acknowledging:
            asyncio.get_running_loop().call_soon(future.set_result, None)
        return future

    async def send_and_wait(self, topic: str, **parts: Any) -> None:  # noqa: ANN401
        await (await self.send(topic, **parts))


@pytest.fixture
def counts() -> Counts:
    return Counts()


async def test_a_late_frame_is_dropped_untried(counts: Counts) -> None:
    told: list[bool] = []
    producer = FakeProducer()
    lanes = LiveLanes(producer, counts, told.append)
    now = asyncio.get_running_loop().time()
    lanes.put(outgoing(0), now - 1.5)
    lanes.put(outgoing(1), now)
    await lanes.finish()
    lanes.put(outgoing(2), now)
    await lanes.finish()
    assert producer.asked == [1, 2]
    assert (counts.frames, counts.late, counts.unacknowledged) == (2, 1, 0)
    assert told == [True, True]


async def test_after_a_failure_only_the_newest_is_tried(counts: Counts) -> None:
    producer = FakeProducer(KafkaError)
    lanes = LiveLanes(producer, counts, lambda _: None)
    now = asyncio.get_running_loop().time()
    for number in range(5):
        lanes.put(outgoing(number), now)
    await lanes.finish()
    assert producer.asked == [0, 4]
    assert (counts.frames, counts.late, counts.unacknowledged) == (1, 3, 1)


async def test_cameras_do_not_wait_for_each_other(counts: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LIVE_TIMEOUT_S", 0.2)
    producer = FakeProducer(acknowledging=False)
    lanes = LiveLanes(producer, counts, lambda _: None)
    now = asyncio.get_running_loop().time()
    for number, key in enumerate([b"door", b"hall"]):
        lanes.put(outgoing(number, key=key), now)
    await lanes.finish()
    assert producer.asked == [0, 1]
    assert counts.unacknowledged == 2


async def test_a_bug_in_a_lane_is_not_swallowed(counts: Counts) -> None:
    def tell(acknowledged: bool) -> None:
        raise ZeroDivisionError

    lanes = LiveLanes(FakeProducer(), counts, tell)
    lanes.put(outgoing(0), asyncio.get_running_loop().time())
    with pytest.raises(ZeroDivisionError):
        await lanes.finish()
    with pytest.raises(ZeroDivisionError):
        lanes.put(outgoing(1), 0.0)


async def test_a_full_client_is_waited_for_and_a_refusal_is_counted(counts: Counts) -> None:
    told: list[bool] = []
    producer = FakeProducer(KafkaTimeoutError, None, MessageSizeTooLargeError)
    queue = DurableQueue(producer, counts, told.append, asyncio.Event())
    await queue.put(outgoing(0))
    await queue.put(outgoing(1))
    await queue.put(outgoing(2, key=None, value=None))
    await queue.put(outgoing(3))
    await queue.finish()
    assert producer.asked == [0, 0, 1, 3]
    assert (counts.frames, counts.unacknowledged) == (2, 2)
    assert told[0] is False
    assert told[-1] is True


async def test_what_is_under_way_is_bounded_and_a_stop_ends_the_waiting(
    counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MOST_RECORDS", 3)
    monkeypatch.setattr(sending, "LAST_MOMENT_S", 0.05)
    stop = asyncio.Event()
    producer = FakeProducer(acknowledging=False)
    queue = DurableQueue(producer, counts, lambda _: None, stop)
    for number in range(3):
        await queue.put(outgoing(number))
    waiting = asyncio.create_task(queue.put(outgoing(3)))
    await asyncio.sleep(0.05)
    assert producer.asked == [0, 1, 2]
    producer.under_way[0].set_result(None)
    await waiting
    assert producer.asked == [0, 1, 2, 3]
    producer.under_way[1].set_exception(KafkaError())
    full = asyncio.create_task(queue.put(outgoing(4)))
    await full
    waiting = asyncio.create_task(queue.put(outgoing(5)))
    await asyncio.sleep(0.05)
    stop.set()
    await waiting
    await queue.finish()
    assert producer.asked == [0, 1, 2, 3, 4]
    # One failed, three were under way, one waited.
    assert (counts.frames, counts.unacknowledged) == (1, 5)


async def test_a_stop_ends_a_send_that_the_client_does_not_take(counts: Counts) -> None:
    stop = asyncio.Event()

    class Stuck(FakeProducer):
        async def send(self, topic: str, **_: Any) -> asyncio.Future[None]:  # noqa: ANN401
            stop.set()
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

    queue = DurableQueue(Stuck(), counts, lambda _: None, stop)
    await queue.put(outgoing(0))
    assert counts.unacknowledged == 1
