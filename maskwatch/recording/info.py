"""Print what is in a recording."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from maskwatch.messages import rfc3339
from maskwatch.quantities import say_count, say_duration, say_size
from maskwatch.recording.reading import summary


def show(path: Path, *, as_json: bool) -> None:
    """Print what is in a recording.

    Parameters
    ----------
    path
        The file.
    as_json
        Print JSON, for scripts.

    Raises
    ------
    RecordingError
        If there is no such file, or it is no recording of ours.
    """
    found = summary(path)
    contents = found.contents
    first, last = ("-" if ms is None else _moment(ms) for ms in (contents.first_ms, contents.last_ms))
    if as_json:
        tree = {
            "file": str(path),
            "file_bytes": found.file_bytes,
            "written_by": found.written_by,
            "cut": found.cut,
            "records": contents.records,
            "seconds": contents.seconds,
            "first": None if contents.first_ms is None else first,
            "last": None if contents.last_ms is None else last,
            "topics": msgspec.to_builtins(contents.topics),
        }
        click.echo(json.dumps(tree, indent=2))
        return
    click.echo(f"{path}: {contents.told()}, {say_size(found.file_bytes)}, written by {found.written_by}")
    click.echo(f"  {say_duration(contents.seconds)}, from {first} to {last}")
    for name, topic in contents.topics.items():
        click.echo(f"  {name}  {say_count(topic.records, 'record')}, {say_size(topic.bytes)}")
        for identity, camera in sorted(topic.cameras.items()):
            sizes = ", ".join(f"{width}x{height}" for width, height in camera.sizes)
            told = f"{say_count(camera.frames, 'frame')}, {sizes}, {say_size(camera.bytes)}"
            click.echo(f"    {identity}  {told}")
    if found.cut:
        click.echo(f"maskwatch: {found.cut}", err=True)


def _moment(ms: int) -> str:
    try:
        return rfc3339(datetime.fromtimestamp(ms / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
