"""The rollout, which kills itself with SIGKILL after a step of taking a command; run as a script.

The file ``kill`` in the folder that ``FAULTS`` names says after which step, counted from 1; whoever dies removes it
first, and notes the step's name in ``killed``. Steps are what changes something: a command is read, a transaction
begins, each record is written, the command's offset is, and it is committed.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from maskwatch.cli import main
from maskwatch.kafka import Record
from processors.rollout import Writer

FOLDER = Path(os.environ.get("FAULTS", ""))


class Killer:
    """Counts the steps since a command was read, and kills this process after the one that was asked for."""

    def __init__(self) -> None:
        self._steps = 0

    def read(self, take: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Make of what takes a command one that begins to count."""

        async def taken(writer: Writer, record: Record) -> None:
            self._steps = 0
            self._done("command read")
            await take(writer, record)

        return taken

    def after(self, step: Callable[..., Awaitable[None]], name: str) -> Callable[..., Awaitable[None]]:
        """Make of a step one that may be the last."""

        async def stepped(*arguments: Any) -> None:  # noqa: ANN401  # whatever it takes
            await step(*arguments)
            self._done(name)

        return stepped

    def _done(self, name: str) -> None:
        self._steps += 1
        wish = FOLDER / "kill"
        if wish.exists() and int(wish.read_text()) == self._steps:
            (FOLDER / "killed").write_text(name)
            wish.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    killer = Killer()
    Writer.take = killer.read(Writer.take)  # type: ignore[method-assign, assignment]
    Writer._send = killer.after(Writer._send, "record written")  # type: ignore[method-assign, assignment]
    for method, named in {
        "begin_transaction": "transaction begun",
        "send_offsets_to_transaction": "offset written",
        "commit_transaction": "transaction committed",
    }.items():
        setattr(AIOKafkaProducer, method, killer.after(getattr(AIOKafkaProducer, method), named))
    main(["rollout"], prog_name="maskwatch")
