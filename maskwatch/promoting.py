"""``maskwatch models promote`` and ``roll-back``: a model goes into the store, and the rollout is asked to serve it."""

import asyncio
import getpass
import os
import uuid
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from aiokafka import AIOKafkaProducer

from maskwatch import kafka, reading
from maskwatch.errors import BrokerError, ModelError
from maskwatch.messages import decode, encode
from maskwatch.model_messages import Champion, CommandKind, ModelCommand, ModelVersion, PublishedModel, Verdict
from maskwatch.published import publish
from maskwatch.settings import DetectorSettings, Settings
from maskwatch.store import Store
from maskwatch.topics import Name, partition_count

ANSWER_S = 30.0
"""Longest wait for the rollout."""


def promote(settings: Settings, which: str, *, verdict: Path | None, why: str) -> None:
    """Let a model serve: a folder, a name in data/models, or the version of one that was published before.

    Raises
    ------
    ModelError
        If there is no such model.
    BrokerError
        If Kafka or the rollout does not answer.
    """
    told = msgspec.json.decode(verdict.read_bytes(), type=Verdict) if verdict else None
    if told is not None and not told.promote:
        raise ModelError(f"the gate refused it ({verdict}); without --verdict it is promoted all the same")
    asyncio.run(_promote(settings, which, told, why))


def roll_back(settings: Settings, *, why: str) -> None:
    """Let the model serve that served before.

    Raises
    ------
    ModelError
        If there is none.
    BrokerError
        If Kafka or the rollout does not answer.
    """
    asyncio.run(_roll_back(settings, why))


def ask_for_round(settings: Settings, *, why: str) -> None:
    """Ask the retrainer for a round.

    Raises
    ------
    BrokerError
        If Kafka does not take it.
    """
    asyncio.run(_send(settings, _command("retrain", why, instead_of=None)))
    click.echo("asked for: the retrainer starts a round when it has no other; runs.v1 and its log tell how far it is")


async def propose(settings: Settings, folder: Path, verdict: Verdict, instead_of: str, why: str) -> str:
    """Put a judged model into the store, and let the rollout promote it if the verdict says so.

    Parameters
    ----------
    folder
        The exported model.
    verdict
        The gate's.
    instead_of
        ``sha256`` of the champion that it was judged against, empty for each worker's own.
    why
        Kept with the version.

    Returns
    -------
    str
        Id of the command.

    Raises
    ------
    BrokerError
        If Kafka does not take it.
    StoreError
        If the store does not.
    """
    model = await asyncio.to_thread(publish, folder, Store(settings))
    command = _command("propose", why, model=model, verdict=verdict, instead_of=instead_of)
    await _send(settings, command)
    return command.id


async def _promote(settings: Settings, which: str, verdict: Verdict | None, why: str) -> None:
    champion = await champion_of(settings)
    folder = DetectorSettings(model=Path(which)).model
    if folder.is_dir():
        model = await asyncio.to_thread(publish, folder, Store(settings))
    else:
        model = find(which, await versions_of(settings))
    serves = champion.model if champion else None
    if serves == model:
        raise ModelError(f"{model.name} {model.version} serves already")
    command = _command("promote", why, model=model, verdict=verdict, instead_of=serves.sha256 if serves else "")
    await _ask(settings, command)


async def _roll_back(settings: Settings, why: str) -> None:
    champion = await champion_of(settings)
    if champion is None:
        raise ModelError("nothing was promoted yet, so there is nothing to roll back")
    await _ask(settings, _command("roll-back", why, instead_of=champion.model.sha256 if champion.model else ""))


async def champion_of(settings: Settings) -> Champion | None:
    """Read which model serves; None before the first promotion.

    Raises
    ------
    BrokerError
        If Kafka does not answer.
    """
    records = await reading.held(settings, Name.MODELS, partition_count(Name.MODELS))
    return decode(records[-1].value, Champion) if records else None


async def versions_of(settings: Settings) -> dict[str, ModelVersion]:
    """Read every model that is known, by its ``sha256``.

    Raises
    ------
    BrokerError
        If Kafka does not answer.
    """
    records = await reading.held(settings, Name.MODEL_VERSIONS, partition_count(Name.MODEL_VERSIONS))
    found = (decode(record.value, ModelVersion) for record in records)
    return {version.model.sha256: version for version in found}


def find(which: str, versions: Mapping[str, ModelVersion]) -> PublishedModel:
    """Find a model that was published by its version or its SHA-256.

    Raises
    ------
    ModelError
        If there is none, or there are several of that version; the message names what there is.
    """
    found = [one.model for one in versions.values() if which in {one.model.version, one.model.sha256}]
    if not found:
        known = ", ".join(sorted(one.model.version for one in versions.values())) or "none yet"
        raise ModelError(f"{which} is neither a model's folder nor a version that was published; those are: {known}")
    if len(found) > 1:
        named = ", ".join(model.sha256 for model in found)
        raise ModelError(f"there are several models of version {which}: say which by its SHA-256, of {named}")
    return found[0]


def _command(
    kind: CommandKind,
    why: str,
    *,
    instead_of: str | None,
    model: PublishedModel | None = None,
    verdict: Verdict | None = None,
) -> ModelCommand:
    try:
        by = getpass.getuser()
    except (KeyError, OSError):
        by = str(os.getuid())
    return ModelCommand(
        id=str(uuid.uuid4()), kind=kind, by=by, at=datetime.now(UTC), model=model, verdict=verdict,
        instead_of=instead_of, why=why,
    )  # fmt: skip


async def send(command: ModelCommand, producer: AIOKafkaProducer, settings: Settings, source: str) -> None:
    """Publish a command; on return Kafka has acknowledged it.

    Parameters
    ----------
    command
        What is asked.
    producer
        Durable and running.
    settings
        Name the cluster.
    source
        Who writes it, such as ``/cli``.

    Raises
    ------
    BrokerError
        If Kafka does not take it in time.
    """
    value, headers = encode(command, kind="maskwatch.model-command.v1", source=source, id=command.id, time=command.at)
    await kafka.send(producer, settings, Name.COMMANDS, key=command.kind, value=value, headers=headers)


async def _send(settings: Settings, command: ModelCommand) -> None:
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        await send(command, producer, settings, "/cli")


async def _ask(settings: Settings, command: ModelCommand) -> None:
    await _send(settings, command)
    champion = await _answer(settings, command)
    if champion.command != command.id:
        raise ModelError(f"meanwhile {champion.by} has made {_named(champion.model)} the champion: look, and ask again")
    click.echo(f"{_named(champion.model)} serves")


async def _answer(settings: Settings, command: ModelCommand) -> Champion:
    """Wait for the champion that the command makes, or for another that was made instead."""
    try:
        # Closed here: a generator that is left to the loop's end would be closed while it runs.
        async with (
            asyncio.timeout(ANSWER_S),
            aclosing(reading.follow(settings, Name.MODELS, partition_count(Name.MODELS))) as records,
        ):
            async for record in records:
                champion = decode(record.value, Champion)
                serves = champion.model.sha256 if champion.model else ""
                if champion.command == command.id or (champion.since > command.at and serves != command.instead_of):
                    return champion
    except TimeoutError as error:
        raise BrokerError(
            f"the rollout did not answer within {ANSWER_S:g} s: is «maskwatch rollout» running? Its log says more"
        ) from error
    raise BrokerError(f"{Name.MODELS} ended")


def _named(model: PublishedModel | None) -> str:
    return f"{model.name} {model.version}" if model else "each worker's own detector.model"
