import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from maskwatch.embedded import tether
from maskwatch.embedded.broker import free_port
from maskwatch.embedded.supervisor import Backoff, Child, Supervisor, end_leftovers
from maskwatch.errors import StackError
from tests.support import stack
from tests.support.disk import small_disk
from tests.support.stage import until

READY = """
import os, socket, sys, time
def ready(text=""):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(f"READY=1\\nSTATUS={text}\\n".encode(), os.environ["NOTIFY_SOCKET"])
"""
QUICK = Backoff(first_s=0.01, longest_s=0.05)


class Events:
    """Keeps what a supervisor reports."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.deaths: list[tuple[str, str, float]] = []
        self.returns: asyncio.Queue[str] = asyncio.Queue()
        self.pids: list[int] = []

    def said(self, name: str, line: str) -> None:
        self.lines.append((name, line))

    def died(self, name: str, reason: str, delay_s: float) -> None:
        self.deaths.append((name, reason, delay_s))

    def returned(self, name: str) -> None:
        self.returns.put_nowait(name)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
async def running(tmp_path: Path, events: Events) -> AsyncIterator[Supervisor]:
    sup = Supervisor(tmp_path / "run", tmp_path / "logs", events, events.pids.append, QUICK)
    yield sup
    await sup.stop()


def child(code: str, name: str = "stage", rank: int = 1, **more: Any) -> Child:  # noqa: ANN401  # Child's fields
    return Child(name=name, command=(sys.executable, "-c", READY + code), rank=rank, **more)


async def test_ready_child_tells_its_status_and_its_lines_go_to_its_log(
    tmp_path: Path, running: Supervisor, events: Events
) -> None:
    code = "print('héllo'); print('x' * 100_000, end='', flush=True); ready('41 frames/s'); time.sleep(60)"
    assert await running.start(child(code)) == "41 frames/s"
    await running.stop()
    assert [line for _, line in events.lines] == ["héllo", "x" * 100_000]
    assert (tmp_path / "logs" / "stage.log").read_text(encoding="utf-8").startswith("héllo\nxxx")


async def test_dying_child_comes_back_with_growing_waits(running: Supervisor, events: Events, tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    code = f"f = open({str(lives)!r}, 'a+'); f.write('.'); f.close(); ready(); print('bye', flush=True); sys.exit(3)"
    await running.start(child(code))
    while len(events.deaths) < 4:
        await events.returns.get()
    assert [(name, reason) for name, reason, _ in events.deaths[:4]] == [("stage", "ended with exit code 3: bye")] * 4
    assert [delay for *_, delay in events.deaths[:4]] == [0.01, 0.02, 0.04, 0.05]


async def test_a_dying_child_comes_back_although_nothing_can_be_written(
    running: Supervisor, events: Events, tmp_path: Path
) -> None:
    # To whoever opens it for writing, a folder in its place is as bad as a full disk.
    (tmp_path / "run" / "children.new").mkdir()
    await running.start(child("ready(); sys.exit(3)"))
    async with asyncio.timeout(20):
        assert await events.returns.get() == "stage"


async def test_what_dies_of_a_full_disk_is_told_of_and_back_once_there_is_room(tmp_path: Path, events: Events) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        folder = disk.folder
        # As a broker does: what it cannot write, it dies of.
        code = f"f = open({str(folder / 'data')!r}, 'ab', 0)\nready()\nwhile f.write(b'x' * 8192): time.sleep(0.02)"
        supervisor = Supervisor(folder / "run", folder / "logs", events, events.pids.append, QUICK)
        try:
            await supervisor.start(child(code, "store"))
            (row,) = json.loads((folder / "run" / "children.json").read_text())
            disk.fill(psutil.Process(row["pid"]))
            await until(lambda: bool(events.deaths), 30, "it dies of that")
            disk.free()
            async with asyncio.timeout(30):
                assert await events.returns.get() == "store"
        finally:
            await supervisor.stop()
    if disk.says_so:
        assert "the disk is full (0 MB left): free some, and it comes back" in events.deaths[0][1]


def test_a_long_life_forgives_earlier_deaths() -> None:
    backoff = Backoff()
    assert backoff.deaths(5, lived_s=59) == 6
    assert backoff.deaths(5, lived_s=60) == 1


async def test_child_that_cannot_start_says_why(running: Supervisor) -> None:
    with pytest.raises(StackError, match=r"stage ended with exit code 1: no model here; log: .*stage\.log"):
        await running.start(child("print('no model here'); sys.exit(1)"))


async def test_child_that_is_never_ready_is_named(running: Supervisor) -> None:
    with pytest.raises(StackError, match=r"stage is not ready after 0 s; its log: .*stage\.log"):
        await running.start(child("time.sleep(60)", start_timeout_s=0.2))


async def test_children_end_by_rank_and_a_deaf_one_is_killed(
    tmp_path: Path, running: Supervisor, events: Events
) -> None:
    order = tmp_path / "order"
    polite = f"""
