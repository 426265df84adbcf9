from typing import NamedTuple

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from consumers.timeorder import TimeOrder
from maskwatch.kafka import Record

A, B, C = (TopicPartition("t", number) for number in range(3))


class Timed(NamedTuple):
    timestamp: int
    topic: str = "t"
    partition: int = 0
    offset: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def timed(*times: int) -> list[Record]:
    return [Timed(time) for time in times]  # type: ignore[misc]  # a tuple's fields cannot be set


def taken(order: TimeOrder, *behind: TopicPartition) -> list[int]:
    return [record.timestamp for record in order.take(behind)]


def test_nothing_is_given_out_before_a_partition_that_is_behind_has_come() -> None:
    order = TimeOrder([A, B, C])
    order.add(A, timed(1, 5, 9))
    assert order.empty() == [B, C]
    assert taken(order, B) == []
    order.add(B, timed(2, 6))
    assert taken(order, B) == [1, 2, 5, 6]
    assert len(order) == 1
    assert taken(order, B) == []
    assert taken(order) == [9]
    assert order.empty() == [A, B, C]
    assert taken(order) == []


def test_within_a_partition_the_order_of_the_broker_is_kept() -> None:
    order = TimeOrder([A, B])
    order.add(A, timed(5, 3, 4))
    order.add(B, timed(4))
    assert taken(order) == [4, 5, 3, 4]


@given(st.lists(st.lists(st.integers(0, 50), max_size=8).map(sorted), min_size=3, max_size=3))
def test_what_comes_in_pieces_is_given_out_in_order(times: list[list[int]]) -> None:
    order = TimeOrder([A, B, C])
    given_out: list[int] = []
    left = {partition: list(found) for partition, found in zip((A, B, C), times, strict=True)}
    while any(left.values()) or order:
        for partition in order.empty():
            piece, left[partition] = left[partition][:2], left[partition][2:]
            order.add(partition, timed(*piece))
        given_out += taken(order, *(partition for partition in left if left[partition]))
        if not any(left.values()):
            given_out += taken(order)
    assert given_out == sorted(time for found in times for time in found)
