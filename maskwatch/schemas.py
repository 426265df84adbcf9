"""JSON Schemas of everything on the wire, and what goes over which topic, for subscribers in other languages.

``python -m maskwatch.schemas`` writes them into ``data/schemas``: a schema for each message, and all of it as
AsyncAPI 3 (https://www.asyncapi.com). A test fails while they are stale.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from maskwatch import __version__, drift_messages, label_messages, messages, model_messages, shadow_messages
from maskwatch.messages import JPEG
from maskwatch.settings import PROJECT
from maskwatch.topics import TOPICS, Name, Topic

ASYNCAPI = "asyncapi.json"
FOLDER = PROJECT / "data" / "schemas"
MESSAGES: dict[str, type[msgspec.Struct]] = {
    "alert.v1": drift_messages.Alert,
    "camera.v1": messages.Camera,
    "camera-status.v1": messages.CameraStatus,
    "camera-window.v1": drift_messages.CameraWindow,
    "champion.v1": model_messages.Champion,
    "dead-letter.v1": messages.DeadLetter,
    "detection.v1": messages.Detection,
    "episode.v1": drift_messages.Episode,
    "label.v1": label_messages.FrameLabel,
    "label-request.v1": drift_messages.LabelRequest,
    "model-command.v1": model_messages.ModelCommand,
    "model-version.v1": model_messages.ModelVersion,
    "prediction.v1": messages.Prediction,
    "run.v1": model_messages.Run,
    "scene-knobs.v1": messages.SceneKnobs,
    "shadowed.v1": shadow_messages.Shadowed,
}


_TOPICS: dict[Name, str] = {
    Name.CAMERAS: "camera.v1",
    Name.DETECTIONS: "detection.v1",
    Name.PREDICTIONS: "prediction.v1",
    Name.SCENE: "scene-knobs.v1",
    Name.CAMERA_STATUS: "camera-status.v1",
    Name.SIGNALS: "camera-window.v1",
    Name.DRIFT: "episode.v1",
    Name.ALERTS: "alert.v1",
    Name.LABELS: "label.v1",
    Name.SHADOW: "shadowed.v1",
    Name.MODELS: "champion.v1",
    Name.MODEL_VERSIONS: "model-version.v1",
    Name.COMMANDS: "model-command.v1",
    Name.RUNS: "run.v1",
}
"""The message that a topic's records are."""

_PICTURES: dict[Name, tuple[str, ...]] = {
    Name.FRAMES_LIVE: ("ce_camera", "ce_session", "ce_sequence", "ce_width", "ce_height"),
    Name.FRAMES_RECORDING: ("ce_camera", "ce_session", "ce_sequence", "ce_width", "ce_height"),
    Name.FRAMES_UPLOAD: ("ce_width", "ce_height", "ce_bodyhash"),
    Name.LABEL_REQUESTS: ("ce_camera", "ce_session", "ce_sequence", "ce_width", "ce_height", "ce_request"),
}
"""Headers beside CloudEvents' own, on topics whose records are JPEGs."""

_ANY_JSON: dict[Name, tuple[str, ...]] = {Name.DRIFT_STATE: (), Name.DETECTIONS_DLQ: ("refused",)}
"""JSON that is nobody else's business, and their headers: the monitor's own state, and what could not be read."""

_EVENT = ("ce_specversion", "ce_type", "ce_source", "ce_id", "ce_time", "content-type")


def schemas() -> dict[str, str]:
    """Return each schema as text, by file name."""
    found = {f"{name}.json": _text(msgspec.json.schema(message)) for name, message in MESSAGES.items()}
    return {**found, ASYNCAPI: _text(asyncapi())}


def asyncapi(servers: str = "127.0.0.1:9092", prefix: str = "") -> dict[str, Any]:
    """Describe every topic as AsyncAPI 3 does.

    Parameters
    ----------
    servers
        The cluster's addresses, with commas between.
    prefix
        What stands before every topic's name there.
    """
    names = list(MESSAGES)
    references, components = msgspec.json.schema_components(
        MESSAGES.values(), ref_template="#/components/schemas/{name}"
    )
    payloads = dict(zip(names, references, strict=True))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Maskwatch",
            "version": __version__,
            "description": "Face masks on live pictures, over Kafka. Times are RFC 3339 in UTC; boxes are "
            "x1, y1, x2, y2 in 0..1 of the picture. Within .v1 changes only add optional fields.",
            "license": {"name": "AGPL-3.0-or-later"},
        },
        "servers": {
            f"broker-{number}": {"host": host, "protocol": "kafka"} for number, host in enumerate(servers.split(","))
        },
        "channels": {topic.name.value: _channel(topic, prefix, payloads) for topic in TOPICS},
        "operations": {
            f"read-{topic.name}": {"action": "receive", "channel": {"$ref": f"#/channels/{_escaped(topic.name)}"}}
            for topic in TOPICS
        },
        "components": {"schemas": components},
    }


def _channel(topic: Topic, prefix: str, payloads: Mapping[str, object]) -> dict[str, Any]:
    return {
        "address": f"{prefix}{topic.name}",
        "description": f"{topic.about}; kept: {topic.kept()}",
        "messages": {"record": _message(topic, payloads)},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": topic.policy()},
            }
        },
    }


def _message(topic: Topic, payloads: Mapping[str, object]) -> dict[str, Any]:
    key = {"key": {"type": "string", "description": f"the {topic.key}"}}
    if topic.name in _TOPICS:
        name = _TOPICS[topic.name]
        return {
            "name": f"maskwatch.{name}",
            "contentType": "application/json",
            "headers": _headers(_EVENT),
            "payload": payloads[name],
            "bindings": {"kafka": key},
        }
    if topic.name in _ANY_JSON:
        return {
            "name": topic.name.value,
            "contentType": "application/json",
            "headers": _headers(_ANY_JSON[topic.name]),
            "payload": {"description": topic.about},
            "bindings": {"kafka": key},
        }
    refused = topic.name not in _PICTURES
    # A refused record keeps the headers that it came with, whatever they are.
    return {
        "name": "maskwatch.dead-letter.v1" if refused else topic.name.value,
        "contentType": JPEG,
        "headers": _headers(("refused",)) if refused else _headers((*_EVENT, *_PICTURES[topic.name])),
        "payload": {
            "type": "string",
            "format": "binary",
            "description": "what was refused, or nothing" if refused else JPEG,
        },
        "bindings": {"kafka": key},
    }


def _headers(names: Sequence[str]) -> dict[str, Any]:
    return {"type": "object", "required": list(names), "properties": {name: {"type": "string"} for name in names}}


def _escaped(name: str) -> str:
    # RFC 6901: these two mean something in a JSON pointer.
    return name.replace("~", "~0").replace("/", "~1")


def _text(tree: object) -> str:
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> None:
    """Write every schema into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write()
