"""Wish for cameras, and change or take back what is wished for, while everything runs: ``maskwatch cameras``."""

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from maskwatch import kafka, reading
from maskwatch.errors import MessageError, SettingsError, SourceError
from maskwatch.messages import Camera, CameraStatus, SceneKnobs, decode
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count
from producers.jpeg import to_jpeg
from producers.logins import Logins, sealed
from producers.opening import open_source
from producers.publishing import StatePublisher
from producers.wishes import Wish, from_source, read_wish, with_changes

WHO = "cameras"
"""Who wishes, as the records' source says."""


async def wished(settings: Settings) -> dict[str, Wish]:
    """Return what is wished for now, by camera id.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached.
    """
    found: dict[str, Wish] = {}
    for record in await reading.held(settings, Name.CAMERAS, partition_count(Name.CAMERAS)):
        try:
            identity, wish = read_wish(record.key, record.value, record.headers)
        except MessageError:
            continue
        if wish is None:
            found.pop(identity, None)
        else:
            found[identity] = wish
    return found


async def states(settings: Settings) -> dict[str, CameraStatus]:
    """Return what capture says of each camera, by its id.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached.
    """
    found: dict[str, CameraStatus] = {}
    for record in await reading.held(settings, Name.CAMERA_STATUS, partition_count(Name.CAMERA_STATUS)):
        identity = (record.key or b"").decode(errors="replace")
        try:
            found[identity] = decode(record.value, CameraStatus)
        except MessageError:
            found.pop(identity, None)
    return found


def new(settings: Settings, source: str, options: Mapping[str, Any], wishes: Mapping[str, Wish]) -> Camera:
    """Make the wish for a camera that is not wished for yet; its password is sealed.

    Raises
    ------
    SettingsError
        If something does not fit, or there is a camera of this id.
    """
    camera = from_source(source, options, Path.cwd(), lambda address: sealed(settings, address))
    if camera.id in wishes:
        raise SettingsError(f"there is a camera «{camera.id}» already: change it, or give this one another --id")
    return camera


def changed(settings: Settings, identity: str, changes: Mapping[str, Any], wishes: Mapping[str, Wish]) -> Camera:
    """Make the wish for a camera with some fields changed.

    The login is kept for an address without one, as long as it leads to the same place: whoever may name hosts and
    does not know the password must not have it sent to another. A source that stays is not looked at: its path is on
    the machine that captures.

    Raises
    ------
    SettingsError
        If there is no such camera, it belongs to a process of its own, or something does not fit.
    """
    before = known(identity, wishes).camera
    if "source" not in changes:
        return with_changes(before, changes)
    fields = {**msgspec.structs.asdict(before), **changes}
    source = fields.pop("source")
    login = fields.pop("login")
    after = from_source(source, fields, Path.cwd(), lambda address: sealed(settings, address))
    was, is_now = urlsplit(before.source), urlsplit(after.source)
    # Without a path of its own the login may hold it: another path is another login then.
    stays = was[:2] == is_now[:2] and (bool(was.path) or was == is_now)
    return msgspec.structs.replace(after, login=login) if stays and not after.login else after


def known(identity: str, wishes: Mapping[str, Wish]) -> Wish:
    """Return a wish that may be changed by others than its process.

    Raises
    ------
    SettingsError
        If there is none.
    """
    wish = _wish(identity, wishes)
    if wish.capturer is not None:
        raise SettingsError(
            f"camera «{identity}» belongs to a «maskwatch camera» or a replay, which alone says how it is captured"
        )
    return wish


def refuse_running(identity: str, wishes: Mapping[str, Wish], told: Mapping[str, CameraStatus]) -> None:
    """Refuse to take back a wish whose process still captures.

    Parameters
    ----------
    identity
        The camera's id.
    wishes
        What is wished for.
    told
        What capture says of each camera: a process that ends says that its cameras are offline.

    Raises
    ------
    SettingsError
        If there is no such camera, or it belongs to a process that has not said that it ended.
    """
    status = told.get(identity)
    if _wish(identity, wishes).capturer is not None and (status is None or status.state != "offline"):
        raise SettingsError(
            f"camera «{identity}» belongs to a «maskwatch camera» or a replay that is not known to have ended: end "
            "that process, then remove it; if it was killed, start it once more and end it"
        )


