"""Put the records of many partitions in the order of their times, as they come.

A broker gives a partition in order, but one partition after the other. Whoever wants one story waits for those that
are behind: a record is given out once every partition that is known to hold more has one waiting as well.
"""

import heapq
from collections import deque
from collections.abc import Collection, Iterator, Sequence

from aiokafka import TopicPartition

from maskwatch.kafka import Record


class TimeOrder:
    """Merges partitions by time; within a partition the order of the broker is kept.

    Parameters
    ----------
    partitions
        All that records will come from.
    """

    def __init__(self, partitions: Collection[TopicPartition]) -> None:
        self._waiting: dict[TopicPartition, deque[Record]] = {partition: deque() for partition in partitions}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def empty(self) -> list[TopicPartition]:
        """Return the partitions of which nothing waits: those to read next."""
        return [partition for partition, records in self._waiting.items() if not records]

    def add(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        """Take the next records of a partition."""
        self._waiting[partition].extend(records)

    def take(self, behind: Collection[TopicPartition]) -> Iterator[Record]:
        """Give out records, earliest first, until nothing waits of a partition that is `behind`."""
        if any(not self._waiting[partition] for partition in behind):
            return
        heads = [(records[0].timestamp, partition) for partition, records in self._waiting.items() if records]
        heapq.heapify(heads)
        while heads:
            _, partition = heads[0]
            records = self._waiting[partition]
            yield records.popleft()
            if records:
                heapq.heapreplace(heads, (records[0].timestamp, partition))
                continue
            heapq.heappop(heads)
            if partition in behind:
                return
