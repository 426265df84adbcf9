"""`maskwatch up` in a process of its own, with a data folder and ports that nobody else has."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

from maskwatch.embedded import jars
from maskwatch.embedded.broker import free_port
from maskwatch.settings import Settings
from tests.support import stack

PATIENCE_S = 120


def prepared_home(home: Path) -> Path:
    """Make a data folder for which nothing has to be fetched."""
    own = home / "kafka" / jars.KAFKA_VERSION
    own.mkdir(parents=True)
    for jar in stack.fetched_jars().glob("*.jar"):
        (own / jar.name).symlink_to(jar)
    return home


class Up:
    """A running `maskwatch up`, its output read line by line."""

    def __init__(self, home: Path, *arguments: str, **variables: str) -> None:
        ports = {name: free_port(stack.PORTS) for name in ("KAFKA__PORT", "VALKEY__PORT", "API__PORT")}
        self.home = home
        self.port = ports["API__PORT"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = Settings.model_validate(
            {"data_dir": home, "kafka": {"bootstrap_servers": f"127.0.0.1:{ports['KAFKA__PORT']}"}}
        )
        self.command = [sys.executable, "-m", "maskwatch", "up", *arguments]
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MASKWATCH_")},
            "MASKWATCH_DATA_DIR": str(home),
            **{f"MASKWATCH_{name}": str(value) for name, value in ports.items()},
            **variables,
        }
        self.lines: list[str] = []
        self._unread: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            self.command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    @contextlib.contextmanager
    def running(cls, home: Path, *arguments: str, **variables: str) -> Iterator["Up"]:
        """Run it as long as the block does."""
        up = cls(home, *arguments, **variables)
        try:
            yield up
        finally:
            up.process.terminate()
            try:
                up.process.wait(30)
            finally:
                up.process.kill()
                up.process.wait()
                up._reader.join(10)  # its own
                if up.process.stdout is not None:
                    up.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None  # a pipe was asked for
        for line in self.process.stdout:
            self._unread.put(line.rstrip("\n"))
        self._unread.put(None)

    def wait_for(self, *texts: str) -> str:
        """Wait for a line that has all of these texts, and return it."""
        while (line := self._next_line()) is not None:
            if all(text in line for text in texts):
                return line
        raise AssertionError(f"it ended without a line with {texts}: {self.lines}")

    def so_far(self) -> list[str]:
        """Return every line that came until now."""
        while not self._unread.empty():
            self._next_line()
        return self.lines

    def rest(self) -> list[str]:
        """Return the lines that come until it has ended."""
        seen = len(self.lines)
        while self._next_line() is not None:
            pass
        return self.lines[seen:]

    def _next_line(self) -> str | None:
        try:
            line = self._unread.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise AssertionError(f"nothing is said for {PATIENCE_S} s: {self.lines}") from None
        if line is not None:
            self.lines.append(line)
        return line

    def again(self) -> subprocess.CompletedProcess[str]:
        """Start it a second time."""
        return subprocess.run(self.command, env=self.env, capture_output=True, text=True, check=False, timeout=60)

    def children(self) -> dict[str, psutil.Process]:
        """Return the processes that it keeps up, by name."""
        rows = json.loads((self.home / "run" / "children.json").read_text())
        return {row["name"]: psutil.Process(row["pid"]) for row in rows}
