"""What topics take of the brokers' disks: a request of Kafka's protocol that our client lacks (DescribeLogDirs)."""

from collections import Counter, defaultdict
from typing import Any, TypeAlias

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

_KEY = 35


class Occupancy(msgspec.Struct, frozen=True):
    """What topics take, replicas included, and what is left for them."""

    bytes: dict[str, int]
    """By topic."""
    used: dict[str, int]
    """How many partitions hold something, by topic."""
    free: int | None
    """Bytes left on the fullest broker's disk; None if the brokers are too old to say."""
    total: int | None
    """Bytes of that disk."""


class _Response1(Response):  # type: ignore[misc]  # the client has no types of its own
    API_KEY = _KEY
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "folders",
            Array(
                ("error_code", Int16),
                ("folder", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("topic", String("utf-8")),
                        (
                            "partitions",
                            Array(("partition", Int32), ("size", Int64), ("lag", Int64), ("is_future", Boolean)),
                        ),
                    ),
                ),
            ),
        ),
    )


class _Response4(Response):  # type: ignore[misc]  # the client has no types of its own
    API_KEY = _KEY
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "folders",
            CompactArray(
                ("error_code", Int16),
                ("folder", CompactString("utf-8")),
                (
                    "topics",
                    CompactArray(
                        ("topic", CompactString("utf-8")),
                        (
                            "partitions",
                            CompactArray(
                                ("partition", Int32),
                                ("size", Int64),
                                ("lag", Int64),
                                ("is_future", Boolean),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("total", Int64),
                ("usable", Int64),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Request1(RequestStruct):  # type: ignore[misc]  # the client has no types of its own
    API_KEY = _KEY
    API_VERSION = 1
    RESPONSE_TYPE = _Response1
    SCHEMA = Schema(("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))))


class _Request4(RequestStruct):  # type: ignore[misc]  # the client has no types of its own
    API_KEY = _KEY
    API_VERSION = 4
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response4
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("tags", TaggedFields),
    )


_Versions: TypeAlias = _Request1 | _Request4


class _DescribeLogDirs(Request[_Versions]):  # type: ignore[misc]  # the client has no types of its own
    API_KEY = _KEY

    def build(self, request_struct_class: type[_Versions]) -> _Versions:
        # None: every topic.
        return _Request1(None) if request_struct_class is _Request1 else _Request4(None, {})


async def occupancy(admin: AIOKafkaAdminClient) -> Occupancy:
    """Ask every broker what lies on its disk.

    Parameters
    ----------
    admin
        Started.

    Raises
    ------
    KafkaError
        If a broker does not answer.
    """
    taken: Counter[str] = Counter()
    used: defaultdict[str, set[int]] = defaultdict(set)
    disks: list[tuple[int, int]] = []
    described = await admin.describe_cluster()
    for broker in described["brokers"]:
        answer: Any = await admin._send_request_to_node(broker["node_id"], _DescribeLogDirs())  # noqa: SLF001  # see above
        for _error, _folder, topics, *rest in answer.folders:
            for topic, partitions, *_ in topics:
                taken[topic] += sum(size for _, size, *_ in partitions)
                used[topic] |= {number for number, size, *_ in partitions if size}
            if rest and rest[0] >= 0:
                disks.append((rest[1], rest[0]))
    free, total = min(disks, default=(None, None))
    return Occupancy(dict(taken), {topic: len(numbers) for topic, numbers in used.items()}, free, total)
