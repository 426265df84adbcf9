"""Addresses of network cameras: which kinds are read, who may name which hosts, and how passwords are kept out.

Pure but for :func:`refuse_hosts` and what it stands on, which ask the system's resolver.
"""

import ipaddress
import socket
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

import psutil

from maskwatch.addresses import divided, names_a_secret
from maskwatch.errors import SourceError

SCHEMES = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""And the ports they mean."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_WRITTEN = "in a password / is written %2F, ? %3F, # %23, @ %40 and % %25"


class Credentials(NamedTuple):
    """What of a camera's address is nobody else's."""

    user: str = ""
    password: str = ""
    behind: str = ""
    """All that stands behind the host, for cameras that want their password there."""


def is_address(source: str) -> bool:
    """Tell whether a source is an address, of whatever scheme.

    Examples
    --------
    >>> is_address("rtsp://10.0.0.7/stream"), is_address("webcam:0"), is_address("C:/clips/a.mp4")
    (True, False, False)
    """
    scheme, separator, _ = source.partition("://")
    return bool(separator) and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()


def separate(source: str) -> tuple[str, Credentials | None]:
    """Take user and password out of an address; where path or query hold a password, these too.

    Parameters
    ----------
    source
        ``rtsp://user:password@host:port/path``, the first two if there are any.

    Returns
    -------
    address, credentials
        The address as it may be shown to anybody.

    Raises
    ------
    SourceError
        If it is none that is read here; the message holds no password.

    Examples
    --------
    >>> separate("rtsp://admin:p%40ss@10.0.0.7/1")
    ('rtsp://10.0.0.7/1', Credentials(user='admin', password='p@ss', behind=''))
    >>> separate("http://10.0.0.7/video.cgi?pwd=secret")
    ('http://10.0.0.7', Credentials(user='', password='', behind='/video.cgi?pwd=secret'))
    """
    parts = _parts(source)
    host, behind = divided(source.partition("://")[2])
    hidden = behind if names_a_secret(behind) else ""
    plain = f"{parts.scheme}://{host.rpartition('@')[2]}{'' if hidden else behind}"
    if parts.username is None and parts.password is None and not hidden:
        return plain, None
    return plain, Credentials(unquote(parts.username or ""), unquote(parts.password or ""), hidden)


def joined(address: str, credentials: Credentials | None) -> str:
    """Put user and password back; what comes out must be shown to nobody."""
    if credentials is None:
        return address
    scheme, _, rest = address.partition("://")
    host, behind = divided(rest)
    user, password = quote(credentials.user, safe=""), quote(credentials.password, safe="")
    login = f"{user}:{password}@" if user or password else ""
    return f"{scheme}://{login}{host}{credentials.behind or behind}"


def host_and_port(address: str) -> tuple[str, int]:
    """Return where an address leads.

    Raises
    ------
    SourceError
        If it is none that is read here.
    """
    parts = _parts(address)
    return parts.hostname or "", parts.port or SCHEMES[parts.scheme]


def refuse_hosts(address: str, allowed: Collection[Network]) -> None:
    """Refuse an address that leads to this machine, to its own network's services, or nowhere that a camera is.

    Parameters
    ----------
    address
        What somebody else has named.
    allowed
        Networks that may be named all the same.

    Raises
    ------
    SourceError
        If a name cannot be resolved, or any of its addresses is one that others may not name.
    """
    refused_or_found(*host_and_port(address), allowed)


def refused_or_found(host: str, port: int, allowed: Collection[Network]) -> str:
    """Return where a name leads, as a numeric address; arguments and errors are those of :func:`refuse_hosts`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceError(f"{host} cannot be resolved: is the name right?") from error
    for *_, where in found:
        ip = ipaddress.ip_address(str(where[0]).partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        if any(ip in network for network in allowed):
            continue
        nowhere = ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved
        if nowhere or str(ip) in _own_addresses():
            raise SourceError(
                f"{host} leads to {ip}, which a camera of cameras.v1 may not name; «maskwatch camera» on the capturing "
                "machine may, and capture.allowed_networks lists exceptions"
            )
    return str(found[0][4][0])


def _own_addresses() -> set[str]:
    return {one.address.partition("%")[0] for several in psutil.net_if_addrs().values() for one in several}


def _parts(source: str) -> SplitResult:
    try:
        parts = urlsplit(source)
        parts.port  # noqa: B018  # raises if it is no number
    except ValueError as error:
        raise SourceError(
            f"that is no address; one looks like rtsp://user:password@host:554/stream; {_WRITTEN}"
        ) from error
    if parts.scheme.lower() not in SCHEMES:
        raise SourceError(f"{parts.scheme}:// is not read; cameras are {', '.join(f'{name}://' for name in SCHEMES)}")
    if not parts.hostname:
        raise SourceError("the address names no host; one looks like rtsp://host:554/stream")
    if any(not character.isprintable() or character.isspace() for character in source):
        raise SourceError("the address holds a character that no address has; spaces are written %20")
    # Behind a password with a slash in it the real host would be taken for a path, and be shown to everybody.
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise SourceError(f"the address has an @ behind its host; {_WRITTEN}")
    return parts._replace(scheme=parts.scheme.lower())
