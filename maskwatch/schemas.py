"""JSON Schemas of everything on the wire, for subscribers in other languages.

``python -m maskwatch.schemas`` writes them into ``data/schemas``; a test fails while they are stale.
"""

import json
from pathlib import Path

import msgspec

from maskwatch import messages
from maskwatch.settings import PROJECT

FOLDER = PROJECT / "data" / "schemas"
MESSAGES: dict[str, type[msgspec.Struct]] = {
    "camera.v1": messages.Camera,
    "camera-status.v1": messages.CameraStatus,
    "dead-letter.v1": messages.DeadLetter,
    "detection.v1": messages.Detection,
    "prediction.v1": messages.Prediction,
    "scene-knobs.v1": messages.SceneKnobs,
}


def schemas() -> dict[str, str]:
    """Return each schema as text, by file name."""
    return {
        f"{name}.json": json.dumps(msgspec.json.schema(message), indent=2, ensure_ascii=False) + "\n"
        for name, message in MESSAGES.items()
    }


def write(folder: Path = FOLDER) -> None:
    """Write every schema into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write()
