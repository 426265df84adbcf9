"""``maskwatch replay --model``: two models on recorded frames, side by side; nothing is published.

The frames are a file's, or those that frames.recording.v1 keeps since some time.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console

from maskwatch import reading
from maskwatch.command import Progress, run
from maskwatch.errors import MessageError, RecordingError
from maskwatch.inference import Detected, Detector
from maskwatch.messages import FrameInfo, read_frame_headers
from maskwatch.settings import DetectorSettings, Settings
from maskwatch.side_by_side import Pair, by_camera, table
from maskwatch.topics import Name, partitions, require
from processors.material import frames

Frame = tuple[FrameInfo, bytes]


def command(
    settings: Settings, source: Path | datetime, models: tuple[str, ...], cameras: tuple[str, ...], *, as_json: bool
) -> None:
    """Compare two models on recorded frames and print how they agree, by camera.

    Parameters
    ----------
    settings
        How they look; `detector.model` is the second where only one is named.
    source
        A recording, or the time since when the topic's frames are looked at.
    models
        Folders, or names in data/models.
    cameras
        Only these; all without any.
    as_json
        Print JSON, for scripts.

    Raises
    ------
    ModelError
        If one of the models cannot be loaded.
    RecordingError
        If the file is no recording, or there is no frame of these cameras.
    BrokerError
        If the topic is to be read, and cannot be.
    """
    named = [DetectorSettings(model=Path(model)).model for model in models]
    folders = (named[0], named[1] if len(named) > 1 else settings.detector.model)
    with Progress("comparing") as progress:

        async def work(settings: Settings, stop: asyncio.Event) -> list[Pair]:
            return await look(settings, source, folders, cameras, stop, progress)

        found = by_camera(run("replay", work, settings))
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    Console(highlight=False).print(table(f"{folders[0].name} / {folders[1].name}", found))


async def look(  # noqa: PLR0913, PLR0917  # two models, a recording, and how it ends
    settings: Settings,
    source: Path | datetime,
    folders: tuple[Path, Path],
    cameras: tuple[str, ...],
    stop: asyncio.Event,
    progress: Progress,
) -> list[Pair]:
    """Let both models look at every frame; a stop ends it early.

    Raises
    ------
    ModelError
        If one of the models cannot be loaded.
    RecordingError
        If the file is no recording, or there is no frame of these cameras.
    BrokerError
        If the topic is to be read, and cannot be.
    """
    pairs: list[Pair] = []
    detectors = [await asyncio.to_thread(Detector, folder, settings.detector) for folder in folders]
    try:
        found = _of_file(source) if isinstance(source, Path) else _of_topic(settings, source)
        async with aclosing(found):
            async for info, jpeg in found:
                if stop.is_set():
                    break
                if cameras and info.camera not in cameras:
                    continue
                first, second = [(await detector.detect([jpeg], "wide"))[0] for detector in detectors]
                if isinstance(first, Detected) and isinstance(second, Detected):
                    pairs.append(Pair(info.camera, info.captured, first.faces, second.faces))
                if progress.due:
                    progress.show(None, f"{len(pairs)} frames")
    finally:
        for detector in detectors:
            detector.close()
    if not pairs:
        of = f" of {', '.join(cameras)}" if cameras else ""
        raise RecordingError(_nothing(source, of))
    return pairs


def _nothing(source: Path | datetime, of: str) -> str:
    if isinstance(source, Path):
        return f"{source} holds no frame{of} that can be looked at; «maskwatch record {source} --info» tells"
    return (
        f"{Name.FRAMES_RECORDING} holds no frame{of} since {source:%Y-%m-%dT%H:%M%z} that can be looked at; it keeps "
        "a day of what cameras copy there, one a second unless their record_rate says otherwise"
    )


async def _of_file(file: Path) -> AsyncGenerator[Frame, None]:
    for record in frames(file):
        with suppress(MessageError):
            yield read_frame_headers([(name, value or b"") for name, value in record.headers]), record.value or b""


async def _of_topic(settings: Settings, since: datetime) -> AsyncGenerator[Frame, None]:
    await require(settings, [Name.FRAMES_RECORDING])
    records = reading.past(settings, partitions(settings, Name.FRAMES_RECORDING), since)
    async with aclosing(records):
        async for record in records:
            with suppress(MessageError):
                yield read_frame_headers(record.headers), record.value or b""
