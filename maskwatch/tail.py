"""Watch a topic in the terminal: what is seen, what uploads are answered, which cameras come and go, frames as files.

One line a message: for people, or JSON for scripts. What is read can be narrowed by camera, label and score.
"""

import asyncio
import math
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from maskwatch.command import Progress, run
from maskwatch.errors import MessageError, SettingsError
from maskwatch.kafka import Record
from maskwatch.messages import CLASSES, CameraStatus, DetectedFace, Detection, Label, Prediction
from maskwatch.quantities import say_count, say_size
from maskwatch.settings import Settings
from maskwatch.subscribe import Frame, subscribe

KINDS: dict[str, type[Detection] | type[Prediction] | type[CameraStatus] | type[Frame]] = {
    "detections": Detection,
    "predictions": Prediction,
    "status": CameraStatus,
    "frames": Frame,
}
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")

_Shown = Detection | Prediction | CameraStatus | Frame


class Wish(msgspec.Struct, frozen=True):
    """What is to be shown, and how."""

    kind: str
    """One of :data:`KINDS`."""
    keys: tuple[str, ...] = ()
    """Cameras; of predictions, uploads. All if empty."""
    labels: tuple[Label, ...] = ()
    """Only messages with a face of one of these; all if empty."""
    least_score: float = 0.0
    """Only messages with such a face of this score or more."""
    back_s: float = 0.0
    """How far back to begin, in seconds; infinity for the oldest that is still there."""
    group: str = ""
    count: int | None = None
    """End after so many; None for no end."""
    save: Path | None = None
    """Folder for frames."""
    as_json: bool = False


def wish(  # noqa: PLR0913  # the command's options
    kind: str,
    *,
    keys: tuple[str, ...] = (),
    labels: tuple[Label, ...] = (),
    least_score: float = 0.0,
    since_s: float | None = None,
    from_beginning: bool = False,
    group: str = "",
    count: int | None = None,
    save: Path | None = None,
    as_json: bool = False,
) -> Wish:
    """Make a wish from what a person asked for.

    Raises
    ------
    SettingsError
        If two options contradict each other, or one does not belong to what is shown.
    """
    if since_s is not None and from_beginning:
        raise SettingsError("give --since or --from-beginning, not both")
    if group and since_s is not None:
        raise SettingsError("a --group begins now, or with --from-beginning; leave --since out")
    if kind == "frames" and save is None:
        raise SettingsError("frames are saved: maskwatch tail frames --save FOLDER")
    if kind != "frames" and save is not None:
        raise SettingsError(f"--save is for frames, not for {kind}")
    if (labels or least_score) and kind not in {"detections", "predictions"}:
        raise SettingsError(f"--label and --min-score are for detections and predictions, not for {kind}")
    # A compacted topic tells how things stand: that is where one begins.
    back_s = math.inf if from_beginning or (kind == "status" and since_s is None) else since_s or 0.0
    return Wish(kind, keys, labels, least_score, back_s, group, count, save, as_json)


def command(settings: Settings, kind: str, **options: Any) -> None:  # noqa: ANN401  # those of `wish`
    """Show what the command line asks for until Ctrl-C."""
    asked = wish(kind, **options)
    with Progress("tail") as progress:
        run("tail", lambda settings, stop: tail(settings, asked, stop, print_line, progress.say), settings)


def print_line(line: str) -> None:
    """Print a line at once.

    Raises
    ------
    BrokenPipeError
        If nobody reads any more; what is left is not tried again when the process ends.
    """
    try:
        click.echo(line)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


async def tail(
    settings: Settings,
    asked: Wish,
    stop: asyncio.Event,
    show: Callable[[str], None],
    say: Callable[[str], None],
) -> int:
    """Show messages until told to stop or until there were enough.

    Parameters
    ----------
    settings
        Name the cluster and the prefix.
    asked
        What to show.
    stop
        Ends it.
    show
        Takes one line for each message.
    say
        Takes what else there is to say.

    Returns
    -------
    int
        How many were shown.

    Raises
    ------
    BrokerError
        If Kafka cannot be reached at the start, refuses us, or lacks the topic.
    """

    def malformed(record: Record, error: MessageError) -> None:
        say(f"maskwatch: {record.topic} {record.partition}:{record.offset} left out: {error}")

    if asked.save is not None:
        asked.save.mkdir(parents=True, exist_ok=True)
    shown = 0
    async with subscribe(
        KINDS[asked.kind],
        settings=settings,
        group=asked.group,
        back_s=asked.back_s,
        keys=asked.keys,
        wait=False,
        stop=stop,
        malformed=malformed,
    ) as messages:
        async for message in messages:
            line = line_of(message, asked)
            if line is None:
                continue
            try:
                show(line)
            except BrokenPipeError:
                # As other programs do when «head» has seen enough.
                break
            shown += 1
            if shown == asked.count:
                break
    return shown


def line_of(message: _Shown, asked: Wish) -> str | None:
    """Return the line for a message, None if it was not asked for; frames are saved."""
    if isinstance(message, Detection | Prediction) and not _wanted(message.objects, asked):
        return None
    if not isinstance(message, Frame):
        return _json(message) if asked.as_json else _plain(message)
    path = save(message, asked.save or Path())
    if asked.as_json:
        return _json({**msgspec.to_builtins(message.info), "file": str(path), "bytes": len(message.jpeg)})
    return f"{_clock(message.info.captured)}  {path}  {say_size(len(message.jpeg))}"


def _wanted(faces: tuple[DetectedFace, ...], asked: Wish) -> bool:
    if not asked.labels and not asked.least_score:
        return True
    return any(face.score >= asked.least_score and face.label in (asked.labels or CLASSES) for face in faces)


def _plain(message: Detection | Prediction | CameraStatus) -> str:
    match message:
        case CameraStatus(camera, state, since, reason):
            return f"{_clock(since)}  {camera}  {state}{f': {reason}' if reason else ''}"
        case Prediction(upload, "failed", detected):
            return f"{_clock(detected)}  {upload}  failed: {message.reason}"
        case Prediction():
            return f"{_clock(message.detected)}  {message.upload}  {_told(message.objects)}"
        case Detection():
            return f"{_clock(message.detected)}  {message.frame.camera}  {_told(message.objects)}"


def save(frame: Frame, folder: Path) -> Path:
    """Write a frame's picture into a folder; its name says which it is.

    Raises
    ------
    SettingsError
        If the folder cannot be written.
    """
    info = frame.info
    # A session is whatever its producer says, and must not lead out of the folder.
    path = folder / f"{info.camera}-{_UNSAFE.sub('_', info.session)[:100]}-{info.sequence}.jpg"
    try:
        path.write_bytes(frame.jpeg)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _told(faces: tuple[DetectedFace, ...]) -> str:
    if not faces:
        return "no face"
    return f"{say_count(len(faces), 'face')}: {', '.join(f'{face.label} {face.score:.2f}' for face in faces)}"


def _json(message: object) -> str:
    return msgspec.json.encode(message).decode()


def _clock(time: datetime) -> str:
    return f"{time.astimezone():%H:%M:%S.%f}"[:-3]
