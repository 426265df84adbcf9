import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from maskwatch.errors import SettingsError
from maskwatch.settings import Settings, describe, load, names


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("MASKWATCH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_variables_win_over_the_file_which_wins_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "maskwatch.toml").write_text("[api]\nport = 9000\n[kafka]\nport = 9393\n")
    monkeypatch.setenv("MASKWATCH_API__PORT", "9001")
    settings, warnings = load()
    assert (settings.api.port, settings.kafka.port, settings.detector.batch) == (9001, 9393, 16)
    assert warnings == []


def test_a_file_can_be_named_by_argument_or_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[api]\nport = 9002\n")
    assert load(file)[0].api.port == 9002
    monkeypatch.setenv("MASKWATCH_SETTINGS", str(file))
    assert load()[0].api.port == 9002


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[kafka]\nbootstrap_server = 'x'\n",
            "unknown key kafka.bootstrap_server; did you mean kafka.bootstrap_servers",
        ),
        ("[api]\nport = 'many'\n", "api.port"),
        ("[api\n", "is not TOML"),
        ("zzz = 1\n", "unknown key zzz; «maskwatch settings» lists them all"),
        ("[api]\nhost = '0.0.0.0'\n", "api.token is needed"),
        ("[kafka]\nsecurity = 'SASL_SSL'\n", "kafka.username"),
    ],
)
def test_a_wrong_file_is_refused_with_the_remedy(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "maskwatch.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=says):
        load(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no settings file at"):
        load(tmp_path / "absent.toml")


def test_an_unknown_variable_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKWATCH_API__PROT", "1")
    assert load()[1] == ["unknown variable MASKWATCH_API__PROT; did you mean MASKWATCH_API__PORT?"]


def test_a_list_that_is_no_json_is_told_by_its_variable_and_how_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKWATCH_API__TOKEN", "open-sesame")
    monkeypatch.setenv("MASKWATCH_API__ORIGINS", "https://masks.example.org")
    with pytest.raises(SettingsError, match=r"settings: MASKWATCH_API__ORIGINS: a list is written as JSON, such as"):
        load()
    monkeypatch.setenv("MASKWATCH_API__ORIGINS", '["https://masks.example.org"]')
    assert load()[0].api.origins == ("https://masks.example.org",)


def test_the_tree_is_frozen() -> None:
    settings, _ = load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.api.port = 1  # type: ignore[misc]  # that it is refused is the point


def test_every_setting_is_described() -> None:
    assert [name for name, _, description in describe(Settings()) if not description] == []
    assert "kafka.bootstrap_servers" in names(Settings)


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKWATCH_KAFKA__PASSWORD", "hunter2")
    monkeypatch.setenv("MASKWATCH_API__TOKEN", "open-sesame")
    rows = {name: value for name, value, _ in describe(load()[0])}
    assert rows["kafka.password"] == rows["api.token"] == "********"
    assert rows["valkey.url"] == ""
    assert "hunter2" not in repr(load()[0])


def test_the_embedded_addresses_are_used_unless_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, _ = load()
    assert (settings.bootstrap_servers, settings.valkey_url) == ("127.0.0.1:9092", "redis://127.0.0.1:6380/0")
    monkeypatch.setenv("MASKWATCH_KAFKA__BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setenv("MASKWATCH_VALKEY__URL", "redis://store/1")
    settings, _ = load()
    assert (settings.bootstrap_servers, settings.valkey_url) == ("broker:9092", "redis://store/1")


def test_data_lies_where_the_platform_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert load()[0].data_dir == tmp_path / "maskwatch"
