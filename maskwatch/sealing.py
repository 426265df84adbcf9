"""Passwords of cameras in topics: sealed with a key that lies in no topic (Fernet: AES-128 and HMAC-SHA-256).

The key is `capture.key`; without it a file beside the data, made once and readable by its owner alone. Whoever adds
cameras and whoever captures them need the same one.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from maskwatch.errors import SettingsError
from maskwatch.settings import Settings

KEY_FILE = "camera.key"


def seal(settings: Settings, text: str) -> str:
    """Seal a text, so that it may lie where others read.

    Raises
    ------
    SettingsError
        If the key is malformed, or cannot be kept.
    """
    return _fernet(settings).encrypt(text.encode()).decode()


def unseal(settings: Settings, sealed: str) -> str:
    """Open a sealed text.

    Raises
    ------
    SettingsError
        If it was sealed with another key; the message holds nothing of it.
    """
    try:
        return _fernet(settings).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise SettingsError(
            "the password was sealed with another key: give capture.key the same value where cameras are added and "
            "where they are captured, or add the camera again"
        ) from error


def _fernet(settings: Settings) -> Fernet:
    key = settings.capture.key.get_secret_value() or _kept_key(settings.data_dir / KEY_FILE)
    try:
        return Fernet(key)
    except ValueError as error:
        raise SettingsError(
            "capture.key is no Fernet key; make one: "
            'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        ) from error


def _kept_key(file: Path) -> str:
    try:
        if file.is_file():
            return file.read_text()
        file.parent.mkdir(parents=True, exist_ok=True)
        # Others may make it at the same time: it appears whole or not at all, and the first one stays.
        descriptor, made = tempfile.mkstemp(dir=file.parent, prefix=KEY_FILE)
        with os.fdopen(descriptor, "wb") as new:
            new.write(Fernet.generate_key())
        with suppress(FileExistsError):
            os.link(made, file)
        Path(made).unlink()
        return file.read_text()
    except OSError as error:
        raise SettingsError(f"{file} cannot be kept: {error.strerror}; set capture.key instead") from error
