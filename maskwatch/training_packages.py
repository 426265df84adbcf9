"""What only training needs: whether it is here, how it comes, and that it comes when it is first wanted.

The base install has no torch. A command that needs it asks once on a terminal, installs the pinned packages and goes on
as if they had been here; where nobody can be asked it says how to get them.
"""

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import click

from maskwatch import lazy
from maskwatch.errors import MaskwatchError
from maskwatch.settings import PROJECT

PACKAGES = ("torch", "ultralytics", "nncf", "mlflow")
"""Those of the many that are looked for."""
QUESTION = "Training needs PyTorch and what goes with it: 3 GB to fetch, 9 GB on the disk. Install it now?"
LOCK = "requirements/train.txt"
UNFINISHED = ".installing"
"""Lies in the environment while :file:`requirements/install.py` installs into it, and after one that was cut off."""

LIMIT_S = 4 * 3600
_OURS = {"maskwatch", "producers", "processors", "consumers", "training", "api"}
_ERROR = 2


class PackagesMissingError(MaskwatchError, ImportError):
    """What only training needs is not installed; as an ImportError, for modules that need it raise it on import.

    Parameters
    ----------
    name
        Of the package that was looked for.
    """

    exit_code = 69  # EX_UNAVAILABLE

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not installed; {remedy()}")


def are_here() -> bool:
    """Tell whether a training can start now; packages that came since the process began count, half of them do not."""
    importlib.invalidate_caches()
    return not (Path(sys.prefix) / UNFINISHED).exists() and all(find_spec(name) for name in PACKAGES)


def remedy() -> str:
    """Say how the packages come to where this runs."""
    if not _has_pip():
        # An image holds what its roles need, and cannot install.
        return "the image with the target «training» has it: compose/, --profile train, see docs/operate.md"
    return "«make .venv/.train» installs what training needs (3 GB)"


def _has_pip() -> bool:
    # Not importlib's find_spec: it asks setuptools' hook too, which then throws distutils out of this process.
    return PathFinder.find_spec("pip") is not None


def call(target: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # whatever the target takes and gives
    """Import ``module:function`` and call it, as :func:`maskwatch.lazy.call`, with :func:`brought`."""
    with brought():
        return lazy.call(target, *arguments, **options)


@contextlib.contextmanager
def brought(*, yes: bool = False) -> Iterator[None]:
    """Install packages that turn out to be missing, if a person wants that, and begin the command anew.

    Parameters
    ----------
    yes
        A person has said so already.

    Raises
    ------
    PackagesMissingError
        If they are missing and nobody wants them installed, or they cannot be.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] in _OURS:
            raise
        missing = PackagesMissingError(error.name)
    except PackagesMissingError as error:
        missing = error
    else:
        return
    # Where all are here something else is wrong, and would be after any installation.
    if are_here() or not _can_install() or not (yes or _wanted()):
        raise missing
    _install(missing)
    _begin_anew()


def require(*, yes: bool = False) -> None:
    """See to it that the packages are here before the work begins: :func:`brought` has them installed if they are not.

    Parameters
    ----------
    yes
        A person has said already that they may be.

    Raises
    ------
    PackagesMissingError
        If they are missing and nobody wants them installed, or they cannot be.
    """
    with brought(yes=yes):
        if not are_here():
            raise PackagesMissingError(PACKAGES[0])


def _can_install() -> bool:
    return (
        (PROJECT / LOCK).exists() and sys.prefix != sys.base_prefix and _has_pip() and shutil.which("make") is not None
    )


def _wanted() -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    # Of what is asked, click prints the last blank to standard output.
    with contextlib.redirect_stdout(sys.stderr):
        return click.confirm(QUESTION, err=True)


def _install(missing: PackagesMissingError) -> None:
    # Whatever the stamp in the environment says.
    again = ["-W", LOCK]
    command = ["make", "--no-print-directory", "-C", str(PROJECT), *again, f"VENV={sys.prefix}", f"{sys.prefix}/.train"]
    try:
        # It shows how far it is; standard output is for what the command answers.
        subprocess.run(command, check=True, timeout=LIMIT_S, stdout=_ERROR)  # noqa: S603  # ours
    except (OSError, subprocess.SubprocessError) as error:
        raise missing from error
    if not are_here():
        raise missing


def _begin_anew() -> NoReturn:
    """Become the same command again: half of what it has imported may be another version now."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606  # that is the point
