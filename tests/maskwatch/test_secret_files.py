import hashlib
import tomllib
from pathlib import Path

import pytest

from maskwatch.errors import SettingsError
from maskwatch.roles import REDIS, ROLES
from maskwatch.secret_files import make_cluster, make_server, passwords
from maskwatch.settings import load


def test_what_is_there_stays_and_what_is_missing_fits_it(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = make_cluster(folder, ["masks.example.org"])
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert sorted(made) == sorted(before)
    assert make_cluster(folder, []) == []
    (folder / "detector.toml").unlink()
    (folder / "tls.key").unlink()
    assert make_cluster(folder, []) == ["tls.crt", "tls.key", "detector.toml"]
    after = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert {name for name in before if after[name] != before[name]} == {"tls.crt", "tls.key"}


def test_nobody_else_gets_into_the_folder_and_every_container_reads_its_file(tmp_path: Path) -> None:
    # Also where somebody has made it before.
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets").chmod(0o755)
    make_server(tmp_path / "secrets", [])
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "secrets").iterdir()} == {0o444}


@pytest.mark.parametrize("lost", ["ca.crt", "ca.key"])
def test_an_authority_of_which_half_is_lost_is_not_replaced(tmp_path: Path, lost: str) -> None:
    make_server(tmp_path, [])
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.name != lost}
    (tmp_path / lost).unlink()
    with pytest.raises(SettingsError, match=rf"ca\.\w+ is there and {lost} is not: put it back, or remove all"):
        make_server(tmp_path, [])
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_each_role_has_settings_that_it_alone_may_know(tmp_path: Path) -> None:
    make_cluster(tmp_path, [])
    users = passwords(tmp_path / "users.toml")
    assert users.keys() == ROLES.keys()
    for role in ROLES:
        settings, warnings = load(tmp_path / f"{role}.toml")
        assert warnings == []
        assert (settings.kafka.username, settings.kafka.password.get_secret_value()) == (role, users[role])
        assert bool(settings.api.token.get_secret_value()) == (role == "api")
        assert bool(settings.capture.key.get_secret_value()) == (role in {"api", "capture"})
        assert bool(settings.valkey.url.get_secret_value()) == (role in REDIS)
        others = [password for user, password in users.items() if user != role]
        assert not any(password in (tmp_path / f"{role}.toml").read_text() for password in others)


def test_the_api_and_the_cameras_share_their_key(tmp_path: Path) -> None:
    make_server(tmp_path, [])
    keys = {load(tmp_path / f"{role}.toml")[0].capture.key.get_secret_value() for role in ("api", "capture")}
    assert len(keys) == 1
    assert keys != {""}


def test_redis_knows_passwords_by_their_hash_alone(tmp_path: Path) -> None:
    make_cluster(tmp_path, [])
    known = tomllib.loads((tmp_path / "redis.toml").read_text())["redis"]
    lines = (tmp_path / "redis.acl").read_text().splitlines()
    assert lines[0] == "user default off"
    for line, (user, password) in zip(lines[1:], known.items(), strict=True):
        assert line.startswith(f"user {user} on #{hashlib.sha256(password.encode()).hexdigest()} ")
        assert password not in line


@pytest.mark.parametrize("said", ["[redis]\na = 'b'\n", "[kafka]\ncamera = ''\n", "no toml", "kafka = 1\n"])
def test_users_that_cannot_be_read_are_told_of_without_a_word_of_them(tmp_path: Path, said: str) -> None:
    (tmp_path / "users.toml").write_text(said)
    with pytest.raises(SettingsError, match=r"users\.toml") as refused:
        passwords(tmp_path / "users.toml")
    assert "no toml" not in str(refused.value)


def test_a_missing_file_of_users_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"«maskwatch secrets make --cluster» makes it"):
        passwords(tmp_path / "users.toml")


def test_a_file_of_somebody_elses_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "shared.toml").write_text("[other]\n")
    with pytest.raises(SettingsError, match=r"shared\.toml is not what was written there"):
        make_server(tmp_path, [])
    (tmp_path / "shared.toml").write_text("[shared]\ntoken = 'x'\n")
    with pytest.raises(SettingsError, match=r"shared\.toml lacks key"):
        make_server(tmp_path, [])


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"cannot be made: .*; name another folder"):
        make_server(tmp_path / "file", [])
    (tmp_path / "folder" / ".ca.crt.new").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"ca\.crt cannot be read or written"):
        make_server(tmp_path / "folder", [])
