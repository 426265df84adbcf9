import math
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from processors.freshness import DRIFT, Ages, Newest, Policy

POLICY = Policy(age_budget_s=0.5, seek_after_s=2.0, batch=4)
NOW = 1_000.0


class Frame(NamedTuple):
    key: bytes | None
    age: float
    offset: int = 0
    topic: str = "frames.live.v1"
    partition: int = 0
    value: bytes | None = b""
    headers: Sequence[tuple[str, bytes]] = ()

    @property
    def timestamp(self) -> int:
        return round((NOW - self.age) * 1000)


def partition(number: int) -> TopicPartition:
    return TopicPartition("frames.live.v1", number)


def told() -> Ages:
    """Ages that have seen a frame as it was appended, by clocks that agree."""
    ages = Ages()
    ages.sought({partition(0): 0}, NOW)
    ages.learn(Frame(b"first", 0), NOW)  # type: ignore[arg-type]  # fakes, at the seam
    return ages


def offered(read: dict[TopicPartition, list[Frame]]) -> tuple[Newest, list[TopicPartition]]:
    newest = Newest(POLICY, told())
    return newest, newest.offer(read, NOW)  # type: ignore[arg-type]  # fakes, at the seam


def test_only_the_newest_of_each_camera_is_looked_at_oldest_first() -> None:
    newest, behind = offered(
        {partition(0): [Frame(b"a", 0.3), Frame(b"b", 0.2), Frame(b"a", 0.1)], partition(1): [Frame(b"c", 0.4)]}
    )
    assert [(f.key, f.timestamp) for f in newest.take(NOW)] == [(b"c", 999_600), (b"b", 999_800), (b"a", 999_900)]
    assert newest.skipped == {"replaced": 1}
    assert behind == []
    assert newest.take(NOW) == []


def test_a_newer_frame_replaces_one_that_waits() -> None:
    newest, _ = offered({partition(0): [Frame(b"a", 0.3, offset=1)]})
    newest.offer({partition(0): [Frame(b"a", 0.1, offset=2)]}, NOW)  # type: ignore[list-item]
    assert [frame.offset for frame in newest.take(NOW)] == [2]
    assert newest.skipped == {"replaced": 1}


def test_late_frames_are_skipped_and_a_very_late_partition_is_left_behind() -> None:
    newest, behind = offered({partition(0): [Frame(b"a", 1.0)], partition(1): [Frame(b"b", 9.0), Frame(b"b", 3.0)]})
    assert newest.take(NOW) == []
    assert newest.skipped == {"late": 3}
    assert behind == [partition(1)]


def test_a_frame_may_grow_late_while_it_waits() -> None:
    newest, _ = offered({partition(0): [Frame(b"a", 0.1)]})
    assert newest.take(NOW + 1) == []
    assert newest.skipped == {"late": 1}


def test_who_is_left_out_of_a_crowded_batch_comes_first_in_the_next() -> None:
    newest, _ = offered({partition(n): [Frame(f"{n}".encode(), 0.4 - n / 100)] for n in range(6)})
    assert [frame.key for frame in newest.take(NOW)] == [b"0", b"1", b"2", b"3"]
    assert len(newest) == 2
    newest.offer({partition(0): [Frame(b"0", 0.0)]}, NOW)  # type: ignore[list-item]
    assert [frame.key for frame in newest.take(NOW)] == [b"4", b"5", b"0"]
    assert newest.skipped == {}


def test_what_has_grown_too_old_while_it_was_looked_at_is_stale() -> None:
    newest, _ = offered({})
    frame = Frame(b"a", 0.4)
    assert not newest.is_stale(frame, NOW + 0.5)  # type: ignore[arg-type]
    assert newest.is_stale(frame, NOW + 0.7)  # type: ignore[arg-type]


def test_what_another_worker_looks_at_is_let_go() -> None:
    newest, _ = offered({partition(0): [Frame(b"a", 0.1)]})
    newest.forget()
    assert not newest
    assert not newest.skipped


class Broker:
    """Appends frames by its own clock, which can be set; a reader learns their ages."""

    def __init__(self, clock: float) -> None:
        self.clock = clock
        self.ages = Ages()
        self._offset = 0

    def reads(self, at: float, age: float = 0.0) -> float:
        """Let a frame be read that was appended a while ago, and return how old it is taken for."""
        frame = Frame(b"a", NOW - (self.clock + at - age), self._offset)
        self._offset += 1
        self.ages.learn(frame, at)  # type: ignore[arg-type]
        return self.ages.age(frame, at)  # type: ignore[arg-type]

    def seeks(self, at: float) -> None:
        self.ages.sought({partition(0): self._offset}, at)


@pytest.mark.parametrize("clock", [0, 1.7e9, -86_400])
def test_ages_are_known_from_the_first_frame_after_a_seek_on_whatever_the_clocks_say(clock: float) -> None:
    broker = Broker(clock)
    assert broker.reads(10, age=60) == math.inf
    broker.seeks(10)
    assert broker.reads(10.3) == pytest.approx(0, abs=0.01)
    assert broker.reads(12, age=1.5) == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize("jump", [3600, -3600, 3, -3])
def test_a_clock_that_is_set_costs_one_seek_at_most(jump: float) -> None:
    broker = Broker(1.7e9)
    broker.seeks(0)
    broker.reads(0.1)
    broker.clock += jump
    if broker.reads(1) > POLICY.seek_after_s:
        broker.seeks(1)
    assert broker.reads(1.2) == pytest.approx(0, abs=0.01)
    assert broker.reads(2, age=0.7) == pytest.approx(0.7, abs=0.01)


def test_what_was_read_before_a_freeze_is_old_after_it_even_just_after_a_seek() -> None:
    broker = Broker(1.7e9)
    broker.seeks(0)
    broker.reads(0.1)
    broker.seeks(1)
    assert broker.reads(61, age=60) == pytest.approx(60, abs=0.02)


def test_frames_from_before_a_seek_say_nothing_of_the_clocks() -> None:
    broker = Broker(1.7e9)
    broker.seeks(0)
    broker.reads(0.1)
    broker.ages.sought({partition(0): 99}, 5)  # a rebalance then begins at an older offset
    assert broker.reads(5.1, age=30) == pytest.approx(30, abs=0.01)


def test_clocks_may_drift_apart() -> None:
    broker = Broker(1.7e9)
    broker.seeks(0)
    for second in range(1, 20_000):
        broker.clock -= DRIFT / 2
        age = broker.reads(second)
    assert age == pytest.approx(0, abs=0.01)


def test_a_partition_that_is_new_to_a_worker_has_the_ages_of_the_others() -> None:
    assert told().age(Frame(b"b", 1.5, partition=7), NOW) == pytest.approx(1.5)  # type: ignore[arg-type]


def test_the_broker_s_clock_may_run_ahead() -> None:
    newest, _ = offered({partition(0): [Frame(b"a", -0.2)]})
    assert len(newest.take(NOW)) == 1


frames = st.lists(st.builds(Frame, key=st.sampled_from([b"a", b"b", b"c", None]), age=st.floats(0, 5)), max_size=12)


@given(st.dictionaries(st.integers(0, 3).map(partition), frames))
def test_every_frame_is_looked_at_waits_or_is_counted(read: dict[TopicPartition, list[Frame]]) -> None:
    newest, _ = offered(read)
    taken = newest.take(NOW)
    total = sum(len(records) for records in read.values())
    assert len(taken) + len(newest) + newest.skipped.total() == total
    keys = [frame.key for frame in taken]
    assert len(keys) == len(set(keys)) <= POLICY.batch
