from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from processors.freshness import Policy, plan

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


def test_only_the_newest_of_each_camera_is_looked_at_oldest_first() -> None:
    read = {partition(0): [Frame(b"a", 0.3), Frame(b"b", 0.2), Frame(b"a", 0.1)], partition(1): [Frame(b"c", 0.4)]}
    chosen = plan(read, NOW, POLICY)  # type: ignore[arg-type]  # a fake record, at the seam
    assert [(frame.key, frame.timestamp) for frame in chosen.look] == [
        (b"c", 999_600),
        (b"b", 999_800),
        (b"a", 999_900),
    ]
    assert chosen.skipped == {"replaced": 1}
    assert chosen.seek == []


def test_late_frames_are_skipped_and_a_very_late_partition_is_left_behind() -> None:
    read = {partition(0): [Frame(b"a", 1.0)], partition(1): [Frame(b"b", 9.0), Frame(b"b", 3.0)]}
    chosen = plan(read, NOW, POLICY)  # type: ignore[arg-type]
    assert chosen.look == []
    assert chosen.skipped == {"replaced": 1, "late": 2}
    assert chosen.seek == [partition(1)]


def test_a_crowded_batch_leaves_the_newest_for_the_next() -> None:
    read = {partition(n): [Frame(f"{n}".encode(), 0.4 - n / 100)] for n in range(6)}
    chosen = plan(read, NOW, POLICY)  # type: ignore[arg-type]
    assert [frame.key for frame in chosen.look] == [b"0", b"1", b"2", b"3"]
    assert chosen.skipped == {"batch": 2}


def test_a_camera_s_clock_does_not_matter_and_the_broker_s_may_run_ahead() -> None:
    chosen = plan({partition(0): [Frame(b"a", -0.2)]}, NOW, POLICY)  # type: ignore[arg-type]
    assert len(chosen.look) == 1


frames = st.lists(st.builds(Frame, key=st.sampled_from([b"a", b"b", b"c", None]), age=st.floats(0, 5)), max_size=12)


@given(st.dictionaries(st.integers(0, 3).map(partition), frames))
def test_every_frame_is_looked_at_or_counted(read: dict[TopicPartition, list[Frame]]) -> None:
    chosen = plan(read, NOW, POLICY)  # type: ignore[arg-type]
    assert len(chosen.look) + sum(chosen.skipped.values()) == sum(len(records) for records in read.values())
    keys = [frame.key for frame in chosen.look]
    assert len(keys) == len(set(keys)) <= POLICY.batch
