"""Addresses as anybody may see them, and what hides the rest of them from the list of processes."""

import sys
from urllib.parse import urlsplit, urlunsplit

from setproctitle import setproctitle


def without_user(address: str) -> str:
    """Return an address without user and password.

    Examples
    --------
    >>> without_user("rtsp://admin:secret@10.0.0.7/stream")
    'rtsp://10.0.0.7/stream'
    >>> without_user("webcam:0")
    'webcam:0'
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return address.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else address


def hide_users() -> None:
    """Take users and passwords in this process's arguments out of the system's list of processes.

    They stand there from the start of the process until this is called, some tenths of a second.
    """
    arguments = [sys.executable, *sys.argv]
    shown = [without_user(argument) for argument in arguments]
    if shown != arguments:
        setproctitle(" ".join(shown))
