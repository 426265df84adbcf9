"""Asking for another model, for a round, for an evaluation, or that a round stops: commands, and what comes of them.

A command is acknowledged by Kafka before it is answered. Whoever owns ``commands.v1`` carries it out: for a promotion
the answer waits a moment, because a person does.
"""

import asyncio
import uuid
from datetime import UTC, datetime

from api.broker import Broker
from api.model_feed import ModelFeed
from api.model_table import AmbiguousError
from api.problems import (
    AWAY,
    CHAMPION_CHANGED,
    CHAMPION_SERVES,
    NOTHING_BEFORE,
    RUN_OVER,
    UNKNOWN_MODEL,
    UNKNOWN_RUN,
    ProblemError,
)
from maskwatch import promoting
from maskwatch.errors import BrokerError
from maskwatch.model_messages import CommandKind, ModelCommand, ModelVersion, PublishedModel, Run
from maskwatch.settings import Settings

RETRY_AFTER = {"Retry-After": "5"}
ANSWER_S = 4.0
"""So long a promotion is waited for: the page that asks gives up after five seconds."""


class Commanding:
    """Writes commands.

    Parameters
    ----------
    settings
        Name the cluster.
    broker
        Publishes them.
    feed
        What is known of models, where the answers come too.
    """

    def __init__(self, settings: Settings, broker: Broker, feed: ModelFeed) -> None:
        self._settings = settings
        self._broker = broker
        self._feed = feed

    def version(self, which: str) -> ModelVersion:
        """Return a version by its name or its SHA-256.

        Raises
        ------
        ProblemError
            If there is none, or several are called so.
        """
        try:
            return self._feed.table.version(which)
        except AmbiguousError:
            raise ProblemError(UNKNOWN_MODEL, "Several models have this version: name one by its SHA-256.") from None
        except KeyError:
            raise ProblemError(UNKNOWN_MODEL, "There is no model of this version or SHA-256.") from None

    async def promote(self, which: str, seen: str, by: str, why: str) -> bool:
        """Let a version serve; return whether it does by now.

        Parameters
        ----------
        which
            The version, or its SHA-256.
        seen
            SHA-256 of the champion that whoever asks has seen; empty for each worker's own.
        by, why
            Kept with the version.

        Raises
        ------
        ProblemError
            If there is no such version, it serves already, another has become the champion meanwhile, or Kafka is away.
        """
        model = self.version(which).model
        self._refuse_changed(seen)
        if model.sha256 == seen:
            raise ProblemError(CHAMPION_SERVES, f"{model.name} {model.version} serves already.")
        return await self._changed(_command("promote", by, why, model=model, seen=seen))

    async def roll_back(self, seen: str, by: str, why: str) -> bool:
        """Let the model serve that served before; return whether it does by now.

        Raises
        ------
        ProblemError
            If nothing was ever promoted, another has become the champion meanwhile, or Kafka is away.
        """
        if self._feed.table.champion is None:
            raise ProblemError(NOTHING_BEFORE, "Nothing was promoted yet: each worker serves its own model.")
        self._refuse_changed(seen)
        return await self._changed(_command("roll-back", by, why, seen=seen))

    async def train(self, by: str, why: str) -> str:
        """Ask for a round; return the command's id.

        Raises
        ------
        ProblemError
            If Kafka is away.
        """
        return await self._send(_command("retrain", by, why))

    async def evaluate(self, which: str, by: str, why: str) -> str:
        """Ask for a version to be judged against the champion; return the run's id.

        Raises
        ------
        ProblemError
            If there is no such version, it is the champion, or Kafka is away.
        """
        model = self.version(which).model
        if model.sha256 == self._feed.table.serves():
            raise ProblemError(CHAMPION_SERVES, "It is the champion: a model is judged against another.")
        return await self._send(_command("evaluate", by, why, model=model))

    async def stop(self, identity: str, by: str) -> Run:
        """Ask for a round to end; return it as it is now.

        Raises
        ------
        ProblemError
            If there is no such round, it has ended already, or Kafka is away.
        """
        try:
            run = self._feed.table.run(identity)
        except KeyError:
            raise ProblemError(UNKNOWN_RUN, "There is no round of this id.") from None
        if run.state != "running":
            raise ProblemError(RUN_OVER, "It has ended already.")
        await self._send(_command("stop", by, "", run=identity))
        return run

    def _refuse_changed(self, seen: str) -> None:
        if seen != self._feed.table.serves():
            raise ProblemError(CHAMPION_CHANGED, "Meanwhile another model has become the champion: look and ask again.")

    async def _changed(self, command: ModelCommand) -> bool:
        """Send a command, and wait a moment for the champion that it makes."""
        table = self._feed.table
        await self._send(command)
        try:
            async with asyncio.timeout(ANSWER_S):
                while (champion := table.champion) is None or champion.command != command.id:
                    if champion is not None and champion.since > command.at and table.serves() != command.instead_of:
                        self._refuse_changed(command.instead_of or "")
                    await self._feed.change()
        except TimeoutError:
            return False
        return True

    async def _send(self, command: ModelCommand) -> str:
        try:
            await promoting.send(command, self._broker.producer, self._settings, "/api")
        except BrokerError as error:
            raise ProblemError(AWAY, "Kafka is away; nothing was changed.", headers=RETRY_AFTER) from error
        return command.id


def _command(  # noqa: PLR0913  # what the kinds have
    kind: CommandKind,
    by: str,
    why: str,
    *,
    model: PublishedModel | None = None,
    seen: str | None = None,
    run: str = "",
) -> ModelCommand:
    return ModelCommand(
        id=str(uuid.uuid4()), kind=kind, by=by, at=datetime.now(UTC), model=model, instead_of=seen, why=why, run=run
    )
