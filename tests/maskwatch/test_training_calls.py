"""What trains answers on standard output alone, whatever its libraries print, and ends when it is asked to."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from maskwatch.training_calls import STOPPED

PRELUDE = "import click; from maskwatch.training_calls import ask; "


def started(target: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", f"{PRELUDE}click.echo(ask('tests.support.talkative:{target}'))"],
        env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_nothing_but_the_answer_is_on_standard_output_whoever_prints() -> None:
    with started("work") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, '{"promote": true}\n')
    for who in ("Python", "a file descriptor", "C", "a child"):
        assert f"{who} says" in err


def test_a_signal_ends_what_was_started_and_what_was_put_aside_goes(tmp_path: Path) -> None:
    with started("wait", TMPDIR=str(tmp_path)) as process:
        assert process.stderr is not None
        child = int(process.stderr.readline())
        assert list(tmp_path.iterdir())
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (STOPPED, "")
    assert list(tmp_path.iterdir()) == []
    assert not psutil.pid_exists(child)
