"""A version of the data set: which pictures, what is on them, where they came from and what each is used for.

Immutable: its SHA-256 is that of its content, wherever the pictures happen to lie, and stands in the file. A later
version is built upon an earlier one and changes nothing that was decided there (:mod:`training.datasets.split`).
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from maskwatch.files import write_whole
from maskwatch.messages import MarkedFace
from training.datasets.catalogue import Picture, refusal_of_sources
from training.datasets.duplicates import fingerprint, group, look_alikes
from training.datasets.split import LATER_SHARES, SHARES, Burst, Part, Strata, held_out, newcomers_part, stratify
from training.errors import CatalogueError, ManifestError

_LATE = datetime.max.replace(tzinfo=UTC)


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One picture of a manifest, named by the hash of its bytes."""

    sha256: str
    path: str
    source: str
    width: int
    height: int
    group: str
    """Of look-alikes: the smallest SHA-256 among them when the group was first seen."""
    part: Part
    faces: tuple[MarkedFace, ...]
    fingerprint: str = ""
    """Perceptual hash as 16 hexadecimal digits: later versions find look-alikes by it, without the picture."""
    why: str = ""
    """For what is left out: the reason."""
    twin: str = ""
    """Stem of another file of the same photograph, if any; later versions keep both on one side."""


class Manifest(msgspec.Struct, frozen=True):
    """An immutable version of the data set."""

    entries: tuple[Entry, ...]
    parent: str = ""
    """SHA-256 of the version that it was built upon; empty for the first."""

    def part(self, name: Part) -> list[Entry]:
        """Return the entries of one part, in the manifest's order."""
        return [entry for entry in self.entries if entry.part == name]

    @property
    def sources(self) -> list[str]:
        """Return the names of the sources, in order."""
        return sorted({entry.source for entry in self.entries})

    @property
    def sha256(self) -> str:
        """Return the hash of everything but where the pictures happen to lie."""
        rows = [(e.sha256, e.source, e.group, e.part, e.faces) for e in self.entries]
        return hashlib.sha256(msgspec.json.encode((self.parent, rows))).hexdigest()

    def without(self, sources: frozenset[str]) -> "Manifest":
        """Return the same data without some sources, such as one whose terms do not suit.

        Raises
        ------
        ManifestError
            If there is no such source; the message names those that there are.
        """
        if refusal := refusal_of_sources(sources, self.sources):
            raise ManifestError(refusal)
        return Manifest(tuple(entry for entry in self.entries if entry.source not in sources), self.parent)


