"""Everything secret that an installation on servers needs, made once and kept as files.

One TOML file a role holds what that role alone knows (its users' passwords, the API's token), to be read as its
settings; the rest are certificates. A file that is there stays, and what is missing is made to fit it: to make one
anew, remove it.
"""

import hashlib
import json
import secrets
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from cryptography.fernet import Fernet

from maskwatch.certificates import Identity, authority, issue
from maskwatch.errors import SettingsError
from maskwatch.roles import REDIS, ROLES

LOCAL = ("localhost", "127.0.0.1")
BROKERS = ("kafka-1", "kafka-2", "kafka-3")
USERS = "users.toml"

_READABLE = 0o444
"""Compose mounts files as they are, and each container has a user of its own. Nobody else gets into the folder."""

_Tree = Mapping[str, Mapping[str, str]]


def make_server(folder: Path, hosts: Sequence[str]) -> list[str]:
    """Make what one machine needs: the front door's certificate, the API's token, the key of cameras' passwords.

    Parameters
    ----------
    folder
        Where; made if need be, for its owner alone.
    hosts
        Further names and addresses of the front door.

    Returns
    -------
    list of str
        The files that were missing.

    Raises
    ------
    SettingsError
        If the folder cannot be used, or a file in it is none of ours.
    """
    made = _Folder(folder)
    _front_door(made, hosts)
    shared = _shared(made)
    for role in ("api", "capture", "alerts"):
        made.keep(f"{role}.toml", partial(_toml, _of_role(role, shared)))
    return made.new


def make_cluster(folder: Path, hosts: Sequence[str]) -> list[str]:
    """Make what a cluster of several brokers needs: besides, identities of brokers, and users of Kafka, Redis and S3.

    Parameters
    ----------
    folder
        Where; made if need be, for its owner alone.
    hosts
        Further names and addresses of the front door.

    Returns
    -------
    list of str
        The files that were missing.

    Raises
    ------
    SettingsError
        If the folder cannot be used, or a file in it is none of ours.
    """
    made = _Folder(folder)
    signer = _front_door(made, hosts)
    shared = _shared(made)
    for broker in BROKERS:
        made.keep(f"{broker}.pem", partial(_store, signer, broker))
    made.identity("admin", lambda: issue(signer, "admin", ()))
    users = _users(made, USERS, "kafka", ROLES)
    stored = _users(made, "redis.toml", "redis", REDIS)
    for role in ROLES:
        tree = {**_of_role(role, shared), "kafka": {"username": role, "password": users[role]}}
        if role in stored:
            tree["valkey"] = {"url": f"redis://{role}:{stored[role]}@redis:6379/0"}
        made.keep(f"{role}.toml", partial(_toml, tree))
    made.keep("redis.acl", lambda: _redis_acl(stored))
    made.keep("redis-pictures", stored["pictures"].encode)
    s3 = _users(made, "s3.toml", "s3", ("maskwatch",))
    made.keep("s3-secret", s3["maskwatch"].encode)
    # As every client of S3 reads them.
    profile = f"[default]\naws_access_key_id = maskwatch\naws_secret_access_key = {s3['maskwatch']}\n"
    made.keep("s3-credentials", profile.encode)
    return made.new


def passwords(file: Path) -> dict[str, str]:
    """Return the passwords of Kafka's users, by user.

    Raises
    ------
    SettingsError
        If it is no such file; nothing of it is repeated.
    """
    try:
        table = tomllib.loads(file.read_text())["kafka"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{file} names no users of Kafka ({type(error).__name__}); «maskwatch secrets make --cluster» makes it"
        ) from error
    if not isinstance(table, dict) or not all(isinstance(value, str) and value for value in table.values()):
        raise SettingsError(f"{file}: each user of [kafka] needs a password")
    return table


def _front_door(made: "_Folder", hosts: Sequence[str]) -> Identity:
    """Keep the authority and the front door's certificate, and return the authority."""
    signer = made.identity("ca", lambda: authority("Maskwatch's own authority"), for_life=True)
    made.identity("tls", lambda: issue(signer, "Maskwatch", (*LOCAL, *hosts)))
    return signer


