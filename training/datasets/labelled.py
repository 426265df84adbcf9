"""``maskwatch data labels``: bring in what was labelled elsewhere, as if it had been said in the console.

A folder is read as :mod:`training.datasets.importing` reads it. Each picture goes through the same checks as a label
of the console, then into the store, and only then is its label written to ``labels.v1``. Doing it again changes
nothing.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple

import click
from aiokafka import AIOKafkaProducer
from PIL import Image

from maskwatch import kafka, reading
from maskwatch.errors import MessageError
from maskwatch.fingerprint import LookAlikes, fingerprint
from maskwatch.label_checks import complaint, frozen_test
from maskwatch.label_messages import FrameLabel, own_key
from maskwatch.messages import decode, encode
from maskwatch.quantities import say_count
from maskwatch.settings import Settings
from maskwatch.store import Store, name_of
from maskwatch.topics import Name, partition_count
from training.datasets import importing
from training.datasets.catalogue import FormatName, Picture
from training.datasets.classes import table
from training.datasets.decoding import upright
from training.errors import CatalogueError
from training.steps import Step, no_step, shown

QUALITY = 95
"""Of what has to be written anew: PNG, WebP, and whatever is stored turned or tells where it was taken."""

SHOWN = 5


class Imported(NamedTuple):
    """What became of folders."""

    new: int
    known: int
    """Pictures whose label says the same already."""
    refused: tuple[tuple[Path, str], ...]
    """Files that were left out, and why."""


async def bring_in(
    settings: Settings, pictures: Sequence[Picture], by: str, known: Mapping[str, FrameLabel], step: Step = no_step
) -> Imported:
    """Put pictures into the store and their labels into ``labels.v1``.

    Parameters
    ----------
    settings
        Name the cluster, the store and what a label must be.
    pictures
        With their faces.
    by
        Who labelled them.
    known
        The labels that there are.
    step
        Told of progress.

    Raises
    ------
    BrokerError
        If Kafka does not take a label. What was acknowledged stays; doing it again goes on.
    StoreError
        If the store does not take a picture.
    """
    store = Store(settings)
    check = _checks(settings, frozen_test(settings.labels.frozen), known)
    refused: list[tuple[Path, str]] = []
    new = same = 0
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        for number, picture in enumerate(pictures, 1):
            step("labels", number, len(pictures))
            jpeg = await asyncio.to_thread(_as_jpeg, picture)
            label = await asyncio.to_thread(_label, picture, jpeg, by)
            before = known.get(label.frame)
            if before is not None and (before.state, before.faces) == ("labelled", label.faces):
                same += 1
            elif why := check(label, before):
                refused.append((picture.path, why))
            else:
                # 1. The picture is in the store.
                await store.within(store.put, jpeg)
                # 2. The label that names it is in Kafka.
                await _publish(producer, settings, label)
                new += 1
    return Imported(new, same, tuple(refused))


def _checks(
    settings: Settings, frozen: LookAlikes, known: Mapping[str, FrameLabel]
) -> Callable[[FrameLabel, FrameLabel | None], str]:
    """Make what says why a label cannot count; it counts those that it lets through."""
    options = settings.labels
    counted = Counter(label.source for label in known.values() if label.state == "labelled")

    def check(label: FrameLabel, before: FrameLabel | None) -> str:
        if before is not None and before.state == "erased":
            return "it was erased"
        if why := complaint(label.faces, (label.width, label.height), options.least_side):
            return why
        if frozen.near(label.fingerprint):
            return "it looks like a picture of the frozen test part, which judges models"
        if before is None and counted[label.source] >= options.per_source:
            return f"there are {options.per_source} labels of its source, as many as count"
        counted[label.source] += before is None
        return ""

    return check


def _as_jpeg(picture: Picture) -> bytes:
    content = picture.path.read_bytes()
    with Image.open(BytesIO(content)) as image:
        if image.format == "JPEG" and image.mode in {"RGB", "L"} and not image.info.keys() & {"exif", "xmp", "comment"}:
            return content
        pixels = upright(image).convert("RGB")
    written = BytesIO()
    pixels.save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


def _label(picture: Picture, jpeg: bytes, by: str) -> FrameLabel:
    sha256 = name_of(jpeg)
    return FrameLabel(
        frame=own_key(sha256),
        state="labelled",
        at=datetime.now(UTC),
        by=by,
        made_by="import",
        faces=picture.faces,
        sha256=sha256,
        width=picture.width,
        height=picture.height,
        fingerprint=fingerprint(jpeg),
        source=picture.source,
    )


async def _publish(producer: AIOKafkaProducer, settings: Settings, label: FrameLabel) -> None:
    value, headers = encode(label, kind="maskwatch.label.v1", source="/import", id=label.frame, time=label.at)
    await kafka.send(producer, settings, Name.LABELS, key=label.frame, value=value, headers=headers)


async def there(settings: Settings) -> dict[str, FrameLabel]:
    """Return the labels that there are, by frame.

    Raises
    ------
    BrokerError
        If Kafka cannot be read.
    """
    found: dict[str, FrameLabel] = {}
    for record in await reading.held(settings, Name.LABELS, partition_count(Name.LABELS)):
        key = (record.key or b"").decode(errors="replace")
        try:
            label = decode(record.value, FrameLabel) if record.value is not None else None
        except MessageError:
            continue  # Whoever follows the topic has said so.
        if label is None:
            found.pop(key, None)
        elif label.frame not in found or found[label.frame].state != "erased":
            found[label.frame] = label
    return found


def command(  # noqa: PLR0913  # a command line
    settings: Settings,
    folders: Sequence[Path],
    form: FormatName | Literal["auto"],
    pairs: Sequence[str],
    by: str,
    *,
    as_json: bool,
) -> None:
    """Read folders, bring their labels in, and say what was left out.

    Raises
    ------
    CatalogueError
        If a folder cannot be read, or no picture of it.
    """
    with shown("importing") as step:
        catalogue = importing.read(folders, form, table(pairs), step)
        if not catalogue.pictures:
            raise CatalogueError("no picture is left: «maskwatch data import» says why")

        async def run() -> Imported:
            return await bring_in(settings, catalogue.pictures, by, await there(settings), step)

        done = asyncio.run(run())
    left_out = [(refusal.path, refusal.reason) for refusal in catalogue.refused] + list(done.refused)
    if as_json:
        rows = [{"file": str(path), "reason": why} for path, why in left_out]
        click.echo(json.dumps({"new": done.new, "known": done.known, "refused": rows}, indent=2))
        return
    click.echo("\n".join(_lines(done, left_out)))


def _lines(done: Imported, left_out: Sequence[tuple[Path, str]]) -> Iterator[str]:
    yield f"{say_count(done.new, 'label')} brought in, {done.known} known already"
    if left_out:
        yield f"left out: {len(left_out)}"
        yield from (f"  {path}: {why}" for path, why in left_out[:SHOWN])
    if len(left_out) > SHOWN:
        yield f"  and {len(left_out) - SHOWN} more; --json names all"
