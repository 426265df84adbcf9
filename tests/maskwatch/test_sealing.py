import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from maskwatch.errors import SettingsError
from maskwatch.sealing import KEY_FILE, seal, unseal
from maskwatch.settings import CaptureSettings, Settings


def test_what_is_sealed_is_opened_with_the_same_key_alone() -> None:
    one, other = (Settings(capture=CaptureSettings(key=Fernet.generate_key().decode())) for _ in range(2))
    sealed = seal(one, "a secret")
    assert "secret" not in sealed
    assert unseal(one, sealed) == "a secret"
    with pytest.raises(SettingsError, match="sealed with another key"):
        unseal(other, sealed)
    with pytest.raises(SettingsError, match="sealed with another key"):
        unseal(one, "rubbish")


def test_without_a_key_one_is_kept_that_only_its_owner_reads(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    with ThreadPoolExecutor(8) as several:
        sealed = list(several.map(lambda _: seal(Settings(data_dir=home), "a secret"), range(8)))
    assert {unseal(Settings(data_dir=home), text) for text in sealed} == {"a secret"}
    assert [file.name for file in home.iterdir()] == [KEY_FILE]
    assert stat.S_IMODE((home / KEY_FILE).stat().st_mode) == 0o600


def test_what_is_no_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no Fernet key; make one: python -c"):
        seal(Settings(capture=CaptureSettings(key="short")), "x")
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"cannot be kept: .*; set capture.key instead"):
        seal(Settings(data_dir=tmp_path / "file"), "x")