class _Folder:
    """A folder whose files are made once.

    Parameters
    ----------
    path
        Where.

    Raises
    ------
    SettingsError
        If it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.new: list[str] = []
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            # One that was there has the mode that somebody gave it, and its files may be read by all who get to them.
            if path.stat().st_mode & 0o077:
                path.chmod(0o700)
        except OSError as error:
            raise SettingsError(f"{path} cannot be made: {error.strerror}; name another folder") from error

    def keep(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Return a file's bytes, made now if it is missing."""
        file = self._path / name
        try:
            if file.is_file():
                return file.read_bytes()
            data = make()
            new = file.with_name(f".{name}.new")
            new.write_bytes(data)
            new.chmod(_READABLE)
            new.replace(file)
        except OSError as error:
            raise SettingsError(f"{file} cannot be read or written: {error.strerror}") from error
        self.new.append(name)
        return data

    def identity(self, name: str, make: Callable[[], Identity], *, for_life: bool = False) -> Identity:
        """Return a certificate and its key, made now if either is missing; for life, only if both are."""
        pair = [self._path / f"{name}{suffix}" for suffix in (".crt", ".key")]
        there = [file for file in pair if file.is_file()]
        if for_life and len(there) == 1:
            (missing,) = set(pair) - set(there)
            raise SettingsError(
                f"{there[0]} is there and {missing.name} is not: put it back, or remove all of {self._path} to begin "
                "anew; what it has signed would be worth nothing with another"
            )
        if len(there) < len(pair):
            for file in pair:
                file.unlink(missing_ok=True)
            fresh = make()
            self.keep(pair[0].name, lambda: fresh.certificate)
            self.keep(pair[1].name, lambda: fresh.key)
            return fresh
        return Identity(*(self.keep(file.name, bytes) for file in pair))


def _shared(made: _Folder) -> Mapping[str, str]:
    tree = {
        "shared": {"token": secrets.token_urlsafe(24), "key": Fernet.generate_key().decode()},
    }
    return _read(made, "shared.toml", "shared", tree)


def _users(made: _Folder, file: str, table: str, names: Sequence[str] | Mapping[str, object]) -> Mapping[str, str]:
    return _read(made, file, table, {table: {name: secrets.token_urlsafe(24) for name in names}})


def _read(made: _Folder, file: str, table: str, fresh: _Tree) -> Mapping[str, str]:
    try:
        found = tomllib.loads(made.keep(file, lambda: _toml(fresh)).decode())[table]
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise SettingsError(f"{file} is not what was written there; remove it to make it anew") from error
    if missing := sorted(fresh[table].keys() - found.keys()):
        raise SettingsError(f"{file} lacks {', '.join(missing)}; remove it to make it anew")
    return dict(found)


def _of_role(role: str, shared: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """Return the settings that only this role may know."""
    tree: dict[str, Mapping[str, str]] = {}
    if role == "api":
        tree["api"] = {"token": shared["token"]}
    if role in {"api", "capture"}:
        tree["capture"] = {"key": shared["key"]}
    return tree


def _store(signer: Identity, broker: str) -> bytes:
    return issue(signer, broker, (broker, *LOCAL)).store


def _toml(tree: _Tree) -> bytes:
    # A JSON string is a TOML string.
    tables = (
        "".join([f"[{table}]\n", *(f"{name} = {json.dumps(value)}\n" for name, value in rows.items())])
        for table, rows in tree.items()
    )
    return "\n".join(tables).encode()


def _redis_acl(stored: Mapping[str, str]) -> bytes:
    lines = ["user default off"]
    for name, rules in REDIS.items():
        lines.append(f"user {name} on #{hashlib.sha256(stored[name].encode()).hexdigest()} {rules}")
    return ("\n".join(lines) + "\n").encode()
