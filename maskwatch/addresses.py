"""Addresses as anybody may see them, and what hides the rest of them from the list of processes."""

import re
import sys

from setproctitle import setproctitle

_SECRET = re.compile(r"(?:pass|pwd|token|secret|key|auth|sig)\w*=", re.IGNORECASE)
_BEHIND_THE_HOST = re.compile(r"[/?#]")


def names_a_secret(behind: str) -> bool:
    """Tell whether what stands behind an address's host holds a password, as some cameras want it.

    Examples
    --------
    >>> names_a_secret("/video.cgi?user=admin&pwd=12345"), names_a_secret("/user=admin_password=1_channel=1.sdp")
    (True, True)
    >>> names_a_secret("/cam/realmonitor?channel=1&subtype=0")
    False
    """
    return _SECRET.search(behind) is not None


def without_user(address: str) -> str:
    """Return an address without user and password, wherever they stand in it.

    Examples
    --------
    >>> without_user("rtsp://admin:secret@10.0.0.7/stream")
    'rtsp://10.0.0.7/stream'
    >>> without_user("http://10.0.0.7/video.cgi?user=admin&pwd=secret")
    'http://10.0.0.7'
    >>> without_user("webcam:0")
    'webcam:0'
    """
    scheme, found, rest = address.partition("://")
    if not found:
        return address
    host, _ = divided(rest)
    # A password with a slash in it ends behind what looks like the host.
    host, behind = divided(rest.rpartition("@")[2] if "@" in host or ":" in host else rest)
    return f"{scheme}://{host}{'' if names_a_secret(behind) else behind}"


def divided(rest: str) -> tuple[str, str]:
    """Divide what follows the scheme into all up to the host's end, and all behind it.

    Examples
    --------
    >>> divided("10.0.0.7:554//main?x=1")
    ('10.0.0.7:554', '//main?x=1')
    """
    found = _BEHIND_THE_HOST.search(rest)
    place = found.start() if found else len(rest)
    return rest[:place], rest[place:]


def hide_users() -> None:
    """Take users and passwords in this process's arguments out of the system's list of processes.

    They stand there from the start of the process until this is called, some tenths of a second.
    """
    arguments = [sys.executable, *sys.argv]
    shown = [without_user(argument) for argument in arguments]
    if shown != arguments:
        setproctitle(" ".join(shown))
