"""An authority of one installation, and the certificates that it signs: for brokers, for the front door, for mTLS.

And one that nobody signs, for phones nearby.

Everything is PEM; keys are of the curve P-256 and are not encrypted, since what would open them would lie beside them.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_VALID = timedelta(days=3650)
VALID = timedelta(days=825)
"""Browsers take no certificate that is good for longer."""

_EARLIER = timedelta(days=1)
"""Clocks differ: what is made now is good since yesterday."""


class Identity(NamedTuple):
    """A certificate and its key."""

    certificate: bytes
    key: bytes

    @property
    def store(self) -> bytes:
        """Return both in one file, the key first, as Kafka wants its PEM stores."""
        return self.key + self.certificate


def authority(name: str) -> Identity:
    """Make an authority, which signs and does nothing else.

    Parameters
    ----------
    name
        What people see as the issuer.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    built = (
        _begun(subject, subject, key.public_key(), AUTHORITY_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _signed(built, key, key)


def issue(signer: Identity, name: str, hosts: Sequence[str], valid: timedelta = VALID) -> Identity:
    """Make an identity that servers and clients show alike.

    Parameters
    ----------
    signer
        The authority.
    name
        Its common name, which Kafka takes for the user.
    hosts
        Names and addresses at which a server with it is reached; none for a client.
    valid
        For how long from now; a negative time makes one that has expired.

    Returns
    -------
    Identity
        Signed by the authority.

    Raises
    ------
    ValueError
        If the authority's certificate or key is no PEM.
    TypeError
        If its key is not of an elliptic curve.
    """
    ca = x509.load_pem_x509_certificate(signer.certificate)
    ca_key = serialization.load_pem_private_key(signer.key, None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"the authority's key is a {type(ca_key).__name__}, expected one of an elliptic curve")
    key = ec.generate_private_key(ec.SECP256R1())
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    built = (
        _begun(_named(name), ca.subject, key.public_key(), valid)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(both, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    if hosts:
        built = built.add_extension(x509.SubjectAlternativeName([_host(one) for one in hosts]), critical=False)
    return _signed(built, key, ca_key)


def self_signed(name: str, hosts: Sequence[str], valid: timedelta) -> Identity:
    """Make an identity for a server that nobody has signed but itself.

    Parameters
    ----------
    name
        What people see as whom it is for.
    hosts
        Names and addresses at which it is reached, at least one.
    valid
        For how long from now.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    built = (
        _begun(subject, subject, key.public_key(), valid)
        .add_extension(x509.SubjectAlternativeName([_host(one) for one in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return _signed(built, key, key)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _begun(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, valid: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + valid) - _EARLIER)
        .not_valid_after(now + valid)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    built: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> Identity:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(built.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private)
