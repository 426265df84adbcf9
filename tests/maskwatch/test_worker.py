import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from maskwatch.errors import StuckError
from maskwatch.worker import notify_ready


def run_stage(body: str, *, signal_after: str | None = None, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a stage in a process of its own; once it prints `signal_after`, it gets SIGTERM."""
    code = textwrap.dedent(
        """
        import asyncio
        from maskwatch import signals, worker
        from maskwatch.errors import BrokerError, StuckError
        from maskwatch.settings import Settings
        signals.STOP_TIMEOUT_S = signals.THREADS_TIMEOUT_S = 0.5
        worker.LAG_INTERVAL_S = 0.01

        async def stage(settings, stop):
        {body}

        worker.run("test", stage, Settings())
        """
    ).format(body=textwrap.indent(textwrap.dedent(body), "    "))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(env or {})},
    )
    lines = []
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if signal_after and signal_after in line:
                process.send_signal(signal.SIGTERM)
    return process.returncode, "".join(lines)


def test_a_signal_only_sets_a_flag_and_the_stage_ends_by_itself() -> None:
    code, output = run_stage(
        """
        print("begun", flush=True)
        await stop.wait()
        await asyncio.sleep(0.1)
        print("finished", flush=True)
        """,
        signal_after="begun",
    )
    assert code == 0
    assert "finished" in output
    assert json.loads(output.splitlines()[1])["event"] == "stopping"


def test_what_is_expected_of_several_tasks_is_told_as_if_there_were_one() -> None:
    code, output = run_stage(
        """
        async def ask():
            raise BrokerError("Kafka is away")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask())
        """
    )
    assert code == 1
    assert output.strip().splitlines()[-1] == "maskwatch.errors.BrokerError: Kafka is away"
    assert "stage crashed" not in output


def test_a_stage_that_does_not_end_is_cancelled() -> None:
    code, output = run_stage(
        """
        print("begun", flush=True)
        try:
            await asyncio.sleep(60)
        finally:
            print("cleaned up", flush=True)
        """,
        signal_after="begun",
    )
    assert code == StuckError.exit_code
    assert "cleaned up" in output
    assert "test has not ended 0.5 s after the signal" in output


@pytest.mark.parametrize("ending", ["raise StuckError('a thread hangs')", "await stop.wait(); await hanging"])
def test_a_thread_that_hangs_is_not_waited_for(ending: str) -> None:
    began = time.monotonic()
    code, output = run_stage(
        f"""
        import concurrent.futures, time
        threads = concurrent.futures.ThreadPoolExecutor(1)
        hanging = asyncio.get_running_loop().run_in_executor(threads, time.sleep, 60)
        print("begun", flush=True)
        {ending}
        """,
        signal_after="begun",
    )
    assert code == StuckError.exit_code
    assert time.monotonic() - began < 20
    assert json.loads(output.splitlines()[-1])["event"] == "stage is stuck"


def test_a_thread_that_hangs_does_not_keep_what_has_ended_in_order() -> None:
    began = time.monotonic()
    code, output = run_stage(
        """
        import time
        hanging = asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
        print("begun", flush=True)
        await stop.wait()
        """,
        signal_after="begun",
    )
    assert code == StuckError.exit_code
    assert time.monotonic() - began < 20
    assert json.loads(output.splitlines()[-1])["error"] == "test has ended, but a thread of it hangs"


def test_a_crash_is_logged_and_raised_again() -> None:
    code, output = run_stage("raise ZeroDivisionError('a bug')")
    assert code == 1
    assert "stage crashed" in output
    assert "ZeroDivisionError: a bug" in output


def test_what_we_raise_on_purpose_is_not_logged_as_a_crash() -> None:
    code, output = run_stage("raise BrokerError('away')")
    assert code == 1
    assert "stage crashed" not in output


def test_a_stage_that_ends_by_itself_ends_the_process() -> None:
    assert run_stage("await asyncio.sleep(0.05)") == (0, "")


def test_whoever_started_the_stage_is_told_that_it_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify_ready("41 frames/s")
        assert supervisor.recv(1000).decode() == f"READY=1\nSTATUS=41 frames/s\nMAINPID={os.getpid()}\n"


def test_with_nobody_to_tell_a_stage_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify_ready()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify_ready()


def test_a_stage_is_alive_once_it_is_ready_and_for_as_long_as_its_loop_turns(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    alive.write_text("of an earlier run")
    code, output = run_stage(
        """
        import os, pathlib
        alive = pathlib.Path(os.environ["MASKWATCH_ALIVE_FILE"])
        print("before", alive.exists())
        worker.notify_ready()
        print("ready", alive.exists())
        os.utime(alive, (0, 0))
        while alive.stat().st_mtime == 0:
            await asyncio.sleep(0.01)
        print("touched")
        """,
        env={"MASKWATCH_ALIVE_FILE": str(alive)},
    )
    assert (code, output.split("\n")) == (0, ["before False", "ready True", "touched", ""])
