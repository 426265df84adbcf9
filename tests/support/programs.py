"""Programs that tests need and that no Python package brings."""

import shutil
from pathlib import Path


def find_program(name: str) -> str | None:
    """Return where a program is, on the path or where «go install» puts it; None if it is not there."""
    beside = Path.home() / "go" / "bin" / name
    return shutil.which(name) or (str(beside) if beside.exists() else None)
