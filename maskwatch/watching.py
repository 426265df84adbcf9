"""``maskwatch models watch``: what the champion and the model before it have seen on the same live frames."""

import asyncio
from collections import defaultdict
from contextlib import aclosing

import click
import msgspec
from rich.console import Console

from maskwatch import reading
from maskwatch.errors import BrokerError, MessageError, ModelError
from maskwatch.messages import decode
from maskwatch.model_messages import Champion
from maskwatch.promoting import champion_of
from maskwatch.settings import Settings
from maskwatch.shadow_messages import Shadowed
from maskwatch.side_by_side import Pair, Tally, table, tally
from maskwatch.topics import Name, partitions

READ_S = 60.0
"""Longest time to read what was seen since the promotion."""


def show(settings: Settings, *, as_json: bool) -> None:
    """Print how they agree, by camera.

    Raises
    ------
    ModelError
        If nothing was promoted yet.
    BrokerError
        If Kafka does not answer.
    """
    champion, found = asyncio.run(watched(settings))
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    names = [f"{one.name} {one.version}" if one else "detector.model" for one in (champion.model, champion.previous)]
    title = f"{names[0]} / {names[1]}, since {champion.since:%Y-%m-%d %H:%M} UTC"
    Console(highlight=False).print(table(title, found))


async def watched(settings: Settings) -> tuple[Champion, dict[str, Tally]]:
    """Read what both have seen since the champion was promoted.

    Raises
    ------
    ModelError
        If nothing was promoted yet.
    BrokerError
        If Kafka does not answer in time.
    """
    champion = await champion_of(settings)
    if champion is None:
        raise ModelError("nothing was promoted yet, so no model before looks on")
    try:
        async with asyncio.timeout(READ_S):
            return champion, await _tallies(settings, champion)
    except TimeoutError as error:
        raise BrokerError(f"{Name.SHADOW} was not read within {READ_S:g} s") from error


async def _tallies(settings: Settings, champion: Champion) -> dict[str, Tally]:
    # Frames of a whole day of many cameras: none is kept once it is counted.
    found: defaultdict[str, Tally] = defaultdict(Tally)
    async with aclosing(reading.past(settings, partitions(settings, Name.SHADOW), champion.since)) as records:
        async for record in records:
            try:
                seen = decode(record.value, Shadowed)
            except MessageError:
                continue
            if seen.promotion == champion.command:
                pair = Pair(seen.frame.camera, seen.frame.captured, seen.by_champion, seen.by_previous)
                found[pair.camera] = found[pair.camera].plus(tally(pair))
    return dict(sorted(found.items()))
