"""``maskwatch data get``: bring a public set of photographs from where it is published, or from a folder or archive.

Whatever way it comes, it is held against what is known of it, how many pictures and how many faces of each class,
before it is put in its place.
"""

import contextlib
import hashlib
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import click
import msgspec

from maskwatch.annotations import PARTS, PICTURE_SUFFIXES, annotations, missing_part, pictures_by_stem, read_annotation
from maskwatch.command import Progress
from maskwatch.errors import AnnotationError
from maskwatch.quantities import say_count, say_size
from training.datasets.downloading import download
from training.errors import CatalogueError

MAX_ARCHIVE = 2 * 2**30
MAX_FILE = 2**26
MAX_UNPACKED = 4 * 2**30
MAX_FILES = 100_000
_DEPTH = 2
"""So many folders may lie around the set."""


class Published(msgspec.Struct, frozen=True):
    """A set of photographs, and what is known of it."""

    address: str
    """Of a ZIP archive."""
    page: str
    """Where people find it."""
    terms: str
    pictures: int
    faces: Mapping[str, int]
    """By class, as they are marked."""


PUBLISHED = {
    "facemask-voc": Published(
        address="https://www.kaggle.com/api/v1/datasets/download/andrewmvd/face-mask-detection",
        page="https://www.kaggle.com/datasets/andrewmvd/face-mask-detection",
        terms="CC0 1.0",
        pictures=853,
        faces={"with_mask": 3232, "without_mask": 717, "mask_weared_incorrect": 123},
    )
}


def get(  # noqa: PLR0913  # named
    wanted: Published, place: str, out: Path, *, sha256: str | None, progress: Progress, pause_s: float = 1.0
) -> str:
    """Bring a set into a folder, which is there whole or not at all.

    Parameters
    ----------
    wanted
        What is known of it.
    place
        A folder, an archive, or an address.
    out
        The folder; must not be there.
    sha256
        Of the archive, if it is known; else any is taken that holds what is known.
    progress
        Shows how far it is.
    pause_s
        See :func:`training.datasets.downloading.download`.

    Returns
    -------
    str
        SHA-256 of what was fetched; empty if nothing was.

    Raises
    ------
    CatalogueError
        If it cannot be had, or is not the set.
    """
    remote = place.startswith(("http://", "https://"))
    source = out.with_name(f"{out.name}.zip") if remote else Path(place)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fetched = _fetch(wanted, place, source, progress, pause_s) if remote else ""
        if sha256 and source.is_file() and (found := _sha256(source)) != sha256.lower():
            raise CatalogueError(f"{place} has the SHA-256 {found}, expected {sha256}: nothing was unpacked")
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            folder = Path(scratch) / "set"
            if source.is_dir():
                _copy(source, folder)
            else:
                unpack(source, folder)
            check(folder, wanted)
            folder.replace(out)
    except OSError as error:
        raise CatalogueError(f"{error.filename or out}: {error.strerror}") from error
    finally:
        if remote:
            # Right, it is no longer needed; wrong, it must not be gone on with. What is not whole lies elsewhere.
            with contextlib.suppress(OSError):
                source.unlink()
    return fetched


def _fetch(wanted: Published, address: str, archive: Path, progress: Progress, pause_s: float) -> str:
    def advance(have: int, whole: int | None) -> None:
        if progress.due:
            total = f" of {say_size(whole)}" if whole else ""
            progress.show(have / whole if whole else None, f"{say_size(have)}{total}")

    try:
        return download(address, archive, max_bytes=MAX_ARCHIVE, advance=advance, pause_s=pause_s)
    except CatalogueError as error:
        hint = f"or fetch the archive with a browser from {wanted.page} and name it with --from"
        raise CatalogueError(f"{error}; {hint}") from error


