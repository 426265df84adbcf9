"""What both lanes of the detector do: look at pictures, refuse what cannot be read, commit what is done."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from maskwatch import kafka
from maskwatch.inference import Detected, Refused
from maskwatch.kafka import Record
from maskwatch.messages import LARGEST_JPEG, ModelRef
from maskwatch.model import ShapeName
from maskwatch.settings import Settings
from maskwatch.topics import Name
from processors.deadletters import letter
from processors.serving import Serving

POLL_MS = 500
"""So often it is looked whether to stop."""

log = structlog.get_logger(__name__)


async def look_at(
    serving: Serving, records: Sequence[Record], shape: ShapeName
) -> tuple[ModelRef, list[Detected | Refused]]:
    """Look at the pictures of records in one batch.

    Returns
    -------
    model, outcomes
        Which model looked; an outcome for each record, in their order: what is too large or cannot be read is refused.

    Raises
    ------
    StuckError
        If inference hangs.
    """
    # What is larger than a record with a picture may be is not even opened.
    small = [record for record in records if len(record.value or b"") <= LARGEST_JPEG]
    model, answered = await serving.detect([record.value or b"" for record in small], shape)
    outcomes = iter(answered)
    return model, [
        next(outcomes) if size <= LARGEST_JPEG else Refused(f"{size} bytes are more than {LARGEST_JPEG}")
        for size in (len(record.value or b"") for record in records)
    ]


async def refuse(  # noqa: PLR0913, PLR0917  # a dead letter has this many parts
    producer: AIOKafkaProducer, settings: Settings, name: Name, record: Record, reason: str, value: bytes
) -> None:
    """Write a dead letter, see :func:`processors.deadletters.letter`; `value` is what is to be kept of the record's.

    Raises
    ------
    BrokerError
        If it is not acknowledged in time.
    """
    log.warning("frame refused", topic=record.topic, partition=record.partition, offset=record.offset, reason=reason)
    key, kept, headers = letter(record, reason, "/detector", value, datetime.now(UTC))
    await kafka.send(producer, settings, name, key=key, value=kept, headers=headers)


def behind(records: Iterable[Record]) -> dict[TopicPartition, int]:
    """Return the offset behind the last of the records, for each partition."""
    offsets: dict[TopicPartition, int] = {}
    for record in records:
        partition = TopicPartition(record.topic, record.partition)
        offsets[partition] = max(offsets.get(partition, 0), record.offset + 1)
    return offsets


async def commit(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int], settings: Settings) -> None:
    """Commit what is still ours; a refusal is logged: the records will come again."""
    if why := await kafka.commit(consumer, offsets, settings):
        log.warning("offsets not committed", error=why)
