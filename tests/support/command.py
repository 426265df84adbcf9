"""A command as a person runs it."""

import os
import subprocess
import sys

from maskwatch.settings import Settings
from tests.support.stage import variables


def maskwatch(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    """Run `maskwatch` with these arguments as a process; output and errors are piped."""
    return subprocess.Popen(
        [sys.executable, "-m", "maskwatch", *arguments],
        env={**os.environ, **variables(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
