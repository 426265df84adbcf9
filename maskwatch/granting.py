"""Users and their rights, told to a Kafka cluster: two requests of its protocol, one of which our client lacks.

Both are told to a cluster that may know them already: a password is set anew, a right that is there stays.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import CreateAclsRequest_v1
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from maskwatch.errors import BrokerError
from maskwatch.kafka import administering
from maskwatch.roles import Resource, Right, rights_of
from maskwatch.secret_files import passwords
from maskwatch.settings import Settings

SHA_512 = 2
ITERATIONS = 8192
_LITERAL, _PREFIXED, _ALLOW = 3, 4, 3


class _ScramResponse(Response):  # type: ignore[misc]  # the client has no types of its own
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _ScramRequest(RequestStruct):  # type: ignore[misc]  # the client has no types of its own
    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _ScramResponse
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScram(Request[_ScramRequest]):  # type: ignore[misc]  # the client has no types of its own
    API_KEY = 51

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._passwords = passwords

    def build(self, request_struct_class: type[_ScramRequest]) -> _ScramRequest:
        rows: list[tuple[str, int, int, bytes, bytes, dict[int, bytes]]] = []
        for user, password in self._passwords.items():
            salt = secrets.token_bytes(32)
            salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
            rows.append((user, SHA_512, ITERATIONS, salt, salted, {}))
        return request_struct_class([], rows, {})


class _CreateAcls(Request[CreateAclsRequest_v1]):  # type: ignore[misc]  # the client's own takes one at a time
    API_KEY = CreateAclsRequest_v1.API_KEY

    def __init__(self, rows: Sequence[tuple[int, str, int, str, str, int, int]]) -> None:
        self._rows = rows

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class(list(self._rows))


async def grant(settings: Settings, passwords: Mapping[str, str], rights: Sequence[Right]) -> None:
    """Make users, or give them another password, and let them do what they may.

    Parameters
    ----------
    settings
        Name the cluster, a user that may do this, and the prefix.
    passwords
        By user.
    rights
        What they may do from now on, besides what they may already.

    Raises
    ------
    BrokerError
        If the cluster cannot be reached, or refuses.
    """
    async with administering(settings) as admin:
        try:
            told = await _send(admin, _AlterScram(passwords))
            refused = [(user, code, text) for user, code, text, _ in told.results if code]
            granted = await _send(admin, _CreateAcls([_row(right, settings.kafka.topic_prefix) for right in rights]))
            refused += [
                (right.role, code, text)
                for right, (code, text) in zip(rights, granted.creation_responses, strict=True)
                if code
            ]
        except KafkaError as error:
            raise BrokerError(f"{settings.bootstrap_servers} does not take users: {error!r}") from error
    if refused:
        user, code, text = refused[0]
        raise BrokerError(
            f"{settings.bootstrap_servers} refuses what «{user}» shall be ({for_code(code).__name__}: {text}): "
            "whoever grants must be one of the cluster's super.users, and the cluster must have an authorizer"
        )


def command(settings: Settings, users: Path) -> None:
    """Make the users of a file, with the rights of their roles, and say so.

    Parameters
    ----------
    settings
        Name the cluster, and a user that may do this.
    users
        The file, see :func:`maskwatch.secret_files.passwords`.

    Raises
    ------
    BrokerError
        If the cluster cannot be reached, or refuses.
    SettingsError
        If the file cannot be read, or names somebody who is no role of ours.
    """
    found = passwords(users)
    asyncio.run(grant(settings, found, rights_of(found)))
    click.echo(f"{len(found)} users may do what their roles need")


def _row(right: Right, prefix: str) -> tuple[int, str, int, str, str, int, int]:
    name = right.name if right.resource is Resource.CLUSTER else f"{prefix}{right.name}"
    # A lone «*» is Kafka's own word for all of them; after a beginning it is ours.
    pattern = _PREFIXED if name.endswith("*") and name != "*" else _LITERAL
    stem = name.removesuffix("*") if pattern == _PREFIXED else name
    return (right.resource, stem, pattern, f"User:{right.role}", "*", right.operation, _ALLOW)


async def _send(admin: AIOKafkaAdminClient, request: Any) -> Any:  # noqa: ANN401  # the client has no types
    return await admin._send_to_controller(request)  # noqa: SLF001  # how the client sends all of its own
