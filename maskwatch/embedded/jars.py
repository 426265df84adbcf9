"""Kafka's jars: which they are, whether they are the ones that we know, and where they come from.

The list `jars.sha256` names every jar by SHA-256, size and place in a Maven repository. The place is also what is
fetched, so no dependency is resolved and nobody else's list of versions can change Kafka's. A folder that holds
anything but exactly these files is refused, and the file is named.
"""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from maskwatch.errors import StackError

KAFKA_VERSION = "4.2.0"
CONNECTIONS = 4
TIMEOUT_S = 10

Advance = Callable[[int], None]
"""Takes the bytes that have come since the last call, from any thread."""


class Jar(msgspec.Struct, frozen=True):
    """One file that we know."""

    sha256: str
    bytes: int
    place: str
    """Path in a Maven repository: group/artifact/version/file."""

    @property
    def name(self) -> str:
        """Return the file's name."""
        return PurePosixPath(self.place).name


@cache
def known() -> tuple[Jar, ...]:
    """Return every jar that the embedded broker is made of."""
    rows = (line.split() for line in (files("maskwatch.embedded") / "jars.sha256").read_text().splitlines())
    return tuple(Jar(sha256, int(size), place) for sha256, size, place in rows)


def missing(folder: Path, wanted: tuple[Jar, ...] | None = None) -> list[Jar]:
    """Return the jars that a folder of ours still lacks."""
    return [jar for jar in wanted or known() if not (folder / jar.name).is_file()]


def check(folder: Path, wanted: tuple[Jar, ...] | None = None) -> list[Path]:
    """Hold a folder against the list.

    Parameters
    ----------
    folder
        Where the jars lie.
    wanted
        The list; ours without it.

    Returns
    -------
    list of Path
        The jars, in the list's order.

    Raises
    ------
    StackError
        If a jar is missing, altered, or not on the list; the message names it.
    """
    wanted = wanted or known()
    names = {jar.name for jar in wanted}
    for stranger in sorted(folder.glob("*.jar")):
        if stranger.name not in names:
            raise StackError(f"{stranger} is not one of Kafka {KAFKA_VERSION}'s jars: remove it and start again")
    for jar in wanted:
        path = folder / jar.name
        if not path.is_file():
            raise StackError(f"{path} is missing: start again to fetch it")
        if _sha256(path) != jar.sha256:
            raise StackError(
                f"{path} is not the file that we know (its SHA-256 differs): it is damaged or was altered; "
                "remove it and start again to fetch it anew"
            )
    return [folder / jar.name for jar in wanted]


def named(folder: Path) -> list[Path]:
    """Return the jars of a folder that the user vouches for, such as the `libs` of a Kafka release.

    Raises
    ------
    StackError
        If there is no Kafka in it.
    """
    if not any(folder.glob("kafka_2.13-*.jar")):
        raise StackError(f"kafka.jars: no Kafka in {folder}; name the folder «libs» of an unpacked Kafka release")
    return sorted(folder.glob("*.jar"))


def fetch(folder: Path, advance: Advance, wanted: tuple[Jar, ...] | None = None, mirror: str | None = None) -> None:
    """Fetch what a folder lacks from Maven Central; each jar is checked before it is put there.

    Parameters
    ----------
    folder
        Where the jars shall lie; made if need be.
    advance
        Told of progress, in bytes.
    wanted
        The list; ours without it.
    mirror
        Address of another repository to ask; without it what jgo's own settings name, and Maven Central.

    Raises
    ------
    StackError
        If a jar cannot be had or is not the one that we know.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A folder of this run's own: jgo takes a half-fetched file in its cache for a whole one.
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetching-") as cache_dir:
        context = _maven(Path(cache_dir), advance, mirror)
        lacking = missing(folder, wanted)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for jar, path in zip(lacking, pool.map(lambda jar: _download(context, jar), lacking), strict=True):
                found = _sha256(path)
                if found != jar.sha256:
                    raise StackError(
                        f"{jar.name} came with SHA-256 {found}, expected {jar.sha256}: it was altered on the way; "
                        "nothing of it was kept"
                    )
                shutil.move(path, folder / jar.name)


def _maven(cache_dir: Path, advance: Advance, mirror: str | None) -> Any:  # noqa: ANN401  # jgo ships no types
    # Only a first start needs jgo, and its import is slow.
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    @contextmanager
    def report(_name: str, _size: int) -> Iterator[Advance]:
        yield advance

    logging.getLogger("jgo").setLevel(logging.ERROR)
    repositories = {"mirror": mirror} if mirror else GlobalSettings.load().repositories
    return MavenContext(
        resolver=PythonResolver(progress_callback=report),
        repo_cache=cache_dir,
        **({"remote_repos": repositories} if repositories else {}),
        timeout=TIMEOUT_S,
    )


def _download(context: Any, jar: Jar) -> Path:  # noqa: ANN401  # jgo ships no types
    import requests  # noqa: PLC0415  # jgo's own, and slow to import

    *group, artifact, version, _ = PurePosixPath(jar.place).parts
    try:
        return Path(context.project(".".join(group), artifact).at_version(version).artifact().resolve())
    except (requests.RequestException, RuntimeError, OSError) as error:
        raise StackError(
            f"{jar.name} cannot be fetched from Maven Central: {error.__class__.__name__}. Connect this machine to "
            f"the internet once, or unpack a Kafka {KAFKA_VERSION} release and name its jars with "
            "MASKWATCH_KAFKA__JARS=FOLDER/libs, or use your own cluster with MASKWATCH_KAFKA__BOOTSTRAP_SERVERS"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
