"""Write to a topic and wait for what a test expects to find on another."""

import asyncio
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer

from maskwatch import kafka, reading
from maskwatch.kafka import Record
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count

PATIENCE_S = 60


async def put(  # noqa: PLR0913, PLR0917  # a record has this many parts
    producer: AIOKafkaProducer,
    settings: Settings,
    name: Name,
    key: str,
    value: bytes,
    headers: Sequence[tuple[str, bytes]] = (),
) -> None:
    """Write one record, acknowledged."""
    await kafka.send(producer, settings, name, key=key, value=value, headers=headers)


async def read_until(settings: Settings, name: Name, enough: Callable[[list[Record]], bool]) -> list[Record]:
    """Read a topic from its beginning until there is enough."""
    records: list[Record] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for record in reading.follow(settings, name, partition_count(name)):
                records.append(record)
                if enough(records):
                    return records
    except TimeoutError as error:
        found = [(record.key, (record.value or b"")[:200]) for record in records]
        raise AssertionError(f"{name}: waited {PATIENCE_S} s, found {len(records)}: {found}") from error
    raise AssertionError("unreachable: a topic has no end")


async def read_all(settings: Settings, name: Name) -> list[Record]:
    """Read what a topic holds now."""
    async with asyncio.timeout(PATIENCE_S):
        return await reading.held(settings, name, partition_count(name))
