"""Work that prints as libraries that train do: from Python, past it, from C, and from a process of its own."""

import ctypes
import os
import subprocess
import sys
import tempfile


def work() -> str:
    """Print in every way, and answer."""
    print("Python says")  # noqa: T201  # that is the point
    os.write(1, b"a file descriptor says\n")
    ctypes.CDLL(None).printf(b"C says, and does not flush\n")
    subprocess.run([sys.executable, "-c", "print('a child says')"], check=True)
    return '{"promote": true}'


def wait() -> str:
    """Put something aside, start a process that says its number, and wait for it."""
    with tempfile.TemporaryDirectory():
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
        subprocess.run([sys.executable, "-c", code], check=True)
    return "done"
