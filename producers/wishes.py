"""Which cameras are wished for: ``cameras.toml``, a source named on the command line, and the topic ``cameras.v1``.

Every wish goes through the topic, so that everyone sees the same cameras. A wish that was made for one process only
(``maskwatch camera webcam:0``) carries that process's name in the header ``ce_capturer``: no other captures it. All
other wishes are for the process that follows the topic. A later wish for the same camera replaces the one before,
whoever made it; an empty record takes it back.
"""

import os
import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from maskwatch.errors import MessageError, SettingsError, SourceError, did_you_mean
from maskwatch.messages import Box, Camera, decode, encode, is_camera_id
from producers.addresses import is_address, separate
from producers.opening import SCENE, is_path

DEMO = Camera(id="demo", source=SCENE, name="Demo scene")
CAPTURER = "ce_capturer"
_LONGEST_ID = 63


class Wish(NamedTuple):
    """A camera, and the name of the only process that is to capture it, if there is one."""

    camera: Camera
    capturer: str | None = None


def unsealed(source: str) -> tuple[str, str]:
    """Take an address without a user; refuse one with.

    Raises
    ------
    SettingsError
        If there is a user or a password in it.
    """
    address, credentials = separate(source)
    if credentials is not None:
        raise SettingsError(f"{address}: nothing is there to seal its password with")
    return address, ""


def from_source(
    source: str, options: Mapping[str, Any], base: Path, seal: Callable[[str], tuple[str, str]] = unsealed
) -> Camera:
    """Make the wish for a source.

    Parameters
    ----------
    source
        ``scene``, ``webcam:0``, an address, or a path.
    options
        Further fields of :class:`maskwatch.messages.Camera`; without `id` one is made from the source.
    base
        What relative paths start from.
    seal
        Takes user and password out of an address: gives the rest, and these sealed (:func:`producers.logins.sealed`).

    Raises
    ------
    SettingsError
        If a field does not fit; the message says which and why.
    """
    try:
        path = is_path(source)
        resolved, login = seal(source) if is_address(source) else (source, "")
    except SourceError as error:
        raise SettingsError(str(error)) from error
    resolved = str(_resolved(source, base)) if path else resolved
    fields: dict[str, Any] = {"id": camera_id(resolved), "login": login, **options, "source": resolved}
    if isinstance(cast := fields.get("cast"), str):
        fields["cast"] = str(_resolved(cast, base))
    camera = _made(fields)
    # A webcam may be plugged in later; a path that is wrong now is most likely misspelt.
    if path and not Path(resolved).exists():
        raise SettingsError(f"camera «{camera.id}»: there is no clip or folder at {resolved}")
    if camera.cast is not None and not Path(camera.cast).is_dir():
        raise SettingsError(f"camera «{camera.id}»: cast: there is no folder at {camera.cast}")
    return camera


def with_changes(camera: Camera, changes: Mapping[str, Any]) -> Camera:
    """Make the wish for a camera with some fields changed; what stays, its paths too, is not looked at again.

    Raises
    ------
    SettingsError
        If a field does not fit; the message says which and why.
    """
    return _made({**msgspec.structs.asdict(camera), **changes})


def _made(fields: Mapping[str, Any]) -> Camera:
    if not isinstance(fields["id"], str) or not is_camera_id(fields["id"]):
        raise SettingsError(
            f"camera id {fields['id']!r}: only a-z, 0-9 and hyphens, at most {_LONGEST_ID}, such as «door-2»"
        )
    try:
        camera = msgspec.convert(fields, Camera)
    except msgspec.ValidationError as error:
        # msgspec ends with the place, as in "Expected `float` <= 60.0 - at `$.rate`".
        problem, _, place = str(error).partition(" - at `$.")
        raise SettingsError(f"camera «{fields['id']}»: {place.rstrip('`')}: {problem}") from error
    for zone in camera.zones:
        _check_zone(camera, zone)
    return camera


