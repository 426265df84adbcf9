"""What is kept of a record that is refused: never more than a record may hold, however large it was. Pure.

Whoever refuses a record goes on only once its dead letter is acknowledged, so one that no topic takes would be tried
for ever, and nothing behind it would have its turn.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from maskwatch.kafka import Record
from maskwatch.messages import LARGEST_JPEG, DeadLetter, encode

LARGEST_HEADERS = 50_000
"""With a picture they fit into a record (:data:`maskwatch.kafka.RECORD_BYTES`)."""

LONGEST_KEY = 200
"""Characters; no id of ours has so many."""

LONGEST_REASON = 1000


class Letter(NamedTuple):
    """What is sent."""

    key: str
    value: bytes
    headers: list[tuple[str, bytes]]


def key_of(record: Record) -> str:
    """Return a record's key as text, as far as it may be one of ours."""
    return (record.key or b"").decode(errors="replace")[:LONGEST_KEY]


def letter(record: Record, reason: str, source: str, kept: bytes, now: datetime) -> Letter:
    """Write a dead letter: key and headers as they came, why it was refused, and what is kept of the value.

    Parameters
    ----------
    record
        What is refused.
    reason
        Why, for people.
    source
        Who refuses it, such as ``/detector``.
    kept
        What is to be kept of its value.
    now
        When.

    Returns
    -------
    Letter
        Without the headers, or without the value, where they would not fit; the header ``refused`` tells the value's
        size either way.

    Examples
    --------
    >>> from datetime import UTC
    >>> from types import SimpleNamespace
    >>> large = bytes(LARGEST_JPEG + 1)
    >>> record = SimpleNamespace(topic="t", partition=0, offset=7, key=b"u1", value=large, headers=[("x", b"y")])
    >>> key, value, headers = letter(record, "too large", "/t", large, datetime(2026, 11, 1, tzinfo=UTC))
    >>> key, value, headers[0], b'"size":900001' in headers[1][1]
    ('u1', b'', ('x', b'y'), True)
    """
    said = DeadLetter(
        record.topic, record.partition, record.offset, reason[:LONGEST_REASON], now, len(record.value or b"")
    )
    refused, _ = encode(said, kind="maskwatch.dead-letter.v1", source=source, id="", time=now)
    headers = list(record.headers or ())
    return Letter(
        key_of(record),
        kept if len(kept) <= LARGEST_JPEG else b"",
        [*(headers if _size(headers) <= LARGEST_HEADERS else ()), ("refused", refused)],
    )


def _size(headers: Sequence[tuple[str, bytes]]) -> int:
    return sum(len(name.encode()) + len(value or b"") for name, value in headers)