import signal
def leave(*_):
    with open({str(order)!r}, 'a') as f: f.write(os.environ['ME'])
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
ready()
while True: time.sleep(0.05)
"""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); ready()\nwhile True: time.sleep(0.05)"
    for name, rank in (("a", 1), ("b", 2), ("c", 3)):
        await running.start(child(polite, name, rank, env={"ME": name}))
    await running.start(child(deaf, "deaf", 3, stop_timeout_s=0.3))
    await running.stop()
    assert order.read_text() == "cba"
    assert len(events.pids) == 4
    assert not any(psutil.pid_exists(pid) for pid in events.pids)
    assert events.deaths == []


async def test_what_a_child_started_ends_with_it(running: Supervisor, events: Events) -> None:
    code = """
import subprocess
inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
print(inner.pid, flush=True); ready(); time.sleep(0.2); os.kill(os.getpid(), 9)
"""
    await running.start(child(code))
    await events.returns.get()
    inner = int(events.lines[0][1])
    assert events.deaths[0][1].startswith("was killed by SIGKILL")
    assert not psutil.pid_exists(inner) or psutil.Process(inner).status() == psutil.STATUS_ZOMBIE


async def test_port_makes_ready(running: Supervisor) -> None:
    port = free_port(stack.PORTS)
    code = f"time.sleep(0.2); s = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"
    assert not stack.answers(port)
    assert await running.start(child(code, port=port)) == ""
    assert stack.answers(port)


async def test_program_that_does_not_exist_says_so(running: Supervisor) -> None:
    with pytest.raises(StackError, match="nothing-of-that-name"):
        await running.start(Child(name="x", command=("/nothing-of-that-name",), rank=1))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with a killed parent")
def test_killed_supervisor_leaves_no_child(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
from maskwatch.embedded.broker import free_port
from maskwatch.embedded.supervisor import Child, Supervisor
from tests.maskwatch.embedded.test_supervisor import Events, child
async def main():
    sup = Supervisor(Path({str(tmp_path)!r}), Path({str(tmp_path)!r}), Events())
    await sup.start(child('ready(); time.sleep(60)'))
    print('up', flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    (row,) = json.loads((tmp_path / "children.json").read_text())
    stage = psutil.Process(row["pid"])
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert psutil.wait_procs([stage], timeout=10)[1] == []


def test_leftovers_are_ended_and_strangers_are_not(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as left, subprocess.Popen(["sleep", "60"]) as other:
        try:
            created = psutil.Process(other.pid).create_time()
            rows = [
                {"name": "live", "pid": left.pid, "created": psutil.Process(left.pid).create_time()},
                # The pid has gone to another process since.
                {"name": "api", "pid": other.pid, "created": created - 100},
                {"name": "gone", "pid": 2**22 + 1, "created": created},
            ]
            (tmp_path / "children.json").write_text(json.dumps(rows))
            assert end_leftovers(tmp_path) == ["live"]
            assert not psutil.pid_exists(left.pid)
            assert psutil.pid_exists(other.pid)
        finally:
            left.kill()
            other.kill()
    assert end_leftovers(tmp_path) == []


def test_tether_gives_up_when_the_supervisor_is_gone() -> None:
    done = subprocess.run([sys.executable, "-I", "-S", str(tether.__file__), "1", "true"], check=False)
    assert done.returncode == (1 if os.getpid() != 1 else 0)