def camera_id(source: str) -> str:
    """Make a camera's id from its source.

    Examples
    --------
    >>> camera_id("webcam:0"), camera_id("scene"), camera_id("clips/Front Door (2).mp4")
    ('webcam-0', 'demo', 'front-door-2')
    >>> camera_id("rtsp://10.0.0.7:554/Streaming/Channels/101")
    '10-0-0-7-streaming-channels-101'
    """
    if source == SCENE:
        return DEMO.id
    text = source
    if is_address(source):
        parts = urlsplit(source)
        text = f"{parts.hostname} {parts.path}"
    elif is_path(source):
        path = _resolved(source, Path.cwd())
        text = path.name if path.is_dir() else path.stem
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_ID].strip("-") or "camera"


def read_file(file: Path, seal: Callable[[str], tuple[str, str]] = unsealed) -> list[Camera]:
    """Read ``cameras.toml``: one ``[[camera]]`` table for each, with the fields of a camera.

    Relative paths start from the file's folder.

    Raises
    ------
    SettingsError
        If the file cannot be read, a key is unknown, a value does not fit or two cameras have one id.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error
    _refuse_unknown(table, ("camera",), str(file))
    tables = table.get("camera", [])
    if not isinstance(tables, list) or not all(isinstance(fields, dict) for fields in tables):
        raise SettingsError(f"{file}: each camera begins with the line [[camera]], in two pairs of brackets")
    if not tables:
        raise SettingsError(f"{file} names no camera; each begins with the line [[camera]]")
    cameras = [
        _from_table(fields, f"{file}, camera {number}", file, seal) for number, fields in enumerate(tables, start=1)
    ]
    _refuse_doubles(cameras, file)
    return cameras


def write_wish(wish: Wish, source: str, time: datetime) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Write a wish for ``cameras.v1``: value and headers.

    Parameters
    ----------
    source
        CloudEvents `source`: who wishes.
    time
        When.
    """
    value, headers = encode(wish.camera, kind="maskwatch.camera.v1", source=source, id=wish.camera.id, time=time)
    if wish.capturer is not None:
        headers.append((CAPTURER, wish.capturer.encode()))
    return value, headers


def read_wish(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> tuple[str, Wish | None]:
    """Read a record of ``cameras.v1``: the camera's id, and None if the wish is taken back.

    Raises
    ------
    MessageError
        If it is none.
    """
    identity = (key or b"").decode(errors="replace")
    if not value:
        return identity, None
    camera = decode(value, Camera)
    if camera.id != identity:
        raise MessageError(f"the key {identity!r} is not the id of the camera, {camera.id!r}")
    capturer = dict(headers).get(CAPTURER)
    return identity, Wish(camera, None if capturer is None else capturer.decode(errors="replace"))


def wanted(wishes: Mapping[str, Wish], process: str, *, others: bool) -> dict[str, Camera]:
    """Choose the cameras that a process is to look after, those that are paused too.

    Parameters
    ----------
    wishes
        By camera id.
    process
        The name of this process: wishes that carry it are its own.
    others
        Whether it also captures what is wished for without naming a process.
    """
    return {
        identity: wish.camera
        for identity, wish in wishes.items()
        if wish.capturer == process or (others and wish.capturer is None)
    }


def _resolved(path: str, base: Path) -> Path:
    return (base / os.path.expanduser(path)).resolve()  # noqa: PTH111  # pathlib raises where there is no such user


def _from_table(fields: dict[str, Any], where: str, file: Path, seal: Callable[[str], tuple[str, str]]) -> Camera:
    _refuse_unknown(fields, Camera.__struct_fields__, where)
    source = fields.get("source")
    if not isinstance(source, str):
        raise SettingsError(f'{where}: source is missing, such as source = "webcam:0"')
    try:
        return from_source(source, fields, file.resolve().parent, seal)
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from error


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known, otherwise=f"known are {', '.join(known)}")
            raise SettingsError(f"{where}: unknown key {key}; {hint}")


def _refuse_doubles(cameras: Sequence[Camera], file: Path) -> None:
    seen: dict[str, int] = {}
    for number, camera in enumerate(cameras, start=1):
        if camera.id in seen:
            raise SettingsError(
                f"{file}: cameras {seen[camera.id]} and {number} have one id, «{camera.id}»; give each its own"
            )
        seen[camera.id] = number


def _check_zone(camera: Camera, zone: Box) -> None:
    x1, y1, x2, y2 = zone
    if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
        raise SettingsError(
            f"camera «{camera.id}»: zone {list(zone)} is no [x1, y1, x2, y2] in 0..1 with x1 < x2 and y1 < y2"
        )
