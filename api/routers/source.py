"""The source of what runs here, for everyone who uses it over a network (AGPL-3.0, section 13).

An installation that was changed offers its own changes this way without a thought; one that publishes its source
elsewhere says so in `api.source_url`.
"""

import io
import os
import tarfile
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from api.dependencies import Services
from maskwatch import __version__
from maskwatch.settings import PROJECT

PATH = "/source.tar.gz"
PARTS = (
    "maskwatch",
    "producers",
    "processors",
    "consumers",
    "training",
    "api",
    "tests",
    "requirements",
    "docs",
    "data",
    "compose",
)
FILES = ("pyproject.toml", "Makefile", "README.md", "LICENSE", "CHANGELOG.md", "Dockerfile", ".dockerignore")
SECRETS = "compose/secrets"
LOCAL = "data/cameras.toml"
"""An example, until somebody writes cameras of their own into it, with passwords."""

_NOT_SOURCE = {".pyc", ".onnx", ".bin", ".pt"}
"""What Python made, and the model's weights: the card says how those were made."""

_ROOT = f"maskwatch-{__version__}"
_PACKING = threading.Lock()
"""It costs seconds of a processor: however many ask, it is done once, and what runs here is what was there then."""

router = APIRouter(include_in_schema=False)


def address(services: Services) -> str:
    """Return where the source of what runs here is."""
    return services.settings.api.source_url or PATH


# In a thread: the event loop has pictures to send.
@router.get(PATH)
def source() -> Response:
    """Return the source of what runs here, packed."""
    with _PACKING:
        archive = _packed(PROJECT)
    return Response(
        archive,
        media_type="application/gzip",
        headers={"Content-Disposition": f'attachment; filename="{_ROOT}.tar.gz"'},
    )


@cache
def _packed(project: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as archive:
        for path in _files(project):
            archive.add(path, f"{_ROOT}/{path.relative_to(project)}", recursive=False)
    return packed.getvalue()


def _files(project: Path) -> Iterator[Path]:
    yield from (project / name for name in FILES if (project / name).is_file())
    for part in PARTS:
        for folder, _, names in os.walk(project / part):
            # What `make secrets` made lies below compose/, and is nobody's but this installation's.
            if Path(folder).is_relative_to(project / SECRETS):
                continue
            found = (Path(folder, name) for name in sorted(names))
            yield from (path for path in found if path.suffix not in _NOT_SOURCE and path != project / LOCAL)