def spread(entries: Sequence[Entry], most: int) -> list[Entry]:
    """Take so many at most, evenly over all: a manifest is in the order of its sources."""
    count = min(most, len(entries))
    return [entries[place * len(entries) // count] for place in range(count)]


def build(
    pictures: Sequence[Picture],
    *,
    previous: Manifest | None = None,
    train_only: frozenset[str] = frozenset(),
    labels: frozenset[str] = frozenset(),
) -> Manifest:
    """Make a manifest of catalogues.

    Parameters
    ----------
    pictures
        What :mod:`training.datasets.catalogue` read, from one or more folders.
    previous
        The version to build upon: all of it is in the new one, as it was. Without anything new it is the version.
    train_only
        Sources that never judge, such as drawn people: figures are about photographs. What looks like a photograph
        that judges is left out.
    labels
        Sources that are people's labels of an installation: a third of their groups is ``holdout``.

    Raises
    ------
    ManifestError
        If there is no picture.
    CatalogueError
        If one cannot be read or decoded, or is not what was imported.
    """
    previous = previous or Manifest(())
    if not pictures and not previous.entries:
        raise ManifestError("a manifest needs at least one picture")
    # Whatever order folders are read in, the same manifest comes of them.
    hashed = sorted(
        ((_hash(picture), picture) for picture in pictures),
        key=lambda item: (item[0], item[1].source, str(item[1].path)),
    )
    twins = {name: picture.twin for name, picture in hashed if picture.twin}
    known = [
        msgspec.structs.replace(entry, twin=entry.twin or twins.get(entry.sha256, "")) for entry in previous.entries
    ]
    fresh: dict[str, Picture] = {}
    again: list[Entry] = []
    there = {entry.sha256 for entry in known}
    for name, picture in hashed:
        if name in there:
            continue
        if name in fresh:
            why = f"the same bytes as {fresh[name].path.name} of {fresh[name].source}"
            again.append(_entry(name, picture, name, "left out", why=why))
        else:
            fresh[name] = picture
    prints = {name: fingerprint(picture.path) for name, picture in fresh.items()}
    # What was left out as the same bytes has no fingerprint, and must not stand for the picture that was not.
    used = {entry.sha256: entry for entry in known if entry.fingerprint}
    names = [*used, *fresh]
    bits = [_bits(entry.fingerprint) for entry in used.values()] + list(prints.values())
    bursts = [*(None for _ in used), *(picture.burst for picture in fresh.values())]
    # All frames of a camera that does not move look alike, whoever is on them: there the time tells them apart.
    alike = (pair for pair in look_alikes(np.stack(bits)) if not (bursts[pair[0]] and bursts[pair[1]]))
    pairs = [*alike, *_kin(names, [*((entry.sha256, entry) for entry in known), *hashed])]
    group_of = dict(zip(names, group(names, pairs), strict=True))
    parts = _parts(group_of, used, fresh, train_only, labels)
    entries = []
    for name, picture in fresh.items():
        part, why = _use(parts[name], never_judges=picture.source in train_only)
        entries.append(_entry(name, picture, group_of[name], part, bits=_hex(prints[name]), why=why))
    if known and not (entries or again):
        return Manifest(tuple(known), previous.parent)
    everything = sorted([*known, *entries, *again], key=lambda entry: (entry.source, entry.path))
    return Manifest(tuple(everything), previous.sha256 if known else "")


def _hash(picture: Picture) -> str:
    """Return the hash of a picture's bytes.

    Raises
    ------
    CatalogueError
        If it cannot be read, or the faces of the catalogue were marked on other bytes.
    """
    try:
        name = hashlib.sha256(picture.path.read_bytes()).hexdigest()
    except OSError as error:
        raise CatalogueError(
            f"{picture.path} cannot be read ({error.strerror}): put it back, or import again"
        ) from error
    if picture.sha256 not in {"", name}:
        raise CatalogueError(f"{picture.path} is not the picture that was imported: import again")
    return name


def _parts(
    group_of: dict[str, str],
    known: dict[str, Entry],
    fresh: dict[str, Picture],
    train_only: frozenset[str],
    labels: frozenset[str],
) -> dict[str, Part]:
    """Decide the part of every new picture."""
    earlier: dict[str, list[Part]] = defaultdict(list)
    for name, entry in known.items():
        earlier[group_of[name]].append(entry.part)
    sources: dict[str, set[str]] = defaultdict(set)
    strata: dict[str, Strata] = defaultdict(Counter)
    named_by: dict[str, tuple[datetime, str, Burst | str]] = {}
    for name, picture in fresh.items():
        # A group has the name of what was labelled first, which stays whoever labels more of it later.
        mine = (picture.labelled or _LATE, name, picture.burst or name)
        named_by[group_of[name]] = min(mine, named_by.get(group_of[name], mine), key=lambda one: one[:2])
        sources[group_of[name]].add(picture.source)
        strata[group_of[name]][picture.source, ""] += 1
        strata[group_of[name]].update((picture.source, face.label) for face in picture.faces)
    parts: dict[str, Part] = {}
    for name in strata:
        if name in earlier:
            parts[name] = newcomers_part(earlier[name])
        elif sources[name] & labels:
            parts[name] = "holdout" if held_out(named_by[name][2]) else "train"
        elif sources[name] <= train_only:
            parts[name] = "train"
    undecided = {name: counts for name, counts in strata.items() if name not in parts}
    parts |= stratify(undecided, LATER_SHARES if known else SHARES)
    return {name: parts[group_of[name]] for name in fresh}


def _use(part: Part, *, never_judges: bool) -> tuple[Part, str]:
    """Return what a new picture of a group in this part is used for; and why, if for nothing."""
    if part == "left out":
        return part, "looks like a picture of the test part, which is frozen"
    if never_judges and part != "train":
        return "left out", f"looks like a picture of the {part} part, where its source may not be"
    return part, ""


def _kin(names: Sequence[str], told: Sequence[tuple[str, Entry | Picture]]) -> Iterator[tuple[int, int]]:
    """Yield the places, among the names, of pictures that are said to belong together."""
    places = {name: place for place, name in enumerate(names)}
    stems: dict[str, list[int]] = defaultdict(list)
    bursts: dict[Burst, int] = {}
    there = [(places[name], one) for name, one in told if name in places]
    for place, one in there:
        stems[Path(one.path).stem].append(place)
    for place, one in there:
        if one.twin:
            yield from ((other, place) for other in stems[one.twin])
        if isinstance(one, Picture) and one.burst:
            yield bursts.setdefault(one.burst, place), place


def _entry(  # noqa: PLR0913  # named
    name: str, picture: Picture, group: str, part: Part, *, bits: str = "", why: str = ""
) -> Entry:
    return Entry(
        sha256=name,
        path=str(picture.path),
        source=picture.source,
        width=picture.width,
        height=picture.height,
        group=group,
        part=part,
        faces=picture.faces,
        fingerprint=bits,
        why=why,
        twin=picture.twin,
    )


def _hex(bits: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> str:
    return np.packbits(bits).tobytes().hex()


def _bits(digits: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits.zfill(16)), np.uint8)).astype(np.bool_)


class _File(msgspec.Struct, frozen=True):
    sha256: str
    parent: str
    entries: tuple[Entry, ...]


def save(manifest: Manifest, path: Path) -> None:
    """Write a manifest as JSON, one line a picture.

    Raises
    ------
    ManifestError
        If the file cannot be written.
    """
    head = f'{{"sha256": "{manifest.sha256}", "parent": "{manifest.parent}", "entries": [\n'
    rows = ",\n".join(msgspec.json.encode(entry).decode() for entry in manifest.entries)
    try:
        write_whole(path, f"{head}{rows}\n]}}\n".encode())
    except OSError as error:
        raise ManifestError(f"{path} cannot be written ({error.strerror}): name a file that can") from error


def load(path: Path) -> Manifest:
    """Read a manifest.

    Raises
    ------
    ManifestError
        If the file is missing, is not a manifest, or was altered since it was written.
    """
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError as error:
        raise ManifestError(f"no manifest at {path}; «maskwatch data split» makes one") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not a manifest: {error}") from error
    manifest = Manifest(file.entries, file.parent)
    if manifest.sha256 != file.sha256:
        raise ManifestError(
            f"{path} was altered: its content has the SHA-256 {manifest.sha256}, it says {file.sha256}; "
            "a manifest is never changed: make a new version with «maskwatch data split --previous»"
        )
    return manifest
