"""What a recording is made of: the names that it is known by, its schema, and one record."""

import msgspec

PROFILE = "maskwatch"
"""MCAP's profile: what tells a recording of ours from any other MCAP file."""

SCHEMA_NAME = "maskwatch.record.v1"
SCHEMA = msgspec.json.encode(
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA_NAME,
        "description": "One Kafka record as a msgpack map; bytes are msgpack's bin. The channel's topic is Kafka's "
        "without this installation's prefix; log_time is when the broker appended the record, or its producer's time "
        "on topics that keep that; publish_time is the CloudEvents time (ce_time) if there is one, else log_time.",
        "type": "object",
        "properties": {
            "key": {"description": "bin or nil"},
            "headers": {"description": "array of [str, bin or nil], in order, names may repeat", "type": "array"},
            "value": {"description": "bin or nil; of a frame, the JPEG"},
            "partition": {"type": "integer"},
            "offset": {"type": "integer"},
        },
        "required": ["key", "headers", "value", "partition", "offset"],
    }
)
"""The JSON Schema that every recording carries: what a message is, for whoever reads it without us."""

COUNTED = "maskwatch.contents"
"""Name of the metadata record with what the writer has counted: :mod:`maskwatch.recording.contents`, as JSON."""

MESSAGE_ENCODING = "msgpack"
NS_PER_MS = 1_000_000


class Recorded(msgspec.Struct, frozen=True):
    """One Kafka record as it was read."""

    topic: str
    """Without the prefix of the installation that it was recorded on."""
    partition: int
    offset: int
    timestamp_ms: int
    """Milliseconds since the epoch; the broker's append time on frame topics."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    """In order. As with any client, a value that a foreign producer left out is None."""

    @property
    def size(self) -> int:
        """The bytes of key, value and headers."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


class Body(msgspec.Struct):
    """A message's data; a map, so that it explains itself and may grow: 35 bytes beside a frame of 50 kB."""

    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    value: bytes | None
    partition: int
    offset: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Body)


def encode_body(record: Recorded) -> bytes:
    """Return a record as the data of an MCAP message."""
    return _encoder.encode(Body(record.key, list(record.headers), record.value, record.partition, record.offset))


def decode_body(data: bytes) -> Body:
    """Read the data of an MCAP message.

    Raises
    ------
    msgspec.MsgspecError
        If it is not what :data:`SCHEMA` says.
    """
    return _decoder.decode(data)
