"""Install a lock into this virtual environment, and show how far it is.

Standard library only: it runs before anything is installed. Pip downloads everything first and unpacks it then; both
happen inside the environment's folder, so that the folder's size tells how much is done.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

UNFINISHED = ".installing"
"""Lies in the environment while something is installed into it, and after that failed: all may not be there."""

REFRESH_S = 0.5
BAR = 24
MB = 2**20


def size_of(folder: Path) -> int:
    """Return what lies in a folder, in bytes; what vanishes meanwhile does not count."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                total += (Path(path) / name).lstat().st_size
            except FileNotFoundError:
                continue
    return total


def show(environment: Path, name: str, total: int, began: float, done: threading.Event) -> None:
    """Draw the bar until it is done."""
    before = size_of(environment)
    while not done.wait(REFRESH_S):
        share = min(0.99, (size_of(environment) - before) / total)
        took = time.monotonic() - began
        left = f"{took / share - took:.0f} s left" if share > 0.02 else "…"  # noqa: PLR2004  # too early to tell
        filled = round(share * BAR)
        bar = "█" * filled + "░" * (BAR - filled)
        sys.stdout.write(f"\r\x1b[K  {name}  {bar}  {share * total / MB:.0f} of {total / MB:.0f} MB · {left}")
        sys.stdout.flush()
    sys.stdout.write("\r\x1b[K")


def main() -> int:
    """Install what the arguments say: a lock, what to call it, and how many MB it puts onto the disk in all."""
    lock, name, total = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) * MB
    environment = Path(sys.prefix)
    temporary = environment / UNFINISHED
    temporary.mkdir(exist_ok=True)
    options = (
        "--disable-pip-version-check",
        "--no-deps",
        "--require-hashes",
        "--no-cache-dir",
        "--progress-bar",
        "off",
    )
    command = [sys.executable, "-m", "pip", "install", "-q", *options, "-r", str(lock)]
    began = time.monotonic()
    done = threading.Event()
    drawing = threading.Thread(target=show, args=(environment, name, total, began, done), daemon=True)
    if sys.stdout.isatty():
        drawing.start()
    code = subprocess.run(command, check=False, env={**os.environ, "TMPDIR": str(temporary)}).returncode  # noqa: S603
    done.set()
    if drawing.is_alive():
        drawing.join()
    shutil.rmtree(temporary, ignore_errors=True)
    if code:
        temporary.mkdir(exist_ok=True)
        sys.stderr.write(
            f"  ✗ {name}: pip could not install {lock}; what it said is above.\n"
            "    Without a network, name a folder of wheels: PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER make up\n"
        )
        return code
    sys.stdout.write(f"  ✓ {name:<22} {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
