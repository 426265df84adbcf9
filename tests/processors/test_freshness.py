from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from processors.freshness import Newest, Policy

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


def offered(read: dict[TopicPartition, list[Frame]]) -> tuple[Newest, list[TopicPartition]]:
    newest = Newest(POLICY)
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


def test_a_camera_s_clock_does_not_matter_and_the_broker_s_may_run_ahead() -> None:
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
