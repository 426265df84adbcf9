"""For phones and other machines nearby: a certificate of our own, a token, and a code that a camera reads.

Browsers give their camera only to pages over HTTPS, and beyond loopback nothing is served without a token. Both are
made once and kept beside the data, readable by their owner alone. The certificate is signed by nobody, so each browser
asks once whether to go on.
"""

import ipaddress
import os
import secrets
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import psutil
import segno
from cryptography import x509
from pydantic import SecretStr

from maskwatch.certificates import self_signed
from maskwatch.errors import StackError
from maskwatch.settings import PREFIX, Settings

EVERYWHERE = "0.0.0.0"  # noqa: S104  # that is what it is for, and never without a token
VALID = timedelta(days=365)
RENEWED_BEFORE = timedelta(days=30)


class Door(NamedTuple):
    """How the console is reached from machines nearby."""

    addresses: tuple[str, ...]
    """IPv4 addresses of this machine in its networks."""
    certificate: Path
    key: Path
    token: str

    def url(self, port: int) -> str:
        """Return what the code holds: the token stands behind «#», which browsers send to nobody."""
        return f"https://{self.addresses[0]}:{port}/#token={self.token}"

    def settings(self, settings: Settings) -> Settings:
        """Return settings that open the door; what this process starts gets them too."""
        changes = {
            "host": EVERYWHERE,
            "token": SecretStr(self.token),
            "cert_file": self.certificate,
            "key_file": self.key,
        }
        os.environ |= {
            f"{PREFIX}API__{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in changes.items()
        }
        return settings.model_copy(update={"api": settings.api.model_copy(update=changes)})


def prepare(settings: Settings) -> Door:
    """Make what is missing, and return how the console is reached.

    Raises
    ------
    StackError
        If this machine is in no network, or nothing can be kept.
    """
    addresses = nearby_addresses()
    if not addresses:
        raise StackError("this machine has no address in a network; leave LAN=1 out, or connect it")
    folder = settings.data_dir / "lan"
    certificate, key, token = folder / "certificate.pem", folder / "key.pem", folder / "token"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _serves(certificate, key, addresses):
            _make(certificate, key, addresses)
        if not token.is_file():
            _keep(token, secrets.token_urlsafe(16).encode())
        return Door(addresses, certificate, key, settings.api.token.get_secret_value() or token.read_text())
    except OSError as error:
        raise StackError(f"{folder} cannot be used: {error.strerror}") from error


def nearby_addresses() -> tuple[str, ...]:
    """Return this machine's private IPv4 addresses, that of the way out first."""
    found = [
        address.address
        for name, addresses in psutil.net_if_addrs().items()
        if not name.startswith(("docker", "br-", "veth"))
        for address in addresses
        if address.family == socket.AF_INET and not ipaddress.ip_address(address.address).is_loopback
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            # Nothing is sent: the system only chooses a way.
            asking.connect(("192.0.2.1", 9))
            out = asking.getsockname()[0]
        except OSError:
            out = ""
    return tuple(sorted(found, key=lambda address: address != out))


def invitation(door: Door, port: int) -> list[str]:
    """Return what the terminal shows to those who want to come in from nearby."""
    url = door.url(port)
    return [
        f"  nearby {url}",
        "         Scan this with a phone in the same network. The browser warns once: nobody has signed the",
        "         certificate but this machine. Whoever has the address above may use everything.",
        *code(url).splitlines(),
    ]


def code(text: str) -> str:
    """Return a QR code for a terminal."""
    written = StringIO()
    segno.make(text, error="l").terminal(written, compact=True, border=2)
    return written.getvalue()


def _serves(certificate: Path, key: Path, addresses: Sequence[str]) -> bool:
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    known = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    left = found.not_valid_after_utc - datetime.now(UTC)
    return key.is_file() and set(addresses) <= known and left > RENEWED_BEFORE


def _make(certificate: Path, key: Path, addresses: Sequence[str]) -> None:
    made = self_signed("Maskwatch on this machine", ("localhost", *addresses, "127.0.0.1"), VALID)
    _keep(key, made.key)
    _keep(certificate, made.certificate)


def _keep(file: Path, data: bytes) -> None:
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_bytes(data)
    new.replace(file)
