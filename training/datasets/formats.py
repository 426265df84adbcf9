"""The formats that annotated pictures come and go in, by name."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Protocol

from training.datasets import coco, voc, yolo
from training.datasets.catalogue import FormatName
from training.datasets.contents import Contents, Files
from training.datasets.item import Item


class Format(Protocol):
    """What the module of a format can do."""

    def recognise(self, folder: Path, files: Files, /) -> bool:
        """Say whether a folder may be in this format; reads what it must, raises nothing but CatalogueError."""

    def read(self, folder: Path, files: Files, /) -> Contents:
        """Read what a folder says, having decoded no picture; every file that is of no use is named in `refused`."""

    def place(self, item: Item, /) -> PurePath:
        """Say where a picture goes, relative to the folder."""

    def write(self, items: Sequence[Item], folder: Path, /) -> None:
        """Write the annotations into a folder that holds the pictures already."""


FORMATS: dict[FormatName, Format] = {"voc": voc, "yolo": yolo, "coco": coco}