def check(folder: Path, wanted: Published) -> None:
    """Hold a folder against what is known of a set.

    Raises
    ------
    CatalogueError
        If something is missing, too much or cannot be read; the message says what.
    """
    if part := missing_part(folder):
        raise CatalogueError(f"it is not the set: {part}/ is missing")
    pictures = pictures_by_stem(folder)
    faces: Counter[str] = Counter()
    stems = []
    for file in annotations(folder):
        try:
            faces.update(name for name, _ in read_annotation(file).objects)
        except AnnotationError as error:
            raise CatalogueError(f"it is not the set: {file.name}: {error}") from error
        stems.append(file.stem)
    if lonely := sorted(set(stems) ^ set(pictures)):
        raise CatalogueError(f"it is not the set: {len(lonely)} have no picture or no annotation, such as {lonely[0]}")
    found = {"pictures": len(pictures), **faces}
    expected = {"pictures": wanted.pictures, **wanted.faces}
    if found != expected:
        raise CatalogueError(f"it is not the set: it holds {_say(found)}; expected were {_say(expected)}")


def unpack(archive: Path, folder: Path) -> None:
    """Take the pictures and annotations out of a ZIP archive.

    Where a file goes is ours to say: of its name in the archive only the last folder and the name proper count, so that
    none ends up elsewhere.

    Raises
    ------
    CatalogueError
        If it is no such archive, is damaged, or would fill the disk.
    """
    for part in PARTS:
        (folder / part).mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as content:
            left = MAX_UNPACKED
            for member in _members(content):
                name = PurePosixPath(member.filename)
                target = folder / name.parent.name / name.name
                if target.exists():
                    raise CatalogueError(f"{archive} holds {name.parent.name}/{name.name} twice")
                left -= _extract(content, member, target, min(left, MAX_FILE))
    except FileNotFoundError as error:
        raise CatalogueError(
            f"there is no {archive}: name a folder, a ZIP archive or an address with --from"
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise CatalogueError(f"{archive} is no ZIP archive, or is damaged: {error}") from error


def _members(content: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """Yield the pictures and annotations of an archive."""
    members = content.infolist()
    if len(members) > MAX_FILES:
        raise CatalogueError(f"{content.filename} holds {len(members)} files: it is not the set")
    kinds = {"images": PICTURE_SUFFIXES, "annotations": (".xml",)}
    for member in members:
        name = PurePosixPath(member.filename)
        plain = not member.is_dir() and not stat.S_ISLNK(member.external_attr >> 16)
        if plain and "__MACOSX" not in name.parts and name.suffix.lower() in kinds.get(name.parent.name, ()):
            yield member


def _extract(content: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, limit: int) -> int:
    """Write one file of at most so many bytes, whatever the archive says that it has."""
    size = 0
    with content.open(member) as source, target.open("wb") as file:
        while chunk := source.read(2**20):
            size += len(chunk)
            if size > limit:
                raise CatalogueError(f"{member.filename} unpacks to more than {say_size(limit)}: it is not the set")
            file.write(chunk)
    return size


def _copy(place: Path, folder: Path) -> None:
    """Copy the pictures and annotations of a folder that holds them, or of the only one below that does."""
    depths = ("/".join("*" * depth) for depth in range(1, _DEPTH + 1))
    candidates = [place, *(below for pattern in depths for below in sorted(place.glob(pattern)))]
    fitting = [candidate for candidate in candidates if not missing_part(candidate)]
    if not fitting:
        raise CatalogueError(f"{place} is not the set: images/ beside annotations/ is missing")
    for part, files in (
        ("images", pictures_by_stem(fitting[0]).values()),
        ("annotations", annotations(fitting[0])),
    ):
        (folder / part).mkdir(parents=True)
        for file in files:
            shutil.copyfile(file, folder / part / file.name)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _say(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def command(name: str, place: str | None, out: Path, sha256: str | None) -> None:
    """Bring a set, and say where it lies and what may be done next.

    Raises
    ------
    CatalogueError
        See :func:`get`; or if something else lies there already.
    """
    wanted = PUBLISHED[name]
    if out.exists():
        try:
            check(out, wanted)
        except CatalogueError as error:
            raise CatalogueError(
                f"{out} is there already, and {error}; remove it, or name another with --out"
            ) from error
        click.echo(f"{out}: {name} is there already")
        return
    with Progress(name) as progress:
        fetched = get(wanted, place or wanted.address, out, sha256=sha256, progress=progress)
    click.echo(f"{out}: {say_count(wanted.pictures, 'picture')} ({wanted.terms}, {wanted.page})")
    if fetched:
        click.echo(f"  archive's SHA-256: {fetched}")
    click.echo(f"  next: maskwatch data import {out} --out catalogue.json")
