"""What lies in Valkey for the viewers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.errors import MessageError
from maskwatch.overlay import camera_of, live_key, pack, unpack
from tests.support.overlay import record


@given(st.binary(max_size=2000))
def test_a_record_is_taken_apart_as_it_was_put_together(jpeg: bytes) -> None:
    live = unpack(record(3))[0]
    packed = pack(live, jpeg)
    assert unpack(packed) == (live, jpeg)
    length = int.from_bytes(packed[:4], "big")
    assert packed[4 + length :] == jpeg


@pytest.mark.parametrize(
    "broken", [b"", b"\x00\x00", b"\x00\x00\x00\xff{}", b"\x00\x00\x00\x02{}", b"\x00\x00\x00\x01{"]
)
def test_what_is_no_record_is_refused(broken: bytes) -> None:
    with pytest.raises(MessageError):
        unpack(broken)


def test_a_channel_is_named_like_the_key() -> None:
    assert live_key("door-2") == "live:door-2"
    assert camera_of("live:door-2") == "door-2"
