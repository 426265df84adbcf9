"""What the console's stand-in server says of models: the API's own calls on a table that tests fill.

Commands go to the very function that decides about them in the rollout, and what it decides is in the table at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
from fastapi import Depends, FastAPI

from api.commanding import Commanding
from api.model_table import ModelTable
from api.routers import models, runs
from maskwatch.model import ModelCard, read_card
from maskwatch.model_messages import FOR_RETRAINER, Champion, ModelCommand, ModelVersion, Run
from maskwatch.settings import Settings
from maskwatch.topics import Name
from processors.promotion import decide
from tests.support import judged
from tests.support.scripted import scripted


@dataclass
class ModelStandIn:
    """What is known of models. Everything may be changed while the server runs."""

    table: ModelTable = field(default_factory=ModelTable)
    own: ModelCard | None = field(default_factory=lambda: read_card(Settings().detector.model))
    asked: list[ModelCommand] = field(default_factory=list)
    """All commands, in order."""
    answers: bool = True
    """Whether the rollout runs."""
    failing: bool = False
    hang: bool = False
    missing: str = ""

    def tell(self, *messages: Champion | ModelVersion | Run) -> None:
        """Tell what a topic would."""
        names = {Champion: Name.MODELS, ModelVersion: Name.MODEL_VERSIONS, Run: Name.RUNS}
        for message in messages:
            record: Any = SimpleNamespace(value=msgspec.json.encode(message))
            self.table.take(names[type(message)], record)

    async def change(self) -> None:
        """Wait for the next record, which is there already or never comes."""
        await asyncio.sleep(60)

    def add_calls(self, app: FastAPI, token: Callable[[], str]) -> None:
        """Add the calls to an app whose services are there; a browser must have the token."""

        why = "What is known of models is not read yet: reading models.v1."
        as_scripted = scripted(token, lambda: self.hang, lambda: why if self.failing else "")

        shared = app.state.services
        shared.models = self
        shared.commanding = _AtOnce(self)
        for part in (models, runs):
            app.include_router(part.router, dependencies=[Depends(as_scripted)])


class _AtOnce(Commanding):
    """Carries commands out at once."""

    def __init__(self, told: ModelStandIn) -> None:
        super().__init__(Settings(), SimpleNamespace(), told)  # type: ignore[arg-type]  # neither is used here
        self._told = told

    async def _send(self, command: ModelCommand) -> str:
        self._told.asked.append(command)
        if self._told.answers and command.kind not in FOR_RETRAINER:
            table = self._told.table
            known = {version.model.sha256: version for version in table.versions()}
            decision = decide(command, table.champion, known, datetime.now(UTC))
            self._told.tell(*([decision.champion] if decision.champion else []), *decision.versions)
        return command.id


def lately(now: datetime, pictures: Sequence[str] = ()) -> ModelStandIn:
    """Return three versions, one that serves, one that served before, one that was refused; and a stopped round.

    The two models differ on the pictures of these hashes.
    """
    told = ModelStandIn()
    day = timedelta(days=1)
    good = judged.verdict("20261101", against="3", pictures=pictures, at=now - day)
    bad = judged.verdict("20261025", against="3", gain=-0.004, at=now - 8 * day)
    told.tell(
        judged.champion("20261101", "3", at=now - day, why="100 new labels, and a drift"),
        judged.version("3", "retired", at=now - day),
        judged.version("20261025", "refused", bad, at=now - 8 * day, why="100 new labels, and the weekly round"),
        judged.version("20261101", "champion", good, at=now - day, why="100 new labels, and a drift"),
        judged.run("r1", made="20261025", told=bad, labels=100, at=now - 8 * day),
        judged.run(
            "r2", "failed", labels=150, new=50, at=now - 3 * day, said="stopped by ann", stopped_by="ann", done=3
        ),
        judged.run("r3", made="20261101", told=good, labels=250, at=now - day),
    )
    return told
