"""Which model serves next: what follows from a command, a champion and the versions there are. Pure."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from maskwatch.model_messages import FOR_RETRAINER, Champion, ModelCommand, ModelVersion, PublishedModel, VersionState


class Decision(msgspec.Struct, frozen=True):
    """What follows from a command."""

    told: str
    """In words, for the log and for whoever asked."""
    champion: Champion | None = None
    """The next one, if it changes."""
    versions: tuple[ModelVersion, ...] = ()
    """What becomes of versions."""


def decide(
    command: ModelCommand, champion: Champion | None, versions: Mapping[str, ModelVersion], now: datetime
) -> Decision:
    """Work out what a command changes.

    Parameters
    ----------
    command
        What is asked.
    champion
        The one that serves; None before the first.
    versions
        All that are known, by their ``sha256``.
    now
        The time of the change.

    Returns
    -------
    Decision
        With no change and the reason, where there is nothing to do or the command has come too late: somebody else
        was first.
    """
    if command.kind in FOR_RETRAINER:
        return Decision("left to the retrainer")
    serves = champion.model if champion else None
    if problem := _problem(command, champion):
        return Decision(f"refused: {problem}")
    if command.kind == "propose" and command.model and not (command.verdict and command.verdict.promote):
        state: VersionState = "refused" if command.verdict else "candidate"
        return Decision(f"{_named(command.model)}: {state}", versions=(_version(command.model, state, command, now),))
    if command.instead_of is not None and command.instead_of != (serves.sha256 if serves else ""):
        told = f"refused: meanwhile {_named(serves)} has become the champion"
        if command.kind != "propose" or command.model is None:
            return Decision(told)
        # It was judged against another champion: it waits, and may be judged again.
        return Decision(told, versions=(_version(command.model, "candidate", command, now),))
    fresh = champion.previous if champion and command.kind == "roll-back" else command.model
    changed = [_version(fresh, "champion", command, now, versions)] if fresh else []
    if serves:
        changed.append(_version(serves, "retired", command, now, versions))
    return Decision(
        f"{_named(fresh)} serves, after {_named(serves)}",
        Champion(
            model=fresh,
            previous=serves,
            since=now,
            command=command.id,
            by=command.by,
            why=command.why,
            rolled_back=command.kind == "roll-back",
        ),
        tuple(changed),
    )


def _problem(command: ModelCommand, champion: Champion | None) -> str:
    if command.kind == "roll-back":
        return "" if champion else "nothing was promoted yet, so there is nothing to roll back"
    if command.model is None:
        return f"to {command.kind} names a model"
    return "it serves already" if champion and champion.model == command.model else ""


def _version(
    model: PublishedModel,
    state: VersionState,
    command: ModelCommand,
    now: datetime,
    versions: Mapping[str, ModelVersion] | None = None,
) -> ModelVersion:
    known = (versions or {}).get(model.sha256)
    # A verdict stays with the version that it is about.
    mine = command.model == model and command.verdict is not None
    verdict = command.verdict if mine else known.verdict if known else None
    return ModelVersion(model=model, state=state, changed=now, by=command.by, why=command.why, verdict=verdict)


def _named(model: PublishedModel | None) -> str:
    return f"{model.name} {model.version}" if model else "each worker's own model"
