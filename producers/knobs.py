"""Turn the knobs of the demo scene while it runs, through ``scene.v1``: what the topic says last is how they stand."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from maskwatch import kafka, reading
from maskwatch.errors import MessageError, SettingsError, did_you_mean
from maskwatch.messages import SceneKnobs, decode, encode, is_camera_id
from maskwatch.settings import Settings
from maskwatch.topics import Name, partition_count

log = structlog.get_logger(__name__)


async def turn(settings: Settings, camera_id: str, knobs: Sequence[str]) -> str:
    """Turn some knobs of a scene and leave the others as they are.

    Parameters
    ----------
    settings
        Names the cluster and the prefix.
    camera_id
        Which scene.
    knobs
        Each as ``KNOB=VALUE``.

    Returns
    -------
    str
        How all of its knobs stand now.

    Raises
    ------
    SettingsError
        If a knob is not known or its value does not fit; the message names what does.
    BrokerError
        If Kafka cannot be reached.
    """
    if not is_camera_id(camera_id):
        raise SettingsError(f"«{camera_id}» is no camera id: only a-z, 0-9 and hyphens, such as «demo»")
    changes = parse(knobs)
    turned = msgspec.structs.replace(await read(settings, camera_id), **changes)
    value, headers = encode(turned, kind="maskwatch.scene.v1", source="/scene", id=camera_id, time=datetime.now(UTC))
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        await kafka.send(producer, settings, Name.SCENE, key=camera_id, value=value, headers=headers)
    return " ".join(f"{name}={_plain(value)}" for name, value in msgspec.structs.asdict(turned).items())


def parse(knobs: Sequence[str]) -> dict[str, Any]:
    """Read ``KNOB=VALUE``, any number of them; the last of a name counts.

    Raises
    ------
    SettingsError
        If a knob is not known or its value does not fit.

    Examples
    --------
    >>> parse(["light=0.3", "crowd=8"])
    {'light': 0.3, 'crowd': 8}
    """
    ranges = _ranges()
    changes: dict[str, Any] = {}
    for knob in knobs:
        name, equals, text = knob.partition("=")
        if not equals:
            raise SettingsError(f"«{knob}» is no KNOB=VALUE, such as light=0.3; {_known(ranges)}")
        if name not in ranges:
            hint = f"{did_you_mean(name, ranges, otherwise='')} {_known(ranges)}".lstrip()
            raise SettingsError(f"no knob «{name}»; {hint}")
        try:
            changes[name] = getattr(msgspec.convert({name: text}, SceneKnobs, strict=False), name)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{knob}: {name} is {ranges[name]}") from error
    return changes


async def read(settings: Settings, camera_id: str) -> SceneKnobs:
    """Read how the knobs of a scene stand.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached or does not answer in time.
    """
    held = await reading.held(settings, Name.SCENE, partition_count(Name.SCENE))
    latest = {record.key: record.value for record in held}
    value = latest.get(camera_id.encode())
    try:
        return decode(value, SceneKnobs) if value else SceneKnobs()
    except MessageError as error:
        log.warning("the knobs in scene.v1 cannot be read and begin anew", camera=camera_id, error=str(error))
        return SceneKnobs()


def _ranges() -> dict[str, str]:
    _, components = msgspec.json.schema_components([SceneKnobs])
    return {name: _range(schema) for name, schema in components[SceneKnobs.__name__]["properties"].items()}


def _range(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(schema["enum"])
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    return f"{kind}, {schema['minimum']:g} to {schema['maximum']:g}"


def _known(ranges: dict[str, str]) -> str:
    return "knobs: " + "; ".join(f"{name} ({text})" for name, text in ranges.items())


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
