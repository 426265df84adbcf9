"""Split a catalogue into train, val and test so that look-alikes stay on one side.

Pictures whose perceptual hashes differ in a few bits form a group; the group, never the picture, is assigned to a
part, by a hash of the group's name. So the same picture lands in the same part whatever else is added later.
"""

import hashlib
from collections import defaultdict
from pathlib import Path

import cv2
import imagehash
import msgspec
import numpy as np
from PIL import Image

from maskwatch.messages import MarkedFace
from training.catalogue import Picture
from training.errors import ManifestError

NEAR_DUPLICATE_BITS = 6
"""Of the 64 bits of a DCT hash. On facemask-voc the known near-identical pairs differ in at most this many."""

PARTS = ("train", "val", "test")
SHARES = (0.8, 0.1, 0.1)


class Entry(msgspec.Struct, frozen=True):
    """One picture of a manifest, named by the hash of its bytes."""

    sha256: str
    path: str
    source: str
    width: int
    height: int
    group: str
    part: str
    faces: tuple[MarkedFace, ...]


class Manifest(msgspec.Struct, frozen=True):
    """An immutable version of the data set."""

    entries: tuple[Entry, ...]

    def part(self, name: str) -> list[Entry]:
        """Return the entries of one part, in the manifest's order."""
        return [entry for entry in self.entries if entry.part == name]

    @property
    def sha256(self) -> str:
        """Return the hash of everything but where the pictures happen to lie."""
        rows = [(e.sha256, e.source, e.group, e.part, e.faces) for e in self.entries]
        return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()


def part_of(group: str) -> str:
    """Name the part that a group belongs to.

    Parameters
    ----------
    group
        Name of a near-duplicate group: the smallest SHA-256 among its pictures.

    Returns
    -------
    str
        ``train``, ``val`` or ``test``, in the shares 0.8, 0.1 and 0.1.
    """
    draw = int.from_bytes(hashlib.sha256(f"part:{group}".encode()).digest()[:8], "big") / 2**64
    for part, edge in zip(PARTS, np.cumsum(SHARES), strict=True):
        if draw < edge:
            return part
    return PARTS[-1]


def _fingerprint(path: Path) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    image = cv2.imread(str(path))
    if image is None:
        raise ManifestError(f"{path} cannot be decoded")
    bits = imagehash.phash(Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))).hash
    return np.asarray(bits, dtype=np.bool_).reshape(64)


def group_near_duplicates(names: list[str], fingerprints: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> list[str]:
    """Join pictures whose fingerprints are within a few bits of each other, transitively.

    Parameters
    ----------
    names
        One name a picture, shape (n,).
    fingerprints
        One perceptual hash a picture, shape (n, 64), boolean.

    Returns
    -------
    list of str
        The group of each picture: the smallest name in it.
    """
    parent = list(range(len(names)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for index, bits in enumerate(fingerprints):
        near = np.flatnonzero((fingerprints[:index] != bits).sum(axis=1) <= NEAR_DUPLICATE_BITS)
        for other in near:
            parent[root(int(other))] = root(index)
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(len(names)):
        members[root(index)].append(index)
    smallest = {node: min(names[index] for index in indices) for node, indices in members.items()}
    return [smallest[root(index)] for index in range(len(names))]


def build(pictures: list[Picture], train_only: frozenset[str] = frozenset()) -> Manifest:
    """Make a manifest of a catalogue.

    Parameters
    ----------
    pictures
        What :func:`training.catalogue.read_voc` returned, from one or more folders.
    train_only
        Sources that never enter val or test, such as drawn people: figures are about photographs.

    Raises
    ------
    ManifestError
        If there is no picture, or one cannot be decoded.
    """
    if not pictures:
        raise ManifestError("a manifest needs at least one picture")
    names = [hashlib.sha256(picture.path.read_bytes()).hexdigest() for picture in pictures]
    groups = group_near_duplicates(names, np.stack([_fingerprint(picture.path) for picture in pictures]))
    entries = [
        Entry(
            sha256=name,
            path=str(picture.path),
            source=picture.source,
            width=picture.width,
            height=picture.height,
            group=group,
            part="train" if picture.source in train_only else part_of(group),
            faces=picture.faces,
        )
        for name, group, picture in zip(names, groups, pictures, strict=True)
    ]
    return Manifest(tuple(sorted(entries, key=lambda entry: (entry.source, entry.path))))


def save(manifest: Manifest, path: Path) -> None:
    """Write a manifest as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))


def load(path: Path) -> Manifest:
    """Read a manifest.

    Raises
    ------
    ManifestError
        If the file is missing or is not a manifest.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise ManifestError(f"no manifest at {path}; «make train» makes one") from error
    except msgspec.MsgspecError as error:
        raise ManifestError(f"{path} is not a manifest: {error}") from error
