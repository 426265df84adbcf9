"""The process of a round: with what it is started, what it says, and how it ends.

It has what processor time is left over, and does not outlive the retrainer that started it.
"""

import asyncio
import ctypes
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

from maskwatch.errors import BrokerError, StoreError
from maskwatch.model_messages import Run
from maskwatch.training_calls import STOPPED

STOP_S = 20.0
"""A round ends within some seconds of being asked to, and goes on later."""
NICE = 19
CHUNK = 65_536
LONGEST = 1000
"""Bytes of a line that is not at its end."""

COMMAND = (sys.executable, "-m", "maskwatch", "retrain", "--here")
AWAY = frozenset({BrokerError.exit_code, StoreError.exit_code})
"""Ends a round that could not reach Kafka or the store: what it has done lies in its folder."""

_INTERRUPTED = frozenset({STOPPED, 128 + signal.SIGTERM, 128 + signal.SIGKILL})
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Colours, and what moves a terminal's cursor (ECMA-48)."""


class Said:
    """The last line that a round said."""

    def __init__(self, text: str) -> None:
        self.text = text

    def hear(self, line: bytes) -> None:
        """Keep a line if it says anything."""
        self.text = _ESCAPES.sub("", line.decode(errors="replace")).strip() or self.text


async def begin(run: Run, folder: Path) -> asyncio.subprocess.Process:
    """Start the process of a round, or of an evaluation, in its folder."""
    judged = run.progress.model if run.kind == "evaluate" and run.progress else None
    judge = ["--judge", judged.sha256] if judged else []
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *["--out", str(folder), "--why", run.why, *judge, "--json"],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=give_way,
        start_new_session=True,
    )


def give_way() -> None:
    """Run with what time is left over, and end when the retrainer dies; called in the process of a round.

    It leads a session of its own, so nothing else would end it, and whoever takes the round over would wait for it.
    """
    with suppress(AttributeError):  # elsewhere than on Linux
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.nice(NICE)
    # Linux shares its time among sessions first, and only within one by what is nice: the session itself must be.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICE))


async def end(process: asyncio.subprocess.Process) -> None:
    """Ask a round to stop, which takes some seconds, whatever it does; if it does not, end it."""
    process.send_signal(signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), STOP_S)
    # What it has started, too: it would hold what is read from it open, and train on for nobody.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def goes_on(code: int) -> bool:
    """Tell whether a round whose process ended so goes on when it is started again.

    It does if it was killed or stopped, or had nobody to talk to.
    """
    return code < 0 or code in _INTERRUPTED or code in AWAY


async def output(process: asyncio.subprocess.Process) -> bytes:
    """Return all that a round has to say in the end."""
    return await process.stdout.read() if process.stdout is not None else b""


async def last_line(process: asyncio.subprocess.Process, said: Said) -> None:
    """Keep the last line that a round has said, for as long as it runs."""
    # Libraries that train print there too, bars that never end a line among them.
    rest = b""
    while process.stderr is not None and (read := await process.stderr.read(CHUNK)):
        *lines, rest = re.split(rb"[\r\n]+", rest[-LONGEST:] + read)
        for line in lines:
            said.hear(line)
    said.hear(rest)
