"""What lies in Valkey for the viewers: one packed record per camera, under two keys.

``live:{camera}`` expires soon, so that its absence means that nothing fresh is there; ``last:{camera}`` stays a day, so
that a camera that went away still shows its last picture. Whoever writes a live record publishes the frame's id on a
channel that is named like the key. A record is four bytes of length, big-endian, then a :class:`LiveFrame` as JSON,
then the JPEG: the very bytes that a browser gets.
"""

import struct

import msgspec

from maskwatch.errors import MessageError
from maskwatch.messages import LiveFrame, decode

_LENGTH = struct.Struct(">I")
_LIVE = "live:"


def live_key(camera: str) -> str:
    """Return the key of a camera's fresh record, which is also the channel that announces it."""
    return f"{_LIVE}{camera}"


def last_key(camera: str) -> str:
    """Return the key of a camera's last record, fresh or not."""
    return f"last:{camera}"


def camera_of(channel: str) -> str:
    """Return the camera that a channel speaks of; the inverse of :func:`live_key`.

    Examples
    --------
    >>> camera_of(live_key("door-2"))
    'door-2'
    """
    return channel.removeprefix(_LIVE)


def pack(live: LiveFrame, jpeg: bytes) -> bytes:
    """Put a frame and what is known of it into one record."""
    text = msgspec.json.encode(live)
    return b"".join((_LENGTH.pack(len(text)), text, jpeg))


def unpack(record: bytes) -> tuple[LiveFrame, bytes]:
    """Take a record apart.

    Raises
    ------
    MessageError
        If it is no such record; the text says where.
    """
    if len(record) < _LENGTH.size:
        raise MessageError(f"a live record has {_LENGTH.size} bytes at least, this one {len(record)}")
    (length,) = _LENGTH.unpack_from(record)
    end = _LENGTH.size + length
    if end > len(record):
        raise MessageError(
            f"a live record announces {length} bytes of JSON and has {len(record) - _LENGTH.size} in all"
        )
    return decode(record[_LENGTH.size : end], LiveFrame), record[end:]
