import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from maskwatch.certificates import Identity, authority, issue


def handshake(folder: Path, trusted: Identity, server: Identity, client: Identity, name: str) -> str:
    """Let a client and a server that both ask for a certificate meet in memory; return whom the server sees."""
    files = {"ca": trusted.certificate, "server": server.store, "client": client.store}
    for file, data in files.items():
        (folder / file).write_bytes(data)
    here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca")
    here.verify_mode = ssl.CERT_REQUIRED
    here.load_cert_chain(folder / "server")
    there = ssl.create_default_context(cafile=folder / "ca")
    there.load_cert_chain(folder / "client")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks, answers = there.wrap_bio(down, up, server_hostname=name), here.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (asks, answers):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    seen = answers.getpeercert()
    assert seen is not None
    subject = seen["subject"]
    assert isinstance(subject, tuple)
    return str(subject[0][0][1])


def test_whom_the_authority_has_signed_know_each_other(tmp_path: Path) -> None:
    ours = authority("ours")
    server, client = issue(ours, "kafka-1", ("kafka-1", "127.0.0.1")), issue(ours, "admin", ())
    assert handshake(tmp_path, ours, server, client, "kafka-1") == "admin"
    assert handshake(tmp_path, ours, server, client, "127.0.0.1") == "admin"


@pytest.mark.parametrize(
    ("spoilt", "said"), [("server", "unable to get local issuer|self"), ("expired", "expired"), ("name", "mismatch")]
)
def test_who_is_not_what_it_says_is_refused(tmp_path: Path, spoilt: str, said: str) -> None:
    ours, others = authority("ours"), authority("others")
    valid = timedelta(days=-1) if spoilt == "expired" else timedelta(days=1)
    server = issue(others if spoilt == "server" else ours, "kafka-1", ("kafka-1",), valid)
    name = "kafka-2" if spoilt == "name" else "kafka-1"
    with pytest.raises(ssl.SSLCertVerificationError, match=said):
        handshake(tmp_path, ours, server, issue(ours, "admin", ()), name)


def test_an_authority_of_another_kind_is_refused() -> None:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # for this one key
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(TypeError, match="expected one of an elliptic curve"):
        issue(Identity(authority("ours").certificate, key), "kafka-1", ())
