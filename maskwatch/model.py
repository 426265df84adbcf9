"""What a model is on the disk: a folder whose ``model.json`` says everything that must be known before it is loaded.

That is its name and version, its classes and inputs, every file with its SHA-256, and what it must answer on its
golden picture. Nothing here needs a runtime.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from maskwatch.errors import ModelError
from maskwatch.messages import CLASSES, DetectedFace

ShapeName = Literal["wide", "square"]
Precision = Literal["fp32", "fp16", "int8"]
FILE = "model.json"


def identity(sha256: str, beside: Iterable[str]) -> str:
    """Make one SHA-256 of that of a file and those of the files that go with it; alone it is the file's own.

    Examples
    --------
    >>> identity("ab", []), identity("ab", ["cd"])[:8]
    ('ab', '41b72d4b')
    """
    further = sorted(beside)
    return hashlib.sha256("\n".join([sha256, *further]).encode()).hexdigest() if further else sha256


class ModelFile(msgspec.Struct, frozen=True):
    """One file of a model, relative to its folder, with the files that go with it (OpenVINO's weights)."""

    path: str
    sha256: str
    beside: dict[str, str] = {}
    """Further files that must lie beside it, and their SHA-256."""

    @property
    def identity(self) -> str:
        """Name all that it is: OpenVINO's graph alone is the same for two models of one architecture."""
        return identity(self.sha256, self.beside.values())


class Golden(msgspec.Struct, frozen=True):
    """A picture, and what the model must see on it in either shape."""

    path: str
    sha256: str
    faces: dict[ShapeName, tuple[DetectedFace, ...]]


class ModelCard(msgspec.Struct, frozen=True):
    """What ``model.json`` says."""

    name: str
    version: str
    classes: tuple[str, ...]
    shapes: dict[ShapeName, tuple[int, int]]
    """Width and height of each input, in pixels."""
    files: dict[Precision, ModelFile]
    """``fp32`` is ONNX with dynamic batch and sides; ``fp16`` and ``int8`` are OpenVINO IR with dynamic sides."""
    golden: Golden


def read_card(folder: Path) -> ModelCard:
    """Read a model's ``model.json``.

    Raises
    ------
    ModelError
        If it is missing, malformed, or speaks of other classes than ours.
    """
    path = folder / FILE
    try:
        card = msgspec.json.decode(path.read_bytes(), type=ModelCard)
    except OSError as error:
        raise ModelError(f"no model in {folder}: {error}; set detector.model to a folder with a {FILE}") from error
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path} does not describe a model: {error}") from error
    if card.classes != CLASSES:
        raise ModelError(f"{path}: classes are {card.classes}, expected {CLASSES}")
    return card


def check_file(folder: Path, name: str, sha256: str) -> Path:
    """Return a file's path once its bytes are what they should be.

    Raises
    ------
    ModelError
        If it is missing or was altered.
    """
    path = folder / name
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if found != sha256:
        raise ModelError(f"{path} was altered: its SHA-256 is {found}, {FILE} says {sha256}")
    return path