def _wish(identity: str, wishes: Mapping[str, Wish]) -> Wish:
    wish = wishes.get(identity)
    if wish is None:
        there = ", ".join(sorted(wishes)) or "none"
        raise SettingsError(f"no camera «{identity}»; there are: {there}")
    return wish


async def publish(settings: Settings, camera: Camera | None, identity: str) -> None:
    """Wish for a camera, for whoever captures; None takes the wish for this id back.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached, or does not acknowledge in time.
    """
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        publisher = StatePublisher(producer, settings, WHO, for_all=True)
        if camera is None:
            await publisher.take_back(identity)
        else:
            await publisher.wish(camera)


def show(settings: Settings, *, as_json: bool) -> None:
    """Print every camera: what it is, and how it is."""

    async def both() -> tuple[dict[str, Wish], dict[str, CameraStatus]]:
        return await wished(settings), await states(settings)

    wishes, told = asyncio.run(both())
    rows = [_row(identity, wish, told.get(identity)) for identity, wish in sorted(wishes.items())]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("no camera is wished for; add one: maskwatch cameras add rtsp://10.0.0.7/stream --id door")
    for row in rows:
        reason = f": {row['reason']}" if row["reason"] else ""
        click.echo(f"{row['id']}  {row['source']}  {row['rate']:g} frames/s  {row['state']}{reason}")


def _row(identity: str, wish: Wish, status: CameraStatus | None) -> dict[str, Any]:
    camera = wish.camera
    state = "paused" if camera.paused else status.state if status else "unknown"
    return {
        "id": identity,
        "name": camera.name or identity,
        "source": camera.source,
        "rate": camera.rate,
        "recorded": camera.record_rate,
        "state": state,
        "since": None if status is None else status.since.isoformat(),
        "reason": "" if status is None or camera.paused else status.reason,
        "by": wish.capturer or "all",
    }


def add(settings: Settings, source: str, options: Mapping[str, Any]) -> str:
    """Wish for a camera; return what to tell."""

    async def work() -> Camera:
        camera = new(settings, source, options, await wished(settings))
        await publish(settings, camera, camera.id)
        return camera

    camera = asyncio.run(work())
    return f"camera «{camera.id}» is wished for: {camera.source} at {camera.rate:g} frames/s"


def change(settings: Settings, identities: Sequence[str], changes: Mapping[str, Any]) -> str:
    """Change cameras; with no change at all they are tried again at once. Return what to tell."""

    async def work() -> None:
        wishes = await wished(settings)
        cameras = [changed(settings, identity, changes, wishes) for identity in identities]
        for camera in cameras:
            await publish(settings, camera, camera.id)

    asyncio.run(work())
    return f"{', '.join(identities)}: {'changed' if changes else 'tried again'}"


def remove(settings: Settings, identities: Sequence[str]) -> str:
    """Take the wishes for cameras back, also those of processes that have ended; return what to tell."""

    async def work() -> None:
        wishes, told = await wished(settings), await states(settings)
        for identity in identities:
            refuse_running(identity, wishes, told)
        for identity in identities:
            await publish(settings, None, identity)

    asyncio.run(work())
    return f"{', '.join(identities)}: removed"


def test(settings: Settings, source: str, file: Path | None) -> str:
    """Open a camera here and now, and take one picture; return what to tell.

    Raises
    ------
    SettingsError
        If it gives none; the message says why.
    """
    camera = from_source(source, {}, Path.cwd(), lambda address: sealed(settings, address))
    stopping = threading.Event()
    try:
        opened = open_source(camera, SceneKnobs, stopping.wait, Logins(settings, [camera.id]).open)
        try:
            shot = opened.read()
        finally:
            opened.close()
    except SourceError as error:
        raise SettingsError(f"no picture: {error}") from error
    jpeg = None if shot is None else to_jpeg(shot.image, camera)
    if shot is None or jpeg is None:
        raise SettingsError(f"no picture: {camera.source} gave none")
    if file is not None:
        file.write_bytes(jpeg.data)
    height, width = shot.image.shape[:2]
    return f"{camera.source}: a picture of {width}x{height}{f', in {file}' if file else ''}"
