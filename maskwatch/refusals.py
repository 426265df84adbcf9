"""Why a cluster does not let us in, said by the name of the setting that decides it.

The client tells only that it could not begin; the reason goes to its log. So one more connection is made, and what
that one meets is told.
"""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)

from maskwatch.errors import SettingsError
from maskwatch.settings import KafkaSettings

TIMEOUT_S = 5.0
"""For the one more connection."""

_NOT_ALLOWED = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


def refuse_expired(file: Path) -> None:
    """See that a certificate of ours is still good.

    Raises
    ------
    SettingsError
        If it has expired; the message says when.
    """
    from cryptography import x509  # noqa: PLC0415  # slow to import, and for those alone who have one

    ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    if ends < datetime.now(UTC):
        raise SettingsError(
            f"kafka.cert_file {file} has expired on {ends:%Y-%m-%d}: have it renewed, or remove it and run "
            "«maskwatch secrets make» where that made it"
        )


async def reason(kafka: KafkaSettings, options: Mapping[str, Any]) -> str:
    """Say why the cluster refuses us, with the settings to look at; empty if that cannot be told.

    Parameters
    ----------
    kafka
        How we come.
    options
        What our clients are made with, see :func:`maskwatch.kafka.connection_options`.
    """
    host, _, port = str(options["bootstrap_servers"]).partition(",")[0].strip().rpartition(":")
    named = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    try:
        async with asyncio.timeout(TIMEOUT_S):
            connection = await create_conn(host, int(port), request_timeout_ms=int(TIMEOUT_S * 1000), **named)
            connection.close()
    except (KafkaError, OSError, TimeoutError, ValueError) as error:
        return explained(error, kafka)
    return ""


def explained(error: BaseException, kafka: KafkaSettings) -> str:
    """Say what an error of a client means, with the settings to look at; empty if it is no refusal.

    Examples
    --------
    >>> explained(SaslAuthenticationFailed("no"), KafkaSettings(username="door"))
    'it does not know «door» by this password: see kafka.username and kafka.password'
    """
    if isinstance(error, SaslAuthenticationFailed):
        return f"it does not know «{kafka.username}» by this password: see kafka.username and kafka.password"
    if isinstance(error, UnsupportedSaslMechanismError | IllegalSaslStateError):
        return f"it does not take {kafka.sasl_mechanism}: see kafka.sasl_mechanism and kafka.security"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}): see kafka.ca_file, or have it renewed"
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS with us ({error.reason}): see kafka.security, kafka.cert_file and kafka.key_file"
    return forbidden(error, kafka)


def forbidden(error: BaseException, kafka: KafkaSettings) -> str:
    """Say what we may not do, if that is what an error says, alone or among others; empty otherwise.

    Examples
    --------
    >>> said = ExceptionGroup("lanes", [TopicAuthorizationFailedError("scene.v1")])
    >>> forbidden(said, KafkaSettings(username="door"))[:60]
    'it does not let «door» use scene.v1 (TopicAuthorizationFaile'
    """
    if isinstance(error, BaseExceptionGroup):
        return next((said for inner in error.exceptions if (said := forbidden(inner, kafka))), "")
    if not isinstance(error, _NOT_ALLOWED):
        return ""
    what = ", ".join(str(argument) for argument in error.args)
    who = kafka.username or "who comes without a name"
    return (
        f"it does not let «{who}» use {what or 'that'} ({type(error).__name__}): its ACLs decide that, "
        "«maskwatch secrets grant» gives each role of ours what it needs, kafka.username says who we are"
    )
