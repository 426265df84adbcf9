import ipaddress
import socket

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.addresses import without_user
from maskwatch.errors import SourceError
from producers.addresses import Credentials, host_and_port, joined, refuse_hosts, separate


@settings(deadline=None)
@given(user=st.text(min_size=1, max_size=20), password=st.text(max_size=20))
def test_what_is_put_together_comes_apart(user: str, password: str) -> None:
    given_ = Credentials(user, password)
    try:
        whole = joined("rtsp://camera.example:8554/a?b=c", given_)
    except UnicodeEncodeError:
        return
    assert separate(whole) == ("rtsp://camera.example:8554/a?b=c", given_)


@pytest.mark.parametrize(
    ("whole", "plain"),
    [
        ("http://10.0.0.7:81/video.cgi?user=admin&pwd=secret", "http://10.0.0.7:81"),
        ("rtsp://10.0.0.7/user=admin_password=secret_channel=1.sdp?real_stream", "rtsp://10.0.0.7"),
        ("http://viewer:other@10.0.0.7?token=secret", "http://10.0.0.7"),
    ],
)
def test_a_password_behind_the_host_is_none_that_is_shown(whole: str, plain: str) -> None:
    address, credentials = separate(whole)
    assert address == plain
    assert joined(address, credentials) == whole
    assert without_user(whole) == plain


def test_an_address_without_a_login_stays() -> None:
    for address in ("rtsp://10.0.0.7//cam/realmonitor?channel=1&subtype=0", "http://10.0.0.7/x.m3u8#now"):
        assert separate(address) == (address, None)
        assert without_user(address) == address
    assert separate("HTTP://10.0.0.7/x.m3u8") == ("http://10.0.0.7/x.m3u8", None)
    assert joined("rtsp://10.0.0.7/1", None) == "rtsp://10.0.0.7/1"
    assert host_and_port("rtsps://10.0.0.7/1") == ("10.0.0.7", 322)
    assert host_and_port("http://[::1]:81/1") == ("::1", 81)


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc/passwd",
        "ftp://u:secret@10.0.0.7/x",
        "rtsp://u:secret@/x",
        "rtsp://u:secret@10.0.0.7:port/x",
        "rtsp://u:secret@10.0.0.7/a b",
        "rtsp://u:secret@10.0.0.7/a\n",
        "rtsp://[u:secret@10.0.0.7/a",
        "rtsp://u:sec/secret@10.0.0.7/a",
        "rtsp://u:12/secret@10.0.0.7/a",
        "rtsp://u:12?secret@10.0.0.7/a",
        "rtsp://u:12#secret@10.0.0.7/a",
        "rtsp://u:p@12/secret@10.0.0.7/a",
    ],
)
def test_other_addresses_are_refused_without_their_passwords(source: str) -> None:
    with pytest.raises(SourceError) as error:
        separate(source)
    assert "secret" not in str(error.value)
    assert "secret" not in without_user(source)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0", "224.0.0.1", "[fe80::1]",  # noqa: S104
     "2130706433", "0x7f000001", "127.1"],
)  # fmt: skip
def test_hosts_that_others_may_not_name(host: str) -> None:
    with pytest.raises(SourceError, match=r"may not name|cannot be resolved"):
        refuse_hosts(f"rtsp://{host}/x", [])


def test_hosts_that_cameras_have() -> None:
    for host in ("10.0.0.7", "192.168.1.20", "[fd00::7]", "8.8.8.8"):
        refuse_hosts(f"rtsp://{host}/x", [])
    refuse_hosts("rtsp://127.0.0.1/x", [ipaddress.ip_network("127.0.0.0/8")])
    with pytest.raises(SourceError, match="cannot be resolved"):
        refuse_hosts("rtsp://no-such-host.invalid/x", [])


def test_this_machine_under_its_own_address_is_none_that_others_may_name() -> None:
    own = [one.address for several in psutil.net_if_addrs().values() for one in several if one.family == socket.AF_INET]
    for address in own:
        with pytest.raises(SourceError, match="may not name"):
            refuse_hosts(f"rtsp://{address}/x", [])
